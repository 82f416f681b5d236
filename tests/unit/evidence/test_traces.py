"""Leaves whose chain nothing shows: whose they are, until when, and what is said to be unseen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mtls_pki.rotation.evidence import ClusterEvidence, LeafObservation
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    ISSUERS,
    NOW,
    OUR_ISSUER,
    REQUESTS,
    SECRETS,
    SIGNING_REQUESTS,
    STAGE,
    certificate,
    chain,
    fingerprint,
    issuer,
    issuing,
    owned,
    record,
    request,
    secret,
    signing_request,
)
from tests.unit.settings.configuration import G2

TEAM_ISSUER = {"kind": "Issuer", "name": "team-ca"}
STABLE = {"kind": "ClusterIssuer", "name": "mtls-ca"}
G1, G2_FINGERPRINT = frozenset({fingerprint("g1")}), frozenset({fingerprint("g2")})
NOBODY: frozenset[str] = frozenset()
# Around 11:00, when the current leaf was signed.
SIGNED = "2026-11-23T11:00:00Z"
BEFORE, AFTER = "2026-11-23T10:59:59Z", "2026-11-23T11:30:00Z"


@pytest.fixture(autouse=True)
def _recorded(stack: Stack) -> None:
    stack.dev.objects[STAGE] = record(g1="issuing", g2="incoming")


def dev(stack: Stack, **changes: Any) -> ClusterEvidence:
    (found,) = (each for each in stack.read(**changes).reachable if each.cluster == "dev")
    return found


def leaves(stack: Stack, **changes: Any) -> dict[str, LeafObservation]:
    return {leaf.name: leaf for leaf in dev(stack, **changes).leaves}


def lost(
    name: str = "web",
    *,
    now_named: dict[str, str] = OUR_ISSUER,
    named_since: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return a Certificate of revision 3 whose request is gone; ``named_since`` its issuerRef."""
    managed = (owned(named_since, "f:spec", "f:issuerRef"),) if named_since else ()
    given = {"revision": 3, "generation": 2, "notBefore": SIGNED, "managed": managed, **more}
    return certificate(name, issuer=now_named, **given)


