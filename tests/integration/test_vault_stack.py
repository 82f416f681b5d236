"""A stack whose issuing CA is in a Vault: the real server, under the policy that is shipped."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import subprocess
import sys
from typing import Any

import pytest
from cryptography import x509
from hvac.exceptions import VaultError

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.backends.vault.names import issuer_name_of
from mtls_pki.pki.parsing import parse_certificate
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.chains import assert_chain_holds, assert_chain_is_refused, blocks
from tests.integration.support.killing import up_killed_after
from tests.integration.support.policy import assert_no_finding
from tests.integration.support.secrets import assert_no_private_key
from tests.integration.support.stack import Stack
from tests.integration.support.vault import AuditEntry, Vault
from tests.integration.support.vault_stack import (
    EVIDENCE,
    auth_path,
    held_issuer,
    issuer,
    mount,
    prepare,
    sign_role,
    token,
    user,
    vault_stack,
)
from tests.unit.pki import material
from tests.unit.pki.assertions import assert_is_issuing_ca, assert_is_root

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("vault")]

NAME = "held"


@pytest.fixture(scope="module")
def began() -> dt.datetime:
    """Before the first request of this module."""
    return dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def applied(
    vault_plane: ControlPlane, vault: Vault, make_stack: MakeStack, began: dt.datetime
) -> Stack:
    """A stack applied once, with its preview, as a user does it."""
    stack = prepare(make_stack(NAME), vault, vault_stack(NAME, vault_plane, vault))
    stack.must("up", "--yes", "--stack", NAME)
    return stack


def writes(vault: Vault, since: dt.datetime, who: str) -> list[AuditEntry]:
    """What ``who`` changed; asking what a token may do is an update in the server's words only."""
    return [
        entry
        for entry in vault.audit_requests(since)
        if entry.user == who
        and entry.operation not in ("read", "list")
        and entry.path != "sys/capabilities-self"
    ]


def with_key(vault: Vault, name: str) -> dict[str, bool]:
    """Whether each issuer of a stack's mount can sign, by what it is called in the stack."""
    held = vault.api("LIST", f"{mount(name)}/issuers")["data"]["keys"]
    found = [vault.api("GET", f"{mount(name)}/issuer/{each}")["data"] for each in held]
    names = {issuer_name_of(each["issuer_name"]): bool(each["key_id"]) for each in found}
    assert len(names) == len(held), "two of one name"
    return names


def test_the_issuing_ca_is_in_the_vault_and_its_key_nowhere_else(
    applied: Stack, vault: Vault, vault_api: Api
) -> None:
    live = cluster.certificates(vault_api, NAME)
    assert set(live) == {"web", "db"}
    assert all(cluster.is_ready(each) for each in live.values())
    assert {each["spec"]["issuerRef"]["name"] for each in live.values()} == {issuer(NAME)}
    held = held_issuer(vault, mount(NAME))
    own = held["issuer_id"]
    # Beside it the root, which came with its chain, and which nobody can sign with.
    assert with_key(vault, NAME) == {"g1-i1": True, "g1-root": False}
    assert vault.api("GET", f"{mount(NAME)}/config/issuers")["data"]["default"] == own
    assert vault.api("GET", f"{mount(NAME)}/roles/{sign_role(NAME)}")["data"]["issuer_ref"] == own
    # The bundle's root is of the stack's anchor; the Vault holds what stands below it.
    (root,) = _parsed(cluster.config_map(vault_api, NAME, f"{NAME}-trust")["ca.crt"])
    assert_is_root(root, path_length=1)
    (issuing,) = _parsed(held["certificate"])
    assert_is_issuing_ca(issuing, root=root, path_length=0)
    secrets = cluster.names(vault_api, f"/api/v1/namespaces/{NAME}/secrets")
    assert secrets == {"web-tls", "db-tls"}


def test_who_logs_in_for_an_issuer_may_sign_through_its_role_and_nothing_else(
    applied: Stack, vault: Vault
) -> None:
    role = vault.api("GET", f"auth/{auth_path(NAME)}/role/{issuer(NAME)}-{NAME}")["data"]
    assert role["bound_service_account_names"] == [issuer(NAME)]
    assert role["bound_service_account_namespaces"] == [NAME]
    assert role["audience"] == f"vault://{NAME}/{issuer(NAME)}"
    assert role["token_policies"] == [sign_role(NAME)]
    assert role["token_no_default_policy"] is True
    policy = vault.api("GET", f"sys/policies/acl/{sign_role(NAME)}")["data"]["policy"]
    assert (
        policy.split()
        == (
            f'path "{mount(NAME)}/sign/{sign_role(NAME)}" {{ capabilities = ["create", "update"] '
            'denied_parameters = { "not_after" = [] "not_before" = [] } }'
        ).split()
    )


