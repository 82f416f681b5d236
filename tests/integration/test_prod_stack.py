"""The committed prod stack on two clusters, with a root and an issuing CA made for the test."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from lab.api import Api
from mtls_pki.pki.certificates import Validity
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster, mtls
from tests.integration.support.chains import assert_chain_holds
from tests.integration.support.policy import assert_no_finding
from tests.integration.support.secrets import assert_no_private_key
from tests.integration.support.stack import Stack, merged_kubeconfig
from tests.unit.pki import material

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("prod")]

CLUSTERS = ("prod-eu", "prod-us")
GENERATION = "mesh-ca-g1-i1"
SERVICES = {
    "prod-eu": {"shop": {"catalog", "checkout"}, "payments": {"ledger"}},
    "prod-us": {"shop": {"catalog", "checkout"}, "payments": set()},
}


@pytest.fixture(scope="module")
def apis(lab: Lab) -> Iterator[Mapping[str, Api]]:
    """The administrators of both clusters, in which the namespaces are there already."""
    planes = lab.up(*CLUSTERS, with_=("trust-manager",))
    opened = {plane.name: plane.api() for plane in planes}
    for api in opened.values():
        for name in ("shop", "payments"):
            namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            api.apply(namespace)
    yield opened
    for api in opened.values():
        api.close()


@pytest.fixture(scope="module")
def prod(lab: Lab, apis: Mapping[str, Api], make_stack: MakeStack) -> Stack:
    """The committed stack with our own ceremony's files, applied."""
    planes = lab.up(*CLUSTERS, with_=("trust-manager",))
    kubeconfigs = merged_kubeconfig(*(plane.kubeconfig for plane in planes))
    stack = make_stack("prod", {"KUBECONFIG": kubeconfigs})
    anchor = stack.read()["anchors"]["g1"]
    _ceremony(stack.project, anchor)
    _forget_encrypted_values(stack.file)
    stack.init()
    stack.must(
        *("config", "set", "--stack", "prod", "--secret", "--path"),
        "mtls-pki:anchors.g1.issuingCa.privateKey",
        standard_input=material.key_pem("prod-issuing"),
    )
    stack.must("up", "--yes", "--stack", "prod")
    return stack


