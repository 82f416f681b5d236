"""A stack that an older release applied is adopted without one change.

``recorded/`` has the state and the stack file of one stack for each backend, as the release of
commit 0c321bb left them on this lab; recorded/README.md tells how. Nothing of it is alive: the
keys in it were made for this, and their passphrase is empty.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.support.stack import Stack
from tests.integration.support.vault import Vault
from tests.integration.support.vault_stack import EVIDENCE, mount, token

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("vault")]

NAME = "adopted"
RECORDED = Path(__file__).parent / "recorded"
_ISSUER = "vault:pkiSecret/secretBackendIssuer:SecretBackendIssuer"
_COMPONENTS = ("mtls-pki:index:CaIssuer", "mtls-pki:index:VaultIssuer")


def place(stack: Stack, plane: ControlPlane, backend: str) -> str:
    """Make the recorded files the stack's; return the recorded state, not imported yet."""
    (stack.project / ".lab").mkdir()
    (stack.project / ".lab/kubeconfig").symlink_to(plane.kubeconfig)
    recorded = RECORDED / backend
    shutil.copy(recorded / stack.file.name, stack.file)
    (stack.project / "trust").mkdir(exist_ok=True)
    for file in recorded.glob("*.pem"):
        shutil.copy(file, stack.project / "trust")
    return (recorded / "state.json").read_text(encoding="utf-8")


def adopt(stack: Stack, state: str) -> None:
    """Create the stack and make ``state`` its own; the salt of the recorded file stays."""
    configured = stack.file.read_text(encoding="utf-8")
    stack.file.unlink()
    stack.init()
    stack.file.write_text(configured, encoding="utf-8")
    stack.must("stack", "import", "--stack", stack.name, standard_input=state)


@contextlib.contextmanager
def alive(plane: ControlPlane, state: str) -> Iterator[None]:
    """Have the recorded namespaces, bundles and stage record in the cluster inside."""
    resources = json.loads(state)["deployment"]["resources"]
    kinds = {"kubernetes:core/v1:Namespace": "", "kubernetes:core/v1:ConfigMap": "configmaps"}
    made = []
    with contextlib.closing(plane.api()) as api:
        for each in sorted(
            (each for each in resources if each["type"] in kinds),
            key=lambda one: list(kinds).index(one["type"]),
        ):
            inputs = each["inputs"]
            place = f"/api/v1/namespaces/{inputs['metadata'].get('namespace', '')}".rstrip("/")
            place += f"/{kinds[each['type']]}" if kinds[each["type"]] else ""
            body = {name: inputs[name] for name in inputs if not name.startswith("__")}
            api.request("POST", place, body)
            made.append(f"{place}/{inputs['metadata']['name']}")
        try:
            yield
        finally:
            for path in reversed(made):
                api.request("DELETE", path)


def assert_previews_no_change(stack: Stack, state: str) -> None:
    assert any(kind in state for kind in _COMPONENTS), "recorded by a release that has them"
    seen = stack.preview("--expect-no-changes")
    assert seen.status == 0, seen.output
    assert seen.changes == {}
    assert seen.count("same") == sum(
        not each["type"].startswith(("pulumi:pulumi:", "mtls-pki:"))
        for each in json.loads(state)["deployment"]["resources"]
    )


def test_a_stack_with_ca_secrets(plane: ControlPlane, make_stack: MakeStack) -> None:
    stack = make_stack(NAME)
    state = place(stack, plane, "ca")
    adopt(stack, state)
    with alive(plane, state):
        assert_previews_no_change(stack, state)
        # The comparison can fail: another common name is another root.
        values = stack.read()
        values["anchors"]["g2"]["commonName"] = "root-g2.other.example.org"
        stack.write(values)
        assert stack.preview("--expect-no-changes").status != 0


def issuers(state: str) -> Iterator[Mapping[str, Any]]:
    for each in json.loads(state)["deployment"]["resources"]:
        if each["type"] == _ISSUER:
            yield each["outputs"]


def hold(vault: Vault, state: str) -> dict[str, str]:
    """Make the mount and the auth method of the recorded stack; return old ids -> live ones.

    The certificates are there without their keys, which no Vault gives away and a preview needs
    not.
    """
    description = f"mTLS trust of {NAME}.example.org (mtls-pki)"
    vault.api("POST", f"sys/mounts/{mount(NAME)}", {"type": "pki", "description": description})
    vault.api("POST", f"sys/auth/{NAME}-dev", {"type": "kubernetes", "description": description})
    (chain,) = (
        each["inputs"]["certificate"]
        for each in json.loads(state)["deployment"]["resources"]
        if each["type"].endswith("SecretBackendIntermediateSetSigned")
    )
    issuing, root = (f"{part}-----END CERTIFICATE-----\n" for part in chain.split("-----END")[:2])
    root = root[root.index("-----BEGIN") :]
    live = {}
    for name, pem in (("root", root), ("i1", issuing)):
        answer = vault.api("POST", f"{mount(NAME)}/issuers/import/cert", {"pem_bundle": pem})
        (live[name],) = answer["data"]["imported_issuers"]
    return {
        each["issuerId"]: live["root" if "root" in each["issuerName"] else "i1"]
        for each in issuers(state)
    }


def test_a_stack_with_a_vault(
    vault_plane: ControlPlane, vault: Vault, make_stack: MakeStack
) -> None:
    stack = make_stack(NAME)
    state = place(stack, vault_plane, "vault")
    recorded = RECORDED / "vault"
    ca_pem = vault.ca_file.read_text(encoding="utf-8")
    # What is this server's own: its address, its certificate, the ids that it gives.
    replaced = {
        (recorded / "address.txt").read_text().strip(): vault.address,
        _encoded((recorded / "vault-ca.pem").read_text()): _encoded(ca_pem),
        **hold(vault, state),
    }
    for old, new in replaced.items():
        assert old in state
        state = state.replace(old, new)
    (stack.project / "trust/vault-ca.pem").write_text(ca_pem)
    stack.file.write_text(
        stack.file.read_text().replace(next(iter(replaced)), vault.address), encoding="utf-8"
    )
    adopt(stack, state)
    stack.environment["VAULT_TOKEN"] = token(stack, vault, EVIDENCE)
    with alive(vault_plane, state):
        assert_previews_no_change(stack, state)


def _encoded(pem: str) -> str:
    return base64.b64encode(pem.encode()).decode()