def test_every_verifier_and_the_linter_accept_what_the_vault_signed(
    applied: Stack, vault: Vault, vault_api: Api
) -> None:
    bundle = cluster.config_map(vault_api, NAME, f"{NAME}-trust")["ca.crt"]
    for name in ("web", "db"):
        chain = cluster.secret(vault_api, NAME, f"{name}-tls")["tls.crt"]
        assert len(blocks(chain)) == 2, "leaf and issuing CA, without the root"
        host = f"{name}.{NAME}.svc.cluster.local"
        assert_chain_holds(chain, bundle, host)
        assert_chain_is_refused(chain, material.root("stranger"), host)


def test_an_up_without_a_change_writes_nothing(
    applied: Stack, vault: Vault, vault_api: Api, began: dt.datetime
) -> None:
    before, since = cluster.settled_snapshot(vault_api), dt.datetime.now(dt.UTC)
    assert applied.up().changes == {}
    assert writes(vault, since, user(applied)) == []
    assert cluster.changed_objects(before, cluster.snapshot(vault_api)) == set()
    assert not [entry for entry in vault.audit_requests(since) if "/sign/" in entry.path]
    # Not a vacuous search: the first `up` is found by it.
    assert {entry.path for entry in writes(vault, began, user(applied))} >= {
        f"sys/mounts/{mount(NAME)}",
        f"{mount(NAME)}/intermediate/set-signed",
        f"{mount(NAME)}/roles/{sign_role(NAME)}",
    }


def test_previews_need_the_evidence_policy_only_and_a_refresh_finds_no_change(
    applied: Stack, vault: Vault
) -> None:
    own = applied.environment["VAULT_TOKEN"]
    applied.environment["VAULT_TOKEN"] = token(applied, vault, EVIDENCE)
    since = dt.datetime.now(dt.UTC)
    try:
        preview = applied.preview("--expect-no-changes")
        refreshing = applied.preview("--expect-no-changes", "--refresh")
    finally:
        applied.environment["VAULT_TOKEN"] = own
    assert preview.status == 0, preview.output
    assert refreshing.status == 0, refreshing.output
    assert writes(vault, since, user(applied, EVIDENCE)) == []
    assert applied.refresh("--expect-no-changes").changes == {}
    assert applied.preview("--expect-no-changes").status == 0


def test_neither_token_nor_key_is_in_the_state_nor_in_anything_printed_or_logged(
    applied: Stack, vault: Vault, vault_api: Api
) -> None:
    exported = applied.must("stack", "export", "--show-secrets", "--stack", NAME).output
    applied.printed.remove(exported)
    shown = applied.preview("--json", "--show-sames", "--refresh").output
    secret = applied.environment["VAULT_TOKEN"]
    written = [
        applied.state_file,
        applied.file,
        *applied.event_logs(),
        *(path for path in applied.engine.backend.rglob("*.json*") if path.is_file()),
        *(path for path in (applied.engine.home / "logs").rglob("*") if path.is_file()),
    ]
    texts = {str(path): path.read_text(encoding="utf-8", errors="replace") for path in written}
    texts |= {f"output {number}": text for number, text in enumerate(applied.printed)}
    texts |= {"stack export": exported, "preview --json": shown}
    holders = [place for place, text in texts.items() if secret in text or vault.root_token in text]
    assert holders == []
    providers = [
        each["inputs"]
        for each in json.loads(exported)["deployment"]["resources"]
        if each["type"] == "pulumi:providers:vault"
    ]
    assert [provider["address"] for provider in providers] == [vault.address]
    assert "token" not in providers[0], "the engine would keep it, if encrypted"
    # Asked to show secrets, the export shows the anchor's key, and would have shown a token.
    assert "BEGIN PRIVATE KEY" in texts["stack export"]
    del texts["stack export"]
    leaf = cluster.secret(vault_api, NAME, "web-tls")["tls.key"]
    assert_no_private_key(texts, keys=[leaf])


