"""Whose the objects are that a stack would write, as its clusters show it."""

from __future__ import annotations

from typing import Any

import pytest

from mtls_pki.rotation.owned_object import OwnedObject
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    CONFIG_MAPS,
    bundle,
    certificate,
    config_map,
    issuer,
    owned,
)
from tests.unit.evidence.test_trust import BY_TRUST_MANAGER

PAY = {
    "mtls-pki/owner": "mtls-pki/pay",
    "mtls-pki/trust-domain": "pay.example.org",
    "mtls-pki/urn": "kubernetes:core/v1:ConfigMap::dev-mesh-trust-app",
}
BY_PROGRAM = owned("2026-11-23T09:00:00Z", "f:data", manager="mtls-pki")


def annotated(live: dict[str, Any], annotations: dict[str, str] | None = None) -> dict[str, Any]:
    live["metadata"]["annotations"] = annotations or PAY
    return live


def found(stack: Stack, **changes: Any) -> dict[str, OwnedObject]:
    (dev,) = (each for each in stack.read(**changes).reachable if each.cluster == "dev")
    return {each.entry: each for each in dev.owned}


def test_a_bundle_names_its_owner(stack: Stack) -> None:
    stack.dev.objects[CONFIG_MAPS] = [annotated(bundle("app", "g1")), bundle("elsewhere", "g1")]
    (seen,) = found(stack).values()
    assert seen.entry == "dev/app/ConfigMap/mesh-trust"
    assert (seen.owner, seen.trust_domain) == ("mtls-pki/pay", "pay.example.org")
    assert not seen.by_program


def test_what_a_release_before_the_annotation_wrote_is_known_by_its_field_manager(
    stack: Stack,
) -> None:
    stack.dev.objects[CONFIG_MAPS] = [bundle("app", "g1", managed=(BY_PROGRAM,))]
    (seen,) = found(stack).values()
    assert seen.owner is None
    assert seen.by_program


def test_copies_of_trust_manager_are_nobodys_to_write(stack: Stack) -> None:
    stack.dev.objects[CONFIG_MAPS] = [bundle("app", "g1", labels=BY_TRUST_MANAGER)]
    assert found(stack) == {}


def test_the_bundle_that_trust_manager_copies_names_its_owner(stack: Stack) -> None:
    path = "/apis/trust.cert-manager.io/v1alpha1/bundles/mesh-trust"
    stack.dev.objects[path] = annotated({"metadata": {"name": "mesh-trust"}})  # type: ignore[assignment]
    seen = found(stack, trust__via="trust-manager")["dev/Bundle/mesh-trust"]
    assert seen.owner == "mtls-pki/pay"
    assert "dev/Bundle/mesh-trust" not in found(stack)


def test_an_issuer_of_the_stacks_name_is_found_and_no_other(stack: Stack) -> None:
    stack.dev.objects[CLUSTER_ISSUERS] = [annotated(issuer("mtls-ca-g1-i1")), issuer("team-ca")]
    assert found(stack)["dev/ClusterIssuer/mtls-ca-g1-i1"].owner == "mtls-pki/pay"
    assert "dev/ClusterIssuer/team-ca" not in found(stack)


def test_the_ca_secret_of_another_stacks_issuer_is_that_stacks(stack: Stack) -> None:
    theirs = issuer("pay-ca-g1-i1", ca={"secretName": "mtls-ca-g1-i1"})
    stack.dev.objects[CLUSTER_ISSUERS] = [annotated(theirs)]
    seen = found(stack)["dev/cert-manager/Secret/mtls-ca-g1-i1"]
    assert seen.owner == "mtls-pki/pay"
    assert seen.through == "dev/ClusterIssuer/pay-ca-g1-i1"
    # Somebody may well point an issuer of his own at the stack's Secret.
    stack.dev.objects[CLUSTER_ISSUERS] = [issuer("team", ca={"secretName": "mtls-ca-g1-i1"})]
    assert "dev/cert-manager/Secret/mtls-ca-g1-i1" not in found(stack)


