"""The committed dev stack, by the real engine on a real control plane."""

from __future__ import annotations

import json

import pytest

from lab.api import Api
from mtls_pki.pki.parsing import parse_certificate
from tests.integration.support import cluster
from tests.integration.support.chains import (
    assert_chain_holds,
    assert_chain_is_refused,
    blocks,
)
from tests.integration.support.secrets import assert_no_private_key
from tests.integration.support.stack import Stack
from tests.unit.pki import material
from tests.unit.pki.assertions import assert_is_issuing_ca, assert_is_root

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

NAMESPACE = "monoskope"
GENERATION = "m8-root-ca-issuer-g1-i1"
# What the linter may say of a leaf beside what it may say of all, and why.
ALLOWED_FINDINGS = {
    "gateway": {},
    "cockroachdb": {
        "pkix.invalid_domain_name_syntax": "CockroachDB wants the names node and localhost, which "
        "have one label; the linter takes two for granted, RFC 1034 3.5 does not"
    },
}


def test_everything_that_is_declared_is_there_and_ready(dev_stack: Stack, api: Api) -> None:
    services = dev_stack.read()["services"]
    live = cluster.certificates(api, NAMESPACE)
    assert set(live) == set(services)
    assert all(cluster.is_ready(each) for each in live.values())
    assert {each["spec"]["issuerRef"]["name"] for each in live.values()} == {GENERATION}
    issuers = f"{cluster.CERT_MANAGER}/namespaces/{NAMESPACE}/issuers"
    # Monoskope's own names stand beside those of the generation, for Certificates of its charts.
    assert cluster.names(api, issuers) == {"m8-root-ca-issuer", GENERATION}
    own = cluster.secret(api, NAMESPACE, "m8-trust-anchor")
    assert own == cluster.secret(api, NAMESPACE, "m8-trust-anchor-g1-i1")
    assert list(cluster.config_map(api, NAMESPACE, "mesh-trust")) == ["ca.crt"]
    stage = json.loads(cluster.config_map(api, "cert-manager", "mesh-trust-stage")["stage.json"])
    assert stage["anchors"]["g1"]["role"] == "issuing"


def test_a_certificate_that_a_team_declares_is_issued_by_the_stable_issuer(
    dev_stack: Stack, api: Api
) -> None:
    path = f"{cluster.CERT_MANAGER}/namespaces/{NAMESPACE}/certificates/teams-own"
    manifest = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "teams-own", "namespace": NAMESPACE},
        "spec": {
            "secretName": "teams-own-tls",
            "dnsNames": ["teams-own.monoskope.svc"],
            "issuerRef": {"name": "m8-root-ca-issuer", "kind": "Issuer"},
        },
    }
    api.apply_text(path, json.dumps(manifest))
    try:
        cluster.wait_for(lambda: cluster.is_ready(api.request("GET", path)), "Ready certificate")
    finally:
        api.request("DELETE", path)


def test_a_second_up_writes_nothing(dev_stack: Stack, api: Api) -> None:
    before = cluster.settled_snapshot(api)
    again = dev_stack.up()
    assert again.changes == {}
    assert cluster.changed_objects(before, cluster.snapshot(api)) == set()


def test_a_preview_expects_no_changes_and_a_refresh_finds_none(dev_stack: Stack) -> None:
    assert dev_stack.preview("--expect-no-changes").status == 0
    assert dev_stack.refresh("--expect-no-changes").changes == {}
    assert dev_stack.preview("--expect-no-changes").status == 0


def test_a_service_more_or_less_touches_its_certificate_alone(dev_stack: Stack, api: Api) -> None:
    configured = dev_stack.read()
    live = cluster.certificates(api, NAMESPACE)
    more = {**configured["services"], "search": {"namespace": NAMESPACE}}
    dev_stack.write({**configured, "services": more})
    try:
        assert dev_stack.up().changes == {"dev/monoskope/search": "create"}
        assert cluster.is_ready(cluster.certificates(api, NAMESPACE)["search"])
    finally:
        dev_stack.write(configured)
        less = dev_stack.up()
    assert less.changes == {"dev/monoskope/search": "delete"}
    versions = {name: each["metadata"]["resourceVersion"] for name, each in live.items()}
    after = cluster.certificates(api, NAMESPACE)
    assert {n: each["metadata"]["resourceVersion"] for n, each in after.items()} == versions


def test_every_verifier_and_the_linter_accept_what_cert_manager_issued(
    dev_stack: Stack, api: Api
) -> None:
    bundle = cluster.config_map(api, NAMESPACE, "mesh-trust")["ca.crt"]
    stranger = material.root("stranger")
    for name, allowed in ALLOWED_FINDINGS.items():
        chain = cluster.secret(api, NAMESPACE, f"{name}-tls")["tls.crt"]
        host = f"{name}.{NAMESPACE}.svc.cluster.local"
        assert_chain_holds(chain, bundle, host, allowed=allowed)
        assert_chain_is_refused(chain, stranger, host)


def test_root_and_issuing_ca_have_the_profile_of_step(dev_stack: Stack, api: Api) -> None:
    bundle = cluster.config_map(api, NAMESPACE, "mesh-trust")["ca.crt"]
    (root,) = (parse_certificate(pem, origin="bundle") for pem in blocks(bundle))
    assert_is_root(root, path_length=1)
    chain = cluster.secret(api, NAMESPACE, "m8-trust-anchor")["tls.crt"]
    issuing, above = (parse_certificate(pem, origin="CA Secret") for pem in blocks(chain))
    assert above == root
    assert_is_issuing_ca(issuing, root=root, path_length=0)


def test_no_private_key_is_in_the_state_nor_in_anything_printed_or_logged(
    dev_stack: Stack, api: Api
) -> None:
    exported = dev_stack.must("stack", "export", "--stack", "dev").output
    shown = dev_stack.preview("--json", "--show-sames", "--refresh").output
    written = [
        dev_stack.state_file,
        dev_stack.file,
        *dev_stack.event_logs(),
        *(path for path in dev_stack.engine.backend.rglob("*.json*") if path.is_file()),
        *(path for path in (dev_stack.engine.home / "logs").rglob("*") if path.is_file()),
    ]
    texts = {str(path): path.read_text(encoding="utf-8", errors="replace") for path in written}
    texts |= {f"output {number}": text for number, text in enumerate(dev_stack.printed)}
    texts |= {"stack export": exported, "preview --json": shown}
    # Not a vacuous search: the issuing CA's key is known, and the state is not empty.
    key = cluster.secret(api, NAMESPACE, "m8-trust-anchor")["tls.key"]
    assert "PrivateKey" in texts[str(dev_stack.state_file)]
    assert_no_private_key(texts, keys=[key])
    with pytest.raises(AssertionError, match="the CA Secret"):
        assert_no_private_key({"the CA Secret": key})