class TestSecretsThatNoCertificateKeeps:
    def test_of_a_deleted_certificate_is_a_leaf_of_the_issuer_of_its_issuance(
        self, stack: Stack
    ) -> None:
        stack.dev.objects[SECRETS] = [secret()]
        leaf = leaves(stack)["web-tls"]
        assert (leaf.kind, leaf.namespace, leaf.declared) == ("Secret", "app", False)
        assert leaf.signers == G1
        assert leaf.problem is None
        assert leaf.issuer == "ClusterIssuer/mtls-ca-g1-i1"
        assert leaf.issued_at == datetime(2026, 11, 23, 11, tzinfo=UTC)

    def test_lives_at_most_for_the_longest_lifetime_of_a_leaf(self, stack: Stack) -> None:
        """cert-manager gives 90 days to who asks for nothing, and the stack may give more."""
        stack.dev.objects[SECRETS] = [secret()]
        written = datetime(2026, 11, 23, 11, tzinfo=UTC)
        assert leaves(stack)["web-tls"].not_after == written + timedelta(days=90)
        longer = {"issuing__leaf": {"duration": "2400h", "renewBefore": "8h"}}
        assert leaves(stack, **longer)["web-tls"].not_after == written + timedelta(days=100)
        stack.dev.objects[SECRETS] = [secret(written="2026-08-20T12:00:00Z")]
        assert leaves(stack) == {}

    def test_of_a_certificate_that_names_another_secret_is_a_leaf(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate(spec={"secretName": "renamed"}, revision=2)]
        stack.dev.objects[REQUESTS] = [request(chain("g2"), revision=2)]
        stack.dev.objects[SECRETS] = [secret(), secret("renamed")]
        found = leaves(stack)
        assert found.keys() == {"web", "web-tls"}
        assert found["web-tls"].signers == G1

    def test_of_a_certificate_that_keeps_it_is_no_leaf_of_its_own(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate()]
        stack.dev.objects[REQUESTS] = [request(chain("g1"))]
        stack.dev.objects[SECRETS] = [secret()]
        assert leaves(stack).keys() == {"web"}

    def test_of_a_certificate_that_was_made_again_and_not_issued_yet_is_a_leaf(
        self, stack: Stack
    ) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate(revision=None, notAfter=None)]
        stack.dev.objects[SECRETS] = [secret()]
        assert leaves(stack)["web-tls"].signers == G1

    def test_copied_to_another_namespace_is_a_leaf_there(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate()]
        stack.dev.objects[REQUESTS] = [request(chain("g2"))]
        stack.dev.objects[SECRETS] = [secret(), secret(namespace="elsewhere")]
        leaf = leaves(stack)["web-tls"]
        assert (leaf.namespace, leaf.signers) == ("elsewhere", G1)

    @pytest.mark.parametrize("signer", [{}, STABLE])
    def test_whose_anchor_nothing_shows_counts_with_the_way_out(
        self, stack: Stack, signer: dict[str, str]
    ) -> None:
        stack.dev.objects[SECRETS] = [secret(issuer=signer)]
        leaf = leaves(stack)["web-tls"]
        assert leaf.signers == NOBODY
        assert leaf.problem is not None
        assert "kubectl delete secret -n app web-tls" in leaf.problem
        assert leaf.not_after is not None

    @pytest.mark.parametrize(
        "signer", [TEAM_ISSUER, {"kind": "ClusterIssuer", "name": "other-mesh-ca-g1-i1"}]
    )
    def test_of_somebody_elses_issuer_is_not_ours(
        self, stack: Stack, signer: dict[str, str]
    ) -> None:
        stack.dev.objects[SECRETS] = [secret(issuer=signer)]
        assert leaves(stack) == {}

    def test_of_an_issuer_of_that_name_outside_of_the_stacks_namespaces_is_not_ours(
        self, stack: Stack
    ) -> None:
        theirs = {"kind": "Issuer", "name": OUR_ISSUER["name"]}
        stack.dev.objects[SECRETS] = [
            secret("ours", issuer=theirs),
            secret("theirs", "other-stack", issuer=theirs),
        ]
        assert leaves(stack, issuing__kind="Issuer").keys() == {"ours"}

    def test_of_an_issuer_that_the_configuration_names_no_more_is_still_ours(
        self, stack: Stack
    ) -> None:
        """As in the very change that takes the anchor out."""
        stack.dev.objects[STAGE] = record(g1="outgoing", g2="issuing")
        stack.dev.objects[SECRETS] = [secret()]
        anchors = {"g2": {**G2, "role": "issuing", "validFrom": "2026-11-01T00:00:00Z"}}
        assert leaves(stack, anchors=anchors)["web-tls"].signers == G1

    def test_are_listed_without_what_is_in_them(self, stack: Stack) -> None:
        stack.dev.objects[SECRETS] = [secret()]
        stack.read()
        (asked,) = (each for each in stack.dev.asked if each.startswith(SECRETS))
        assert "labelSelector=controller.cert-manager.io/fao%3Dtrue" in asked
        assert {accept for path, accept in stack.dev.accepted if path == SECRETS} == {
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        }

    def test_that_come_with_what_is_in_them_are_not_looked_at(self, stack: Stack) -> None:
        whole = {"apiVersion": "v1", "kind": "SecretList", "items": [secret()]}
        stack.dev.said[SECRETS] = (200, whole)
        (unread,) = stack.read().unreachable
        assert "more than the metadata of /api/v1/secrets" in unread.error
        assert "private key" not in unread.error

    def test_that_may_not_be_listed_are_said_to_be_untraceable(self, stack: Stack) -> None:
        stack.dev.refused[SECRETS] = 403
        (found,) = dev(stack).untraceable
        assert (found.kind, found.name) == ("Secret", "")
        assert "grant what deploy/rbac-trace.yaml grants" in found.reason
        assert stack.read().unreachable == ()