def _ceremony(project: Path, anchor: dict[str, dict[str, str]]) -> None:
    """Put a root and an issuing CA of today where the stack file expects them."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    root = material.root("prod", validity=Validity(today, today + timedelta(days=3650)))
    issuing = material.issuing(
        "prod-issuing",
        root_pem=root,
        root_key=material.key_pem("prod"),
        validity=Validity(today, today + timedelta(days=1095)),
    )
    (project / str(anchor["certificate"])).write_text(root)
    (project / anchor["issuingCa"]["certificate"]).write_text(issuing)


def _forget_encrypted_values(file: Path) -> None:
    """Leave out what is encrypted for nobody; all else stays as it is committed."""
    document = yaml.safe_load(file.read_text())
    del document["encryptionsalt"]
    del document["config"]["mtls-pki:anchors"]["g1"]["issuingCa"]["privateKey"]
    file.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize("name", CLUSTERS)
def test_each_cluster_has_its_issuers_services_and_bundles(
    prod: Stack, apis: Mapping[str, Api], name: str
) -> None:
    api = apis[name]
    issuers = api.request("GET", f"{cluster.CERT_MANAGER}/clusterissuers")["items"]
    assert {each["metadata"]["name"] for each in issuers} == {"mesh-ca", GENERATION}
    assert all(cluster.is_ready(each) for each in issuers)
    root = (prod.project / "trust/prod/root-g1.pem").read_text()
    for namespace, services in SERVICES[name].items():
        # trust-manager ends its text without a newline.
        assert cluster.config_map(api, namespace, "mesh-trust") == {"ca.crt": root.rstrip()}
        live = cluster.certificates(api, namespace)
        assert set(live) == services
        assert all(cluster.is_ready(each) for each in live.values())
        assert {each["spec"]["issuerRef"]["name"] for each in live.values()} <= {GENERATION}
    # trust-manager gives trust to the mesh's namespaces alone.
    configured = "/api/v1/namespaces/default/configmaps"
    assert "mesh-trust" not in cluster.names(api, configured)


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_verifier_accepts_chains_below_the_root_that_was_brought(
    prod: Stack, apis: Mapping[str, Api], name: str
) -> None:
    chain = cluster.secret(apis[name], "shop", "checkout-tls")["tls.crt"]
    bundle = cluster.config_map(apis[name], "shop", "mesh-trust")["ca.crt"]
    assert_chain_holds(chain, bundle, "checkout.shop.svc.cluster.local")


def test_a_service_of_one_cluster_talks_to_one_of_the_other(
    prod: Stack, apis: Mapping[str, Api], tmp_path: Path
) -> None:
    server, client = (
        cluster.materialise(
            apis[where],
            namespace,
            service=service,
            bundle="mesh-trust",
            key="ca.crt",
            directory=tmp_path / service,
        )
        for where, namespace, service in (
            ("prod-eu", "payments", "ledger"),
            ("prod-us", "shop", "checkout"),
        )
    )
    with mtls.server("openssl", server) as port:
        talk = mtls.call("python", client, port, "ledger.payments.svc.cluster.local")
    assert talk.held, talk.reason


def test_a_second_up_writes_nothing_in_any_cluster(prod: Stack, apis: Mapping[str, Api]) -> None:
    before = {name: cluster.settled_snapshot(api) for name, api in apis.items()}
    assert prod.up().changes == {}
    for name, api in apis.items():
        assert cluster.changed_objects(before[name], cluster.snapshot(api)) == set()


def test_the_policy_pack_finds_nothing(prod: Stack) -> None:
    assert_no_finding(prod)


def test_the_key_that_was_brought_is_nowhere_in_clear_text(prod: Stack) -> None:
    texts = {str(path): path.read_text() for path in (prod.state_file, prod.file)}
    texts |= {str(path): path.read_text() for path in prod.event_logs()}
    texts |= {f"output {number}": text for number, text in enumerate(prod.printed)}
    texts["stack export"] = prod.must("stack", "export", "--stack", "prod").output
    assert "ciphertext" in texts["stack export"]
    assert_no_private_key(texts, keys=[material.key_pem("prod-issuing")])


def test_a_key_that_is_not_the_issuing_cas_is_refused_before_anything(
    prod: Stack, apis: Mapping[str, Api]
) -> None:
    path = "mtls-pki:anchors.g1.issuingCa.privateKey"
    options = ("config", "set", "--stack", "prod", "--secret", "--path", path)
    right = prod.file.read_text()
    prod.must(*options, standard_input=material.key_pem("another"))
    try:
        run = prod.try_up()
    finally:
        prod.file.write_text(right)
    assert run.status == 1
    assert "anchors.g1.issuingCa: trust/prod/issuing-g1-i1.pem" in run.output
    assert "Traceback" not in run.output
    assert run.changes == {}


def test_a_key_in_clear_text_is_refused_and_not_shown(prod: Stack) -> None:
    right = prod.file.read_text()
    document = yaml.safe_load(right)
    key = material.key_pem("prod-issuing")
    document["config"]["mtls-pki:anchors"]["g1"]["issuingCa"]["privateKey"] = key
    prod.file.write_text(json.dumps(document))
    logged = set(prod.event_logs())
    try:
        run = prod.try_up()
    finally:
        prod.file.write_text(right)
        # The engine logs the configuration as it was written; another test reads all other logs.
        for log in set(prod.event_logs()) - logged:
            log.unlink()
    assert run.status == 1
    assert "anchors.g1.issuingCa.privateKey: a private key in clear text" in run.output
    assert_no_private_key({"output": run.output}, keys=[key])