def test_a_certificate_of_a_services_name_is_found_and_no_other(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [
        annotated(certificate("web", "app")),
        annotated(certificate("other", "app")),
        certificate("web", "elsewhere"),
    ]
    certificates = [entry for entry in found(stack) if "/Certificate/" in entry]
    assert certificates == ["dev/app/Certificate/web"]


def test_another_stacks_record_is_not_this_stacks(stack: Stack) -> None:
    path = "/api/v1/namespaces/cert-manager/configmaps/mesh-trust-stage"
    live = config_map("cert-manager", {"stage.json": "{}"}, name="mesh-trust-stage")
    stack.dev.objects[path] = annotated(live)  # type: ignore[assignment]
    (dev,) = (each for each in stack.read().reachable if each.cluster == "dev")
    assert dev.gate is None
    assert found(stack)["dev/cert-manager/ConfigMap/mesh-trust-stage"].owner == "mtls-pki/pay"
    (dev,) = (
        each
        for each in stack.read(formerOwners=["mtls-pki/pay"]).reachable
        if each.cluster == "dev"
    )
    assert dev.gate is not None


def test_a_record_remembers_what_the_cluster_was_called(stack: Stack) -> None:
    path = "/api/v1/namespaces/cert-manager/configmaps/mesh-trust-stage"
    live = config_map("cert-manager", {"stage.json": "{}"}, name="mesh-trust-stage")
    stack.dev.objects[path] = annotated(  # type: ignore[assignment]
        live, {"mtls-pki/owner": "mtls-pki/test", "mtls-pki/cluster-names": "lab old"}
    )
    (dev,) = (each for each in stack.read().reachable if each.cluster == "dev")
    assert dev.gate is not None
    assert dev.gate.cluster_names == ("lab", "old")


def test_a_record_vouches_for_what_names_no_owner_unless_it_may_be_anothers(stack: Stack) -> None:
    def recorded(**annotations: str) -> dict[str, Any]:
        live = config_map("cert-manager", {"stage.json": "{}"}, name="mesh-trust-stage")
        return annotated(live, annotations)

    def vouches() -> bool:
        (dev,) = (each for each in stack.read().reachable if each.cluster == "dev")
        assert dev.gate is not None
        return dev.gate.vouches

    collection = "/api/v1/namespaces/cert-manager/configmaps"
    neighbour = config_map("cert-manager", {"stage.json": "{}"}, name="pay-trust-stage")
    for own, records, expected in (
        (recorded(x="y"), [neighbour], True),
        (recorded(**{"mtls-pki/owner": "mtls-pki/test"}), [], True),
        (recorded(**{"mtls-pki/owner": "mtls-pki/test"}), [neighbour], False),
    ):
        stack.dev.objects[f"{collection}/mesh-trust-stage"] = own  # type: ignore[assignment]
        stack.dev.objects[collection] = [own, *records]
        assert vouches() is expected


GLOO = {"management": "dev", "workloads": ["prod"]}


@pytest.mark.parametrize(
    ("namespace", "secret", "owner"),
    [
        ("cert-manager", "mtls-ca-g1-i1", "this stack"),
        ("istio-system", "cacerts", "this stack"),
        ("gloo-mesh", "relay-server-tls-secret", "this stack"),
        ("app", "web-tls", "Certificate web of this stack"),
    ],
)
def test_a_certificate_that_writes_into_a_secret_of_the_stack_is_named(
    stack: Stack, namespace: str, secret: str, owner: str
) -> None:
    second = certificate("second", namespace, spec={"secretName": secret})
    stack.dev.objects[CERTIFICATES] = [second, certificate("web")]
    evidence = stack.read(consumers={"istio": {}, "gloo": GLOO}, anchors__g1__pathLength=2)
    (dev,) = (each for each in evidence.reachable if each.cluster == "dev")
    about = [each for each in dev.remarks if "second" in each]
    assert about == [
        f"Certificate {namespace}/second writes into the Secret {secret}, which belongs to "
        f"{owner}; delete that Certificate, or give it another spec.secretName, then "
        "`pulumi up --refresh`"
    ]


def test_a_certificate_with_a_secret_of_its_own_is_nothing_to_tell(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate("other"), certificate("web")]
    (dev,) = (each for each in stack.read().reachable if each.cluster == "dev")
    assert dev.remarks == ()
