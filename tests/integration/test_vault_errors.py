"""What a user reads when a Vault is the reason: the cause by its name, and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from lab import ports
from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.pki.parsing import parse_certificate
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.stack import Run, Stack
from tests.integration.support.vault import Vault
from tests.integration.support.vault_proxy import between
from tests.integration.support.vault_stack import (
    POLICY,
    auth_path,
    held_issuer,
    mount,
    prepare,
    sign_role,
    token,
    vault_stack,
)
from tests.unit.pki import material

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("vault")]

NAME = "amiss"
APPLIED = "erring"


@pytest.fixture(scope="module")
def stack(vault_plane: ControlPlane, vault: Vault, make_stack: MakeStack) -> Stack:
    """A stack that is never applied, for it is refused."""
    return prepare(make_stack(NAME), vault, vault_stack(NAME, vault_plane, vault))


@pytest.fixture
def restored(stack: Stack) -> Iterator[Stack]:
    """The same, whose configuration and environment are put back."""
    values, environment = stack.read(), dict(stack.environment)
    yield stack
    stack.write(values)
    stack.environment = environment


@pytest.fixture(scope="module")
def applied(vault_plane: ControlPlane, vault: Vault, make_stack: MakeStack) -> Stack:
    """A stack that is applied."""
    stack = prepare(make_stack(APPLIED), vault, vault_stack(APPLIED, vault_plane, vault))
    stack.up()
    return stack


def configure(stack: Stack, **vault: Any) -> None:
    """Lay keys over ``issuing.vault``."""
    values = stack.read()
    values["issuing"]["vault"] |= vault
    stack.write(values)


def is_refused(run: Run, *said: str) -> None:
    """The run failed as a user's mistake does, changed nothing, and said all this."""
    assert run.status != 0, run.output
    for text in said:
        assert text in run.output, run.output
    assert run.changes == {}
    assert "Traceback" not in run.output
    assert "PRIVATE KEY" not in run.output


def test_a_vault_at_another_address(restored: Stack) -> None:
    nowhere = f"https://{ports.LOOPBACK}:{ports.choose(None, avoid=())}"
    configure(restored, server=nowhere)
    for run in (restored.preview(), restored.try_up()):
        is_refused(
            run,
            "the Vault is not ready for this stack; nothing was touched:",
            f"{nowhere} cannot be reached",
            "Connection refused",
            "is it up, and is this its address?",
        )


def test_a_server_certificate_of_an_unknown_authority(restored: Stack) -> None:
    (restored.project / "trust/other.pem").write_text(material.root("other"))
    configure(restored, caBundle="trust/other.pem")
    is_refused(
        restored.preview(),
        "shows a certificate that",
        "trust/other.pem does not verify",
        "give the CA that signed it as issuing.vault.caBundle",
    )


def test_a_token_that_is_wrong_or_missing(restored: Stack) -> None:
    restored.environment["VAULT_TOKEN"] = "s.wrong"  # noqa: S105 no token
    run = restored.preview()
    is_refused(run, "does not accept the token (wrong, expired or revoked); log in again")
    assert "s.wrong" not in run.output
    del restored.environment["VAULT_TOKEN"]
    restored.environment["HOME"] = str(restored.directory)
    is_refused(
        restored.preview(), "there is no token; set VAULT_TOKEN, or log in", "~/.vault-token"
    )


def test_a_shell_that_would_override_the_configuration(restored: Stack) -> None:
    restored.environment |= {
        "VAULT_AGENT_ADDR": "https://127.0.0.1:1",
        "VAULT_NAMESPACE": "elsewhere",
        "VAULT_SKIP_VERIFY": "true",
    }
    is_refused(
        restored.preview(),
        *(f"{name} is set, so that" for name in ("VAULT_AGENT_ADDR", "VAULT_SKIP_VERIFY")),
        "VAULT_NAMESPACE is set, so that Pulumi's provider works in that namespace",
    )


def test_the_token_file_of_a_login_is_used(restored: Stack) -> None:
    """The positive control of the missing token."""
    own = restored.environment.pop("VAULT_TOKEN")
    restored.environment["HOME"] = str(restored.directory)
    file = restored.directory / ".vault-token"
    file.write_text(own)
    try:
        run = restored.preview()
    finally:
        file.unlink()
    assert run.status == 0, run.output
    assert own not in run.output


