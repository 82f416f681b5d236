"""Stacks whose issuing CAs are in the lab's Vault, applied under the policy that is shipped."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lab.control_plane import ControlPlane
from mtls_pki.backends.vault.names import issuer_name_of
from tests.integration.support.configuration import small_stack
from tests.integration.support.project import PROJECT
from tests.integration.support.stack import Stack
from tests.integration.support.vault import Vault

POLICY = PROJECT / "deploy/vault-policy.hcl"
EVIDENCE = PROJECT / "deploy/vault-policy-evidence.hcl"
_CA_FILE = "trust/vault-ca.pem"


def mount(name: str) -> str:
    """The mount of a stack of this name."""
    return f"pki-{name}"


def auth_path(name: str) -> str:
    """Its auth method, for its one cluster."""
    return f"{name}-dev"


def issuer(name: str, generation: str = "g1") -> str:
    """The issuer object of one generation."""
    return f"{name}-ca-{generation}-i1-vault"


def sign_role(name: str, generation: str = "g1") -> str:
    """The sign role of one generation, and its policy."""
    return f"{mount(name)}-{generation}-i1"


def held_issuer(vault: Vault, path: str, name: str = "g1-i1") -> dict[str, Any]:
    """What the mount at ``path`` says of the one certificate of the issuing CA ``name``."""
    described = vault.api("LIST", f"{path}/issuers")["data"]["key_info"]
    (found,) = (
        issuer_id
        for issuer_id, each in described.items()
        if issuer_name_of(each["issuer_name"]) == name
    )
    data: dict[str, Any] = vault.api("GET", f"{path}/issuer/{found}")["data"]
    return data


def vault_stack(name: str, plane: ControlPlane, vault: Vault, **sections: Any) -> dict[str, Any]:
    """The small stack of this name with a Vault's mount and auth method of its own.

    Args:
        name: of everything.
        plane: its one cluster.
        vault: its Vault.
        sections: laid over it as in ``small_stack``; ``held`` key by key over ``issuing.vault``.
    """
    section = {
        "server": vault.address,
        "caBundle": _CA_FILE,
        "mount": mount(name),
        "authPath": name,
        **sections.pop("held", {}),
    }
    issuing = {"backend": "vault", "vault": section, **sections.pop("issuing", {})}
    return small_stack(name, plane.kubeconfig, issuing=issuing, **sections)


def token(stack: Stack, vault: Vault, policy: Path = POLICY, *, namespace: str = "") -> str:
    """A token with ``policy`` as the comments in it say: with the stack's own two names.

    The server knows policies by name, so each stack has its own.
    """
    own = stack.directory / f"{policy.stem}-{stack.name}.hcl"
    shutil.copy(policy, own)
    names = {"pki-mesh": mount(stack.name), "kubernetes-dev": auth_path(stack.name)}
    return vault.policy_token(own, names, namespace=namespace)


def user(stack: Stack, policy: Path = POLICY) -> str:
    """What the audit log calls the holder of :func:`token`."""
    return f"token-{policy.stem}-{stack.name}"


def prepare(stack: Stack, vault: Vault, values: dict[str, Any]) -> Stack:
    """Make ``stack`` ready for its first ``up``: configured, with a token, not applied."""
    (stack.project / "trust").mkdir(exist_ok=True)
    shutil.copy(vault.ca_file, stack.project / _CA_FILE)
    namespace = values["issuing"]["vault"].get("namespace", "")
    stack.environment["VAULT_TOKEN"] = token(stack, vault, namespace=namespace)
    stack.write(values)
    stack.init()
    return stack
