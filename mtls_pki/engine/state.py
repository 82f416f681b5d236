"""A stack's state goes out of the engine and into it through pipes, so none is a file in clear."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mtls_pki.engine.cli import run_pulumi
from mtls_pki.engine.digest import mapping, object_of, provider_name
from mtls_pki.errors import CommandError
from mtls_pki.rotation.owned_object import ObjectKey


def export_state(stack: str) -> dict[str, Any]:
    """Return the state of a stack, **every key in clear**.

    Raises:
        CommandError: there is no such stack, or it cannot be read or decrypted.
    """
    out = _pulumi("stack", "export", "--stack", stack, "--show-secrets")
    try:
        exported: dict[str, Any] = json.loads(out)
    except ValueError:
        raise CommandError(f"`pulumi stack export --stack {stack}` printed no JSON") from None
    return exported


def known_objects(stack: str) -> frozenset[ObjectKey]:
    """Return the Kubernetes objects that the state of a stack knows; no secret is decrypted.

    Raises:
        CommandError: there is no such stack, or it cannot be read.
    """
    out = _pulumi("stack", "export", "--stack", stack)
    try:
        resources = json.loads(out)["deployment"].get("resources") or ()
        return frozenset(filter(None, map(_object, resources)))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CommandError(f"`pulumi stack export --stack {stack}` printed no state") from None


def _object(resource: Mapping[str, Any]) -> ObjectKey | None:
    cluster = provider_name(str(resource.get("provider", "")))
    return object_of(resource["type"], cluster, mapping(resource.get("inputs")))


def import_state(stack: str, exported: Mapping[str, Any]) -> None:
    """Make ``exported`` the state of a stack; its secrets provider encrypts it.

    Raises:
        CommandError: it cannot be written, or pulumi finds fault with it.
    """
    _pulumi("stack", "import", "--stack", stack, given=json.dumps(exported))


def _pulumi(*arguments: str, given: str = "") -> str:
    done = run_pulumi(*arguments, given=given)
    if done.status != 0:
        # Of standard error alone: what goes to standard output may be a state.
        said = " ".join(done.said.split()) or "it said nothing"
        raise CommandError(
            f"`pulumi {' '.join(arguments)}` failed; it needs what the stack's backend and its "
            f"secrets provider ask for (docs/state.md). It said: {said}"
        )
    return done.output