class TestRequestsThatAreGone:
    """A renewal hangs, the request of the present leaf is removed, and the issuerRef moves on."""

    @pytest.mark.parametrize("now_named", [OUR_ISSUER, TEAM_ISSUER])
    def test_the_secret_names_the_issuer_of_the_issuance(
        self, stack: Stack, now_named: dict[str, str]
    ) -> None:
        stack.dev.objects[CERTIFICATES] = [lost(now_named=now_named, named_since=AFTER)]
        stack.dev.objects[SECRETS] = [secret(written=SIGNED)]
        leaf = leaves(stack)["web"]
        assert (leaf.signers, leaf.problem) == (G1, None)
        assert leaf.issuer == "ClusterIssuer/mtls-ca-g1-i1"

    def test_a_foreign_issuer_of_the_issuance_does_not_block(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [lost("theirs", now_named=OUR_ISSUER, named_since=AFTER)]
        stack.dev.objects[SECRETS] = [
            secret("theirs-tls", certificate="theirs", issuer=TEAM_ISSUER, written=SIGNED)
        ]
        assert leaves(stack) == {}

    def test_a_secret_that_was_written_before_the_leaf_says_nothing(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [lost(now_named=TEAM_ISSUER, named_since=AFTER)]
        stack.dev.objects[SECRETS] = [secret(written=BEFORE, issuer=TEAM_ISSUER)]
        assert leaves(stack)["web"].problem is not None

    def test_without_the_list_of_secrets_the_issuer_named_since_before_is_the_one(
        self, stack: Stack
    ) -> None:
        stack.dev.refused[SECRETS] = 403
        stack.dev.objects[CERTIFICATES] = [
            lost("ours", named_since=BEFORE),
            lost("theirs", now_named=TEAM_ISSUER, named_since=BEFORE),
            lost("never-changed", now_named=TEAM_ISSUER, generation=1),
        ]
        found = leaves(stack)
        assert {name: (leaf.signers, leaf.problem) for name, leaf in found.items()} == {
            "ours": (G1, None)
        }

    @pytest.mark.parametrize("since", [AFTER, SIGNED, None])
    def test_without_any_sign_it_counts_until_its_own_end_with_a_way_out(
        self, stack: Stack, since: str | None
    ) -> None:
        stack.dev.refused[SECRETS] = 403
        stack.dev.objects[CERTIFICATES] = [lost(now_named=TEAM_ISSUER, named_since=since)]
        leaf = leaves(stack)["web"]
        assert leaf.signers == NOBODY
        assert leaf.problem is not None
        assert "its CertificateRequest of revision 3 is gone" in leaf.problem
        assert "deploy/rbac-trace.yaml" in leaf.problem
        assert "cmctl renew -n app web" in leaf.problem
        assert "delete it with its Secret" in leaf.problem
        assert leaf.not_after == NOW + timedelta(hours=23)

    def test_an_issuance_that_was_signed_and_never_written_hides_no_leaf(
        self, stack: Stack
    ) -> None:
        stack.dev.objects[CERTIFICATES] = [lost(named_since=BEFORE)]
        stack.dev.objects[REQUESTS] = [request(chain("g2"), name="web-4", revision=4)]
        found = leaves(stack)
        assert {name: leaf.signers for name, leaf in found.items()} == {
            "web": G1,
            "web-4": G2_FINGERPRINT,
        }


class TestChainsThatCannotBeParsed:
    def test_of_a_foreign_issuer_do_not_block(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate("theirs", issuer=TEAM_ISSUER)]
        stack.dev.objects[REQUESTS] = [
            request("no certificate", certificate="theirs", issuer=TEAM_ISSUER)
        ]
        assert leaves(stack) == {}

    def test_of_an_issuer_of_a_generation_are_its_leaves(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate("team")]
        stack.dev.objects[REQUESTS] = [request("no certificate", certificate="team")]
        leaf = leaves(stack)["team"]
        assert (leaf.signers, leaf.problem) == (G1, None)

    def test_of_the_stable_issuer_may_be_of_any_anchor(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate("team", issuer=STABLE)]
        stack.dev.objects[REQUESTS] = [request("no certificate", certificate="team", issuer=STABLE)]
        assert leaves(stack)["team"].problem is not None


class TestWhoSignsForTheDomain:
    """What makes an issuer that is not the stack's one that may sign below its anchors."""

    def unknown(self, stack: Stack) -> list[str]:
        lost = certificate("lost", "team", issuer=TEAM_ISSUER, revision=3, notBefore=SIGNED)
        others = stack.dev.objects.get(CERTIFICATES, [])
        assert isinstance(others, list)
        stack.dev.objects[CERTIFICATES] = [lost, *others]
        found = dev(stack).leaves
        return [leaf.name for leaf in found if leaf.problem is not None]

    def test_an_issuer_without_any_sign_does_not(self, stack: Stack) -> None:
        stack.dev.objects[ISSUERS] = [issuer("team-ca", "team")]
        assert self.unknown(stack) == []

    def test_an_issuer_that_is_gone_does_not(self, stack: Stack) -> None:
        assert self.unknown(stack) == []

    def test_an_issuer_that_signs_itself_does_not(self, stack: Stack) -> None:
        stack.dev.objects[ISSUERS] = [issuer("team-ca", "team", selfSigned={})]
        assert self.unknown(stack) == []

    @pytest.mark.parametrize("revision", [3, 4])
    def test_an_issuer_of_which_a_chain_leads_to_an_anchor_may(
        self, stack: Stack, revision: int
    ) -> None:
        """Also the chain of a leaf that has been superseded."""
        stack.dev.objects[CERTIFICATES] = [
            certificate("seen", "team", issuer=TEAM_ISSUER, revision=4)
        ]
        stack.dev.objects[REQUESTS] = [
            request(
                chain("g1" if each == revision else "other"),
                name=f"seen-{each}",
                namespace="team",
                certificate="seen",
                issuer=TEAM_ISSUER,
                revision=each,
            )
            for each in (3, 4)
        ]
        assert self.unknown(stack) == ["lost"]

    def test_an_issuer_of_that_name_elsewhere_does_not(self, stack: Stack) -> None:
        stack.dev.objects[REQUESTS] = [request(chain("g1"), issuer=TEAM_ISSUER, certificate=None)]
        assert self.unknown(stack) == []

    def test_an_issuer_with_the_ca_secret_of_the_stack_may(self, stack: Stack) -> None:
        team = {"kind": "ClusterIssuer", "name": "team"}
        stack.dev.objects[CLUSTER_ISSUERS] = [
            issuer("mtls-ca-g1-i1"),
            issuer("team", ca={"secretName": "mtls-ca-g1-i1"}),
        ]
        stack.dev.objects[CERTIFICATES] = [lost("below", now_named=team, generation=1)]
        assert self.unknown(stack) == ["below"]

    def test_an_issuer_at_the_mount_of_the_stacks_vault_may(self, stack: Stack) -> None:
        vault = {"server": "https://vault", "path": "pki-g1/sign/mesh"}
        stack.dev.objects[CLUSTER_ISSUERS] = [issuer("mtls-ca-g1-i1", vault=vault)]
        other_role = {**vault, "path": "pki-g1/sign/team"}
        stack.dev.objects[ISSUERS] = [issuer("team-ca", "team", vault=other_role)]
        assert self.unknown(stack) == ["lost"]

    def test_an_issuer_whose_ca_chains_to_an_anchor_may(self, stack: Stack) -> None:
        self.sub_ca(stack, issuing("g1"))
        assert self.unknown(stack) == ["lost"]

    def test_an_issuer_whose_ca_chains_to_another_root_does_not(self, stack: Stack) -> None:
        self.sub_ca(stack, issuing("other"))
        assert self.unknown(stack) == []

    def test_an_issuer_whose_ca_cannot_be_traced_may(self, stack: Stack) -> None:
        self.sub_ca(stack, None, changed=True)
        assert self.unknown(stack) == ["lost", "ca"]

    def test_an_issuer_whose_ca_is_of_an_issuer_of_the_stack_may(self, stack: Stack) -> None:
        self.sub_ca(stack, None, signer=OUR_ISSUER)
        assert self.unknown(stack) == ["lost"]

    def test_an_issuer_whose_ca_certificate_is_gone_may(self, stack: Stack) -> None:
        stack.dev.objects[ISSUERS] = [issuer("team-ca", "team", ca={"secretName": "ca-tls"})]
        stack.dev.objects[SECRETS] = [secret("ca-tls", "team", certificate="ca")]
        assert self.unknown(stack) == ["lost"]
        (ca,) = (leaf for leaf in dev(stack).leaves if leaf.name == "ca-tls")
        assert ca.authority

    def sub_ca(
        self,
        stack: Stack,
        pem: str | None,
        *,
        changed: bool = False,
        signer: dict[str, str] = TEAM_ISSUER,
    ) -> None:
        if signer is TEAM_ISSUER:
            signer = {"kind": "Issuer", "name": "bootstrap"}
        stack.dev.objects[ISSUERS] = [issuer("team-ca", "team", ca={"secretName": "ca-tls"})]
        stack.dev.objects[CERTIFICATES] = [
            certificate(
                "ca",
                "team",
                issuer=signer,
                spec={"isCA": True},
                generation=2 if changed else 1,
            )
        ]
        stack.dev.objects[REQUESTS] = (
            [
                request(
                    pem, name="ca-1", namespace="team", certificate="ca", issuer=signer, is_ca=True
                )
            ]
            if pem
            else []
        )


class TestRequestsThatNothingKeeps:
    def test_of_an_issuer_of_the_stack_make_it_untraceable(self, stack: Stack) -> None:
        stack.dev.objects[REQUESTS] = [
            request(None, name=name, certificate=None) for name in ("istio-b", "istio-a")
        ]
        (found,) = dev(stack).untraceable
        assert (found.kind, found.name) == ("ClusterIssuer", "mtls-ca-g1-i1")
        assert "CertificateRequest app/istio-a and 1 more" in found.reason

    def test_of_an_issuer_that_was_seen_to_sign_for_the_domain_too(self, stack: Stack) -> None:
        stack.dev.objects[REQUESTS] = [request(chain("g1"), certificate=None, issuer=TEAM_ISSUER)]
        (found,) = dev(stack).untraceable
        assert (found.namespace, found.kind, found.name) == ("app", "Issuer", "team-ca")

    def test_through_the_api_of_kubernetes_too(self, stack: Stack) -> None:
        stack.dev.objects[SIGNING_REQUESTS] = [
            signing_request(None, "clusterissuers.cert-manager.io/mtls-ca-g1-i1")
        ]
        (found,) = dev(stack).untraceable
        assert "CertificateSigningRequest csr-1" in found.reason

    def test_of_other_issuers_and_signers_say_nothing(self, stack: Stack) -> None:
        stack.dev.objects[REQUESTS] = [
            request(chain("other"), certificate=None, issuer=TEAM_ISSUER)
        ]
        stack.dev.objects[SIGNING_REQUESTS] = [signing_request(None, "kubernetes.io/kubelet")]
        assert dev(stack).untraceable == ()

    def test_a_request_that_lives_as_long_as_its_owner_is_traceable(self, stack: Stack) -> None:
        pod = {"kind": "Pod", "uid": "pod"}
        stack.dev.objects[REQUESTS] = [
            request(chain("g1"), name="csi", certificate=None, owner=pod),
            request(chain("g1"), name="of-a-deleted-certificate", certificate="gone"),
        ]
        assert dev(stack).untraceable == ()


class TestWhatWasBefore:
    """What a leaf took the place of, as far as it is recorded."""

    def current(self, stack: Stack) -> LeafObservation:
        return leaves(stack)["web"]

    def test_a_first_issuance_took_the_place_of_none(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate(revision=1)]
        stack.dev.objects[REQUESTS] = [request(chain("g1"))]
        leaf = self.current(stack)
        assert (leaf.revision, leaf.predecessor) == (1, NOBODY)

    def test_a_first_issuance_into_a_secret_that_was_there_may_have_had_one(
        self, stack: Stack
    ) -> None:
        """A Certificate that was deleted and made again begins at revision 1."""
        stack.dev.objects[CERTIFICATES] = [certificate(created="2026-11-23T10:00:00Z")]
        stack.dev.objects[REQUESTS] = [request(chain("g2"))]
        stack.dev.objects[SECRETS] = [secret(created="2026-11-01T00:00:00Z")]
        assert self.current(stack).predecessor is None

    def test_the_request_before_shows_who_signed_it(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate(revision=5)]
        stack.dev.objects[REQUESTS] = [
            request(chain("g1"), name="web-4", revision=4),
            request(chain("g2"), name="web-5", revision=5),
        ]
        leaf = self.current(stack)
        assert (leaf.signers, leaf.predecessor) == (G2_FINGERPRINT, G1)

    def test_without_that_request_it_is_not_known(self, stack: Stack) -> None:
        stack.dev.objects[CERTIFICATES] = [certificate(revision=5)]
        stack.dev.objects[REQUESTS] = [
            request(chain("g1"), name="web-3", revision=3),
            request(chain("g2"), name="web-5", revision=5),
        ]
        assert self.current(stack).predecessor is None

    def test_the_issuer_is_what_it_is_since_the_later_of_reference_and_object(
        self, stack: Stack
    ) -> None:
        named = owned("2026-11-20T00:00:00Z", "f:spec", "f:issuerRef")
        ours = issuer("mtls-ca-g1-i1")
        ours["metadata"]["managedFields"] = [owned("2026-11-21T00:00:00Z", "f:spec")]
        stack.dev.objects[CLUSTER_ISSUERS] = [ours]
        stack.dev.objects[CERTIFICATES] = [certificate(managed=(named,))]
        stack.dev.objects[REQUESTS] = [request(chain("g1"))]
        assert self.current(stack).issuer_since == datetime(2026, 11, 21, tzinfo=UTC)
        (seen,) = dev(stack).issuers
        assert seen.changed_at == datetime(2026, 11, 21, tzinfo=UTC)

    def test_a_request_without_a_certificate_took_the_place_of_none(self, stack: Stack) -> None:
        stack.dev.objects[REQUESTS] = [request(chain("g1"), name="csi", certificate=None)]
        assert leaves(stack)["csi"].predecessor == NOBODY


class TestLeavesThatMovedToAForeignIssuer:
    """Their workloads may serve the leaf before until the hold-down has passed."""

    def moved(self, stack: Stack, *, seconds_ago: int, named_since: str) -> list[str]:
        put = (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")
        managed = (
            owned(named_since, "f:spec", "f:issuerRef"),
            owned(put, "f:status", "f:revision", manager="issuing"),
        )
        stack.dev.objects[CERTIFICATES] = [
            certificate("gone", "team", issuer=TEAM_ISSUER, revision=2, managed=managed)
        ]
        stack.dev.objects[REQUESTS] = [
            request(
                chain("other"), namespace="team", certificate="gone", issuer=TEAM_ISSUER, revision=2
            )
        ]
        return list(leaves(stack))

    def test_count_for_the_hold_down(self, stack: Stack) -> None:
        assert self.moved(stack, seconds_ago=1, named_since="2026-11-23T11:59:00Z") == ["gone"]

    def test_do_not_count_after_it(self, stack: Stack) -> None:
        assert self.moved(stack, seconds_ago=3600, named_since="2026-11-23T10:59:00Z") == []

    def test_do_not_count_where_the_issuer_was_foreign_before(self, stack: Stack) -> None:
        assert self.moved(stack, seconds_ago=1, named_since="2026-11-01T00:00:00Z") == []