def test_a_policy_that_lacks_rights_is_told_which(restored: Stack, vault: Vault) -> None:
    narrower = restored.directory / "narrower.hcl"
    text = POLICY.read_text(encoding="utf-8")
    assert '"pki-mesh/roles/*"' in text
    assert ', "sudo"' in text
    narrower.write_text(text.replace('"pki-mesh/roles/*"', '"no"').replace(', "sudo"', ""))
    restored.environment["VAULT_TOKEN"] = token(restored, vault, narrower)
    is_refused(
        restored.try_up(),
        "the token's policy lacks these lines (deploy/vault-policy.hcl has them all):",
        f'path "{mount(NAME)}/roles/{sign_role(NAME)}" '
        '{ capabilities = ["read", "update", "delete"] }',
        f'path "sys/auth/{auth_path(NAME)}" {{ capabilities = ["sudo"] }}',
    )


def test_a_mount_of_somebody_else(restored: Stack, vault: Vault) -> None:
    path = f"sys/mounts/{mount(NAME)}"
    for kind, said in (
        ("kv", f"the mount {mount(NAME)} is of type kv, not pki; name another"),
        ("pki", "is not this stack's (its description is 'theirs')"),
    ):
        vault.api("POST", path, {"type": kind, "description": "theirs"})
        try:
            is_refused(restored.preview(), said, "as issuing.vault.mount")
        finally:
            vault.api("DELETE", path)


def test_an_adopted_mount_that_would_cut_leaves_short(restored: Stack, vault: Vault) -> None:
    path = f"sys/mounts/{mount(NAME)}"
    vault.api("POST", path, {"type": "pki", "config": {"max_lease_ttl": "1h"}})
    try:
        configure(restored, adopt=True)
        is_refused(
            restored.preview(),
            f"the mount {mount(NAME)} signs for at most 1h0m0s",
            "leaves of 24h0m0s are asked for",
            f"bao secrets tune -max-lease-ttl=24h0m0s {mount(NAME)}",
        )
        vault.api("POST", f"{path}/tune", {"max_lease_ttl": "24h"})
        assert restored.preview().status == 0
    finally:
        vault.api("DELETE", path)


def test_a_leaf_above_the_maximum_is_refused_before_the_vault_cuts_it(restored: Stack) -> None:
    configure(restored, maxTtl="12h")
    is_refused(
        restored.preview(),
        "issuing.leaf.duration: 24h0m0s is above issuing.vault.maxTtl (12h0m0s)",
        "write less, or raise maxTtl",
    )


def test_a_clock_that_is_ahead_is_told(restored: Stack, vault: Vault, tmp_path: Path) -> None:
    def ahead(path: str, body: Any) -> Any:
        if path.startswith("sys/health"):
            return {**body, "server_time_utc": body["server_time_utc"] + 3600}
        return body

    with between(vault, tmp_path, answer=ahead) as url:
        configure(restored, address=url)
        run = restored.preview()
    assert run.status == 0, run.output
    assert f"the clock of {url} is " in run.output
    assert "s ahead of that of this machine" in run.output
    assert "let both follow one time service" in run.output
    configure(restored, address=vault.address)
    assert "the clock of" not in restored.preview().output


def test_a_parameter_that_the_server_ignores_stops_the_run(
    vault_plane: ControlPlane, vault: Vault, vault_api: Api, make_stack: MakeStack, tmp_path: Path
) -> None:
    ignores = True

    def without(path: str, body: Any) -> Any:
        if ignores and path.startswith(f"{mount('ignoring')}/roles/"):
            return {key: value for key, value in body.items() if key != "no_store"}
        return body

    with between(vault, tmp_path, request=without) as url:
        values = vault_stack("ignoring", vault_plane, vault, held={"address": url})
        stack = prepare(make_stack("ignoring"), vault, values)
        refused = stack.try_up()
        issued = cluster.certificates(vault_api, "ignoring")
        # With a server that takes it the same stack goes on.
        ignores = False
        stack.up("--refresh")
    assert refused.status != 0, refused.output
    for text in (
        f"{mount('ignoring')}/roles/{sign_role('ignoring')} is not what was asked for",
        "no_store: asked for True, held is False",
        "use one that can do it",
    ):
        assert text in refused.output, refused.output
    assert issued == {}
    assert all(cluster.is_ready(e) for e in cluster.certificates(vault_api, "ignoring").values())