def status(stack: Stack, vault: Vault) -> dict[str, Any]:
    """What ``mtls-pki status`` says of the Vault to who may read only."""
    done = subprocess.run(
        [sys.executable, "-m", "mtls_pki", "status", "--json", "--stack", stack.name],
        cwd=stack.project,
        env=os.environ
        # The server is the configured one, whatever the shell names.
        | {"BAO_ADDR": "https://127.0.0.1:1"}
        | {"VAULT_TOKEN": token(stack, vault, EVIDENCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["vault"]
    return found


def test_status_shows_the_mounts_health_and_a_leaf_that_the_role_cut_short(
    applied: Stack, vault: Vault, vault_api: Api
) -> None:
    found = status(applied, vault)
    assert found["server"].startswith("OpenBao 2.")
    assert found["problems"] == []
    issuers = {
        issuer_name_of(each["name"]): (each["anchor"], each["hasKey"], each["default"])
        for each in found["issuers"]
    }
    assert issuers == {"g1-i1": (False, True, True), "g1-root": (True, False, False)}
    statuses = {each["status"] for each in found["healthCheck"]}
    assert "ok" in statuses
    assert "insufficient_permissions" not in statuses
    assert found["leavesUnlikeAsked"] == []

    path = f"{cluster.CERT_MANAGER}/namespaces/{NAME}/certificates/long"
    names = [f"long.{NAME}.svc"]
    reference = {"name": issuer(NAME), "kind": "Issuer"}
    key = {"algorithm": "ECDSA", "rotationPolicy": "Always"}
    spec = {"secretName": "long-tls", "dnsNames": names, "duration": "240h", "privateKey": key}
    asked = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "long", "namespace": NAME},
        "spec": spec | {"issuerRef": reference},
    }
    vault_api.apply_text(path, json.dumps(asked))
    try:
        cluster.wait_for(lambda: cluster.is_ready(vault_api.request("GET", path)), "long leaf")
        (line,) = status(applied, vault)["leavesUnlikeAsked"]
    finally:
        vault_api.request("DELETE", path)
        vault_api.request("DELETE", f"/api/v1/namespaces/{NAME}/secrets/long-tls")
    assert line.startswith(f"cluster dev: Certificate {NAME}/long: asked for 240h0m0s, and got 24h")


def test_the_policy_pack_finds_no_fault(applied: Stack) -> None:
    assert_no_finding(applied)


def test_destroy_is_refused_and_touches_nothing(
    applied: Stack, vault: Vault, vault_api: Api
) -> None:
    before, since = cluster.settled_snapshot(vault_api), dt.datetime.now(dt.UTC)
    for options, words in (((), "--run-program"), (("--run-program",), "abandon: [stack]")):
        refused = applied.try_destroy(*options)
        assert refused.status != 0
        assert words in refused.output
    assert writes(vault, since, user(applied)) == []
    assert cluster.changed_objects(before, cluster.snapshot(vault_api)) == set()


def test_a_namespace_of_the_server_holds_all_of_it(
    vault_plane: ControlPlane, vault: Vault, vault_api: Api, make_stack: MakeStack
) -> None:
    name = "spaced"
    vault.api("POST", "sys/namespaces/team")
    values = vault_stack(name, vault_plane, vault, held={"namespace": "team"})
    stack = prepare(make_stack(name), vault, values)
    stack.up()
    assert all(cluster.is_ready(each) for each in cluster.certificates(vault_api, name).values())
    assert vault.api("GET", f"team/sys/mounts/{mount(name)}")["data"]["type"] == "pki"
    with pytest.raises(VaultError, match="No secret engine mount"):
        vault.api("GET", f"sys/mounts/{mount(name)}")
    # What the shell has set is not what was reviewed.
    stack.environment["VAULT_NAMESPACE"] = "elsewhere"
    assert stack.up().changes == {}


@pytest.mark.parametrize(("name", "checkpoints"), [("early", 8), ("midway", 24)])
def test_a_first_up_that_is_killed_is_resumed_and_makes_one_issuing_ca(
    vault_plane: ControlPlane,
    vault: Vault,
    vault_api: Api,
    make_stack: MakeStack,
    name: str,
    checkpoints: int,
) -> None:
    stack = prepare(make_stack(name), vault, vault_stack(name, vault_plane, vault))
    ended = up_killed_after(stack, checkpoints, random.Random(checkpoints))  # noqa: S311 no secret
    assert ended is None, "it ended before it was killed"
    assert cluster.certificates(vault_api, name) == {}, "it was nearly done"

    # docs/operations.md, "A run that was killed".
    stack.must("cancel", "--yes", name)
    stack.refresh("--clear-pending-creates")
    resumed = stack.up()
    assert "pending operations" not in resumed.output

    assert all(cluster.is_ready(each) for each in cluster.certificates(vault_api, name).values())
    assert with_key(vault, name) == {"g1-i1": True, "g1-root": False}
    chain = cluster.secret(vault_api, name, "web-tls")["tls.crt"]
    bundle = cluster.config_map(vault_api, name, f"{name}-trust")["ca.crt"]
    assert_chain_holds(chain, bundle, f"web.{name}.svc.cluster.local")
    assert stack.up().changes == {}


def _parsed(pem: str) -> list[x509.Certificate]:
    return [parse_certificate(block, origin="certificate") for block in blocks(pem)]
