"""``python -m policy.state_file FILE``: rules on what only a state shows, and no pack can see.

The engine gives packs neither ``retainOnDelete`` nor, through the Python SDK, which values are
secrets. Both are in the state, which ``pulumi stack export`` prints with its secrets encrypted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtls_pki.pki.key_text import key_places
from policy.anchors import PRIVATE_KEY, TRUST_ANCHOR, is_pki_mount
from policy.model import Finding, Parameters, Resource, ResourceRule, about

# How the engine marks a secret in a state (sdk/go/common/resource, SigKey and SecretSig).
_MARK, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"


class StateFileError(ValueError):
    """The file is not an exported state; the message says how to get one."""


def deleted_keys(resource: Resource, _parameters: Parameters) -> Iterator[Finding]:
    """Find keys of CAs that are deleted with their resource."""
    holds_key = resource.type == PRIVATE_KEY and resource.is_below(TRUST_ANCHOR)
    if (holds_key or is_pki_mount(resource, "inputs")) and not resource.at("retainOnDelete"):
        yield about(resource, "retainOnDelete is not set, so removing it deletes keys for good")


def keys_in_clear(resource: Resource, _parameters: Parameters) -> Iterator[Finding]:
    """Find private keys that the state does not encrypt."""
    for place in key_places(resource.properties):
        yield about(resource, f"a private key is in clear text in {place}")


RULES = (
    ResourceRule(
        name="ca-key-retained",
        description="What holds the key of a CA is retained when it leaves the program.",
        remedy="set retain_on_delete=True and run `pulumi up`",
        find=deleted_keys,
    ),
    ResourceRule(
        name="private-key-in-clear",
        description="A private key is in the state as a Pulumi secret, or not at all.",
        remedy="make the value a secret, run `pulumi up`, and treat the key as exposed",
        find=keys_in_clear,
    ),
)


def findings(state: object) -> Iterator[str]:
    """Yield a message for each finding in a state, as ``pulumi stack export`` prints it.

    Raises:
        StateFileError: the file is not what that command prints.
    """
    deployment = state.get("deployment") if isinstance(state, Mapping) else None
    if not isinstance(deployment, Mapping):
        raise StateFileError("it has no `deployment`; write the file with `pulumi stack export`")
    for entry in deployment.get("resources") or ():
        resource = Resource(
            urn=entry["urn"],
            type=entry["type"],
            name=entry["urn"].rpartition("::")[2],
            properties={
                "inputs": _without_secrets(entry.get("inputs") or {}),
                "outputs": _without_secrets(entry.get("outputs") or {}),
                "retainOnDelete": entry.get("retainOnDelete", False),
            },
        )
        for rule in RULES:
            for finding in rule.find(resource, {}):
                yield f"{rule.name}: {rule.message(finding)}"


def _without_secrets(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.get(_MARK) == _SECRET:
            return None
        return {key: _without_secrets(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_without_secrets(child) for child in value]
    return value


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 0 without a finding, 1 with one, 2 without a state."""
    parser = argparse.ArgumentParser(
        prog="python -m policy.state_file",
        description="Judge what only a state shows: that the keys of CAs are retained, and that no "
        "private key is in it in clear text.",
    )
    parser.add_argument("file", type=Path, help="written by `pulumi stack export`")
    options = parser.parse_args(arguments)
    try:
        messages = list(findings(json.loads(options.file.read_text(encoding="utf-8"))))
    except OSError as error:
        print(f"error: {options.file}: {error.strerror}", file=sys.stderr)
        return 2
    except StateFileError as error:
        print(f"error: {options.file}: {error}", file=sys.stderr)
        return 2
    except ValueError:
        print(f"error: {options.file}: it is not JSON", file=sys.stderr)
        return 2
    for message in messages:
        print(message)
    noun = "finding" if len(messages) == 1 else "findings"
    print(f"{options.file}: {len(messages)} {noun}")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