def test_what_an_interrupted_write_left_out_is_written_by_the_next_run(
    vault_plane: ControlPlane, vault: Vault, make_stack: MakeStack, tmp_path: Path
) -> None:
    """The provider takes a write that failed for one that was made, and never repeats it."""
    refuses = True

    def spoiled(path: str, body: Any) -> Any:
        if refuses and path.startswith(f"{mount('halved')}/issuer/"):
            return {**body, "usage": "nothing-that-is-known"}
        return body

    with between(vault, tmp_path, request=spoiled) as url:
        values = vault_stack("halved", vault_plane, vault, held={"address": url})
        stack = prepare(make_stack("halved"), vault, values)
        failed = stack.try_up()
        refuses = False
        stack.up()
        whole = stack.up("--refresh")
    assert failed.status != 0, failed.output
    for which in ("g1-i1", "g1-root"):
        assert held_issuer(vault, mount("halved"), which)["leaf_not_after_behavior"] == "err"
    assert whole.changes == {}


def late(stack: Stack, name: str) -> Run:
    """An ``up`` with one service more, which gets no certificate."""
    values = stack.read()
    values["services"][name] = {"namespace": APPLIED}
    stack.write(values)
    return stack.try_up_in_vain()


def mended(stack: Stack, api: Api, name: str) -> None:
    """What the message says is done, and the service is there."""
    # cert-manager tries a failed issuance again after an hour; a new Certificate is at once.
    api.request("DELETE", f"{cluster.CERT_MANAGER}/namespaces/{APPLIED}/certificates/{name}")
    stack.up("--refresh")
    assert cluster.is_ready(cluster.certificates(api, APPLIED)[name])


def change(vault: Vault, path: str, values: Mapping[str, Any]) -> None:
    """What somebody does to the stack's mount by hand."""
    whole = vault.api("GET", f"{mount(APPLIED)}/{path}")["data"]
    vault.api("POST", f"{mount(APPLIED)}/{path}", {**whole, **values})


def test_a_role_that_refuses_a_name(applied: Stack, vault: Vault, vault_api: Api) -> None:
    role = f"roles/{sign_role(APPLIED)}"
    change(vault, role, {"allowed_domains": ["elsewhere.svc"]})
    run = late(applied, "named")
    refused_by_cert_manager(
        run,
        "named",
        "not allowed by this role",
        "the sign role refuses a name",
        "must lie below issuing.vault.allowedDomains",
    )
    mended(applied, vault_api, "named")


def test_a_chain_that_is_cross_signed_in_the_mount(
    applied: Stack, vault: Vault, vault_api: Api
) -> None:
    held = held_issuer(vault, mount(APPLIED))
    crossed = cross_signed(held["certificate"])
    path = f"{mount(APPLIED)}/issuers/import/bundle"
    imported = vault.api("POST", path, {"pem_bundle": crossed})["data"]["imported_issuers"]
    change(vault, f"issuer/{held['issuer_id']}", {"manual_chain": [held["issuer_id"], *imported]})
    run = late(applied, "crossed")
    refused_by_cert_manager(
        run,
        "crossed",
        "certificate chain is malformed or broken",
        "cross-signed in its mount",
        "`pulumi up --refresh`",
    )
    mended(applied, vault_api, "crossed")


def refused_by_cert_manager(run: Run, name: str, *said: str) -> None:
    assert run.status != 0, run.output
    for text in (f"Certificate {APPLIED}/{name}: ", *said):
        assert text in run.output, run.output
    assert "Traceback" not in run.output


def cross_signed(issuing_pem: str) -> str:
    """A certificate of the same CA by another root, and that root."""
    issuing = parse_certificate(issuing_pem, origin="issuing CA")
    root_pem = material.root("other")
    root = parse_certificate(root_pem, origin="root")
    key = material.key("other")
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuing.subject)
        .issuer_name(root.subject)
        .public_key(issuing.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(issuing.not_valid_before_utc)
        .not_valid_after(issuing.not_valid_after_utc)
        .add_extension(material.authority_key_id(root), critical=False)
    )
    for extension in issuing.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    signed = builder.sign(key, material.hashes.SHA256())
    return signed.public_bytes(material.serialization.Encoding.PEM).decode() + root_pem
