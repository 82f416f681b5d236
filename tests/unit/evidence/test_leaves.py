"""Which leaves are seen, whose they are, and who signed them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mtls_pki.pki.certificates import Validity
from mtls_pki.rotation.evidence import LeafObservation
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    CERTIFICATES,
    NOW,
    REQUESTS,
    SIGNING_REQUESTS,
    certificate,
    chain,
    fingerprint,
    issuing,
    owned,
    request,
    root,
    signing_request,
)
from tests.unit.pki import material
from tests.unit.pki.material import key, key_pem

TEAM_ISSUER = {"kind": "Issuer", "name": "team-ca"}
ENDED = Validity(NOW - timedelta(hours=25), NOW - timedelta(hours=1))


def leaves(stack: Stack, cluster: str = "dev") -> list[LeafObservation]:
    (found,) = (each for each in stack.read().reachable if each.cluster == cluster)
    return list(found.leaves)


def signers(*generations: str) -> frozenset[str]:
    return frozenset(map(fingerprint, generations))


def test_a_declared_certificate_is_judged_by_the_chain_of_its_request(stack: Stack) -> None:
    changed = owned("2026-11-23T11:30:00Z", "f:status", "f:revision")
    stack.dev.objects[CERTIFICATES] = [certificate(managed=(changed,))]
    stack.dev.objects[REQUESTS] = [request(chain("g1"))]
    (leaf,) = leaves(stack)
    assert (leaf.cluster, leaf.namespace, leaf.name, leaf.kind) == (
        "dev",
        "app",
        "web",
        "Certificate",
    )
    assert leaf.declared
    assert leaf.signers == signers("g1")
    assert leaf.issuer == "ClusterIssuer/mtls-ca-g1-i1"
    assert leaf.problem is None
    assert leaf.issued_at == datetime(2026, 11, 23, 11, 30, tzinfo=UTC)
    assert leaf.not_after == NOW + timedelta(hours=23)
    assert leaf.issuing_ca_not_after is not None


def test_what_the_stack_does_not_declare_counts_by_its_chain(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate("rogue", "team", issuer=TEAM_ISSUER)]
    stack.dev.objects[REQUESTS] = [
        request(chain("g1"), namespace="team", certificate="rogue", issuer=TEAM_ISSUER)
    ]
    (leaf,) = leaves(stack)
    assert (leaf.name, leaf.declared, leaf.signers) == ("rogue", False, signers("g1"))


def test_leaves_of_other_cas_are_not_ours(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate("theirs", "team", issuer=TEAM_ISSUER)]
    stack.dev.objects[REQUESTS] = [
        request(chain("other"), namespace="team", certificate="theirs", issuer=TEAM_ISSUER)
    ]
    assert leaves(stack) == []


def test_an_anchor_of_one_cluster_makes_leaves_ours_in_another(stack: Stack) -> None:
    stack.prod.objects["/api/v1/configmaps"] = []
    stack.prod.objects[REQUESTS] = [request(chain("g1"), certificate=None, issuer=TEAM_ISSUER)]
    assert [leaf.signers for leaf in leaves(stack, "prod")] == [signers("g1")]


def test_a_leaf_of_our_issuer_under_no_known_anchor_is_seen_without_a_signer(stack: Stack) -> None:
    stack.dev.objects[REQUESTS] = [request(chain("other"), certificate=None)]
    (leaf,) = leaves(stack)
    assert (leaf.signers, leaf.problem) == (frozenset(), None)


def test_only_the_current_revision_counts(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate(revision=2)]
    stack.dev.objects[REQUESTS] = [
        request(chain("g1"), name="web-1", revision=1),
        request(chain("other"), name="web-2", revision=2),
    ]
    (leaf,) = leaves(stack)
    assert leaf.signers == frozenset()


def test_an_issuance_under_way_counts_beside_the_current_leaf(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate(revision=1)]
    stack.dev.objects[REQUESTS] = [
        request(chain("other"), name="web-1", revision=1),
        request(chain("g1"), name="web-2", revision=2),
    ]
    found = {leaf.name: (leaf.kind, leaf.signers) for leaf in leaves(stack)}
    assert found == {
        "web": ("Certificate", frozenset()),
        "web-2": ("CertificateRequest", signers("g1")),
    }


def test_a_renewal_while_the_lists_are_read_leaves_no_gap(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate(revision=1)]

    def renew() -> None:
        stack.dev.objects[REQUESTS] = [request(chain("g1"), name="web-2", revision=2)]
        stack.dev.objects[CERTIFICATES] = [certificate(revision=2)]

    stack.dev.between[REQUESTS] = renew
    (leaf,) = leaves(stack)
    assert (leaf.name, leaf.problem, leaf.signers) == ("web", None, signers("g1"))


@pytest.mark.parametrize(
    ("held", "why"),
    [
        (certificate(revision=3), "revision 3 is gone"),
        (certificate(revision=None), "its CertificateRequest is gone"),
    ],
    ids=["request deleted", "took over a Secret"],
)
def test_a_certificate_without_its_request_has_an_unknown_signer(
    stack: Stack, held: dict[str, object], why: str
) -> None:
    stack.dev.objects[CERTIFICATES] = [held]
    (leaf,) = leaves(stack)
    assert leaf.problem is not None
    assert why in leaf.problem
    assert "cmctl renew -n app web" in leaf.problem
    assert leaf.not_after == datetime(2026, 11, 24, 11, tzinfo=UTC)


def test_a_request_of_an_earlier_certificate_of_that_name_is_not_its_own(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate(uid="new")]
    stack.dev.objects[REQUESTS] = [request(chain("g1"), uid="old")]
    found = {leaf.kind: leaf for leaf in leaves(stack)}
    assert found["Certificate"].problem is not None
    assert found["CertificateRequest"].signers == signers("g1")


def test_a_chain_that_cannot_be_read_has_an_unknown_signer(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate()]
    stack.dev.objects[REQUESTS] = [request("no certificate at all")]
    (leaf,) = leaves(stack)
    assert leaf.problem is not None


def test_a_certificate_that_never_was_issued_is_no_leaf(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate(revision=None, notAfter=None)]
    stack.dev.objects[REQUESTS] = [request(None)]
    assert leaves(stack) == []


def test_what_has_ended_is_no_leaf(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [
        certificate(),
        certificate("gone", revision=7, notAfter="2026-11-23T11:59:00Z"),
    ]
    stack.dev.objects[REQUESTS] = [
        request(chain("g1", ENDED)),
        request(chain("g1", ENDED), name="csi-1", certificate=None),
    ]
    stack.dev.objects[SIGNING_REQUESTS] = [
        signing_request(chain("g1", ENDED), "clusterissuers.cert-manager.io/mtls-ca-g1-i1")
    ]
    assert leaves(stack) == []


def test_requests_without_a_certificate_are_leaves(stack: Stack) -> None:
    stack.dev.objects[REQUESTS] = [request(chain("g1"), name="csi-1", certificate=None)]
    (leaf,) = leaves(stack)
    assert (leaf.kind, leaf.name, leaf.declared) == ("CertificateRequest", "csi-1", False)


def test_the_request_of_a_deleted_certificate_is_a_leaf(stack: Stack) -> None:
    stack.dev.objects[REQUESTS] = [request(chain("g1"))]
    assert [leaf.kind for leaf in leaves(stack)] == ["CertificateRequest"]


@pytest.mark.parametrize(
    ("signer", "text"),
    [
        ("clusterissuers.cert-manager.io/team.ca", "ClusterIssuer/team.ca"),
        ("issuers.cert-manager.io/team.the.ca", "Issuer/the.ca"),
    ],
)
def test_signing_requests_of_cert_manager_are_leaves(stack: Stack, signer: str, text: str) -> None:
    stack.dev.objects[SIGNING_REQUESTS] = [
        signing_request(chain("g1"), signer),
        signing_request(None, signer, name="pending"),
        signing_request(chain("g1"), "kubernetes.io/kubelet-serving", name="kubelet"),
    ]
    (leaf,) = leaves(stack)
    assert (leaf.kind, leaf.name, leaf.issuer) == ("CertificateSigningRequest", "csr-1", text)
    assert leaf.signers == signers("g1")


def test_a_ca_that_hangs_on_an_anchor_holds_it(stack: Stack) -> None:
    stack.dev.objects[CERTIFICATES] = [certificate("team-ca", "team", issuer=TEAM_ISSUER)]
    stack.dev.objects[REQUESTS] = [
        request(
            issuing("g1"), namespace="team", certificate="team-ca", issuer=TEAM_ISSUER, is_ca=True
        )
    ]
    assert [leaf.signers for leaf in leaves(stack)] == [signers("g1")]


def test_an_anchor_that_cert_manager_made_does_not_hold_itself(stack: Stack) -> None:
    selfsigned = {"kind": "ClusterIssuer", "name": "selfsigned"}
    stack.dev.objects[CERTIFICATES] = [certificate("root", issuer=selfsigned)]
    stack.dev.objects[REQUESTS] = [
        request(root("g1"), certificate="root", issuer=selfsigned, is_ca=True)
    ]
    assert leaves(stack) == []


def test_a_leaf_without_its_intermediate_is_judged_with_the_issuers_ca(stack: Stack) -> None:
    only = material.leaf(issuing("g1"), key("issuing-g1"))
    stack.dev.objects[REQUESTS] = [
        request(only, certificate=None, issuer=TEAM_ISSUER, ca=issuing("g1"))
    ]
    assert [leaf.signers for leaf in leaves(stack)] == [signers("g1")]


def test_a_root_of_the_same_name_is_told_apart(stack: Stack) -> None:
    impostor = material.root("impostor", common_name="root-g1.example.org")
    below = material.issuing("issuing-g1", root_pem=impostor, root_key=key_pem("impostor"))
    stack.dev.objects[REQUESTS] = [
        request(
            material.leaf(below, key("issuing-g1")) + below,
            certificate=None,
            issuer=TEAM_ISSUER,
        )
    ]
    assert leaves(stack) == []
