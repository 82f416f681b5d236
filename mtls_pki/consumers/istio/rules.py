"""Rules for what istiod signs with; each yields its breaches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from mtls_pki.consumers.istio.names import (
    authority_common_name,
    authority_not_before,
    certifying_istio,
    istio_clusters,
    istio_settings,
)
from mtls_pki.pki.names import common_name_mistake
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.text import instant
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.model import Settings

_SHARE_OF_AUTHORITY = 6
# Kubernetes, pkg/apis/certificates/validation/validation.go: expirationSeconds.
_SHORTEST_REQUEST = timedelta(minutes=10)


def istio_is_in_clusters_of_the_stack(settings: Settings) -> Iterator[Mistake]:
    """Demand that ``consumers.istio.clusters`` names clusters of the stack.

    A name that is mistyped would leave the istiod of that cluster with a root of its own.
    """
    istio = istio_settings(settings)
    for name in (istio.clusters or ()) if istio else ():
        if name not in settings.clusters:
            known = ", ".join(settings.clusters)
            yield Mistake(
                path="consumers.istio.clusters",
                message=f"{name!r} is no cluster of this stack; write one of: {known}",
            )
    if istio is not None and istio.clusters == ():
        yield Mistake(
            path="consumers.istio.clusters",
            message="empty, so no istiod gets anything; name clusters, or leave it out for all",
        )


def istio_is_not_ambient(settings: Settings) -> Iterator[Mistake]:
    """Demand sidecars: ztunnel trusts one root, the one that came with its own certificate.

    While two anchors are trusted, nodes of ambient mode would refuse each other (istio#47427).
    """
    istio = istio_settings(settings)
    if istio is not None and istio.ambient:
        yield Mistake(
            path="consumers.istio.ambient",
            message="true: ztunnel trusts one root at a time (istio#47427), so no anchor can be "
            "added before another is removed, and every rotation would break connections; run the "
            "mesh with sidecars, or leave this cluster out of consumers.istio.clusters",
        )


def istio_signs_below_an_anchor_of_this_stack(settings: Settings) -> Iterator[Mistake]:
    """Demand that the issuing anchor can certify istiod's CA: its key is here, and there is room.

    The path length of the anchor counts the CAs below it (RFC 5280, section 4.2.1.9), and istiod
    does not look at it: with 0 every handshake of the mesh would fail.
    """
    if certifying_istio(settings) is None:
        return
    for name, anchor in settings.anchors.items():
        if not anchor.role.trusted:
            continue
        if anchor.brought and anchor.role is Role.ISSUING:
            yield Mistake(
                path=f"anchors.{name}.role",
                message="issuing, and made elsewhere: its key is not here, so it cannot certify "
                "istiod's CA; leave it incoming, or take consumers.istio out",
            )
        elif not anchor.brought and anchor.path_length < 1:
            yield Mistake(
                path=f"anchors.{name}.pathLength",
                message=f"{anchor.path_length} leaves no room for istiod's CA, and workloads would "
                "be refused; a root's path length cannot be changed: make a generation with 1",
            )


def istio_authority_fits_its_root(settings: Settings) -> Iterator[Mistake]:
    """Demand dates of istiod's CA within its root's, a name that fits, and workloads that do.

    What istiod signs is cut to the end of its CA, so a workload lives at most a sixth as long.
    """
    istio = certifying_istio(settings)
    if istio is None:
        return
    authority = istio.authority
    if istio.workload_cert_ttl * _SHARE_OF_AUTHORITY > authority.valid_for:
        yield Mistake(
            path="consumers.istio.workloadCertTtl",
            message=f"{format_duration(istio.workload_cert_ttl)} is more than a sixth of "
            f"consumers.istio.authority.validFor ({format_duration(authority.valid_for)}); write "
            "less, or let the CA live longer",
        )
    for name, anchor in settings.anchors.items():
        if anchor.not_after is None or not anchor.role.trusted:
            continue
        end = authority_not_before(anchor, istio) + authority.valid_for
        if end > anchor.not_after:
            yield Mistake(
                path="consumers.istio.authority.validFor",
                message=f"istiod's CA below {name} would end at {instant(end)}, after its root "
                f"({instant(anchor.not_after)}); write less",
            )
        for cluster in istio_clusters(settings):
            common_name = authority_common_name(settings, istio, cluster, name)
            mistake = common_name_mistake(common_name)
            if mistake is not None:
                yield Mistake(
                    path=f"clusters.{cluster}",
                    message=f"the CA of its istiod would be called {common_name!r}, which "
                    f"{mistake}; give the cluster or the trust domain a shorter name",
                )


def cert_manager_signs_for_istio_by_one_issuer(settings: Settings) -> Iterator[Mistake]:
    """Demand a stable ClusterIssuer whose CA is a Secret, where cert-manager signs for a mesh.

    istiod names its signer when it starts, so the name must outlive a rotation; cert-manager's
    controllers for signing requests know its own issuers alone.
    """
    istio = istio_settings(settings)
    if istio is None or istio.signer != "cert-manager":
        return
    if istio.workload_cert_ttl < _SHORTEST_REQUEST:
        yield Mistake(
            path="consumers.istio.workloadCertTtl",
            message=f"{format_duration(istio.workload_cert_ttl)} is below "
            f"{format_duration(_SHORTEST_REQUEST)}, the shortest that a signing request of "
            "Kubernetes asks for; write more",
        )
    path = "consumers.istio.signer"
    if not settings.issuing.stable:
        yield Mistake(
            path=path,
            message="cert-manager, but there is no issuer whose name stays; write "
            "issuing.stable: true",
        )
    if settings.issuing.kind != "ClusterIssuer":
        yield Mistake(
            path=path,
            message="cert-manager, but istiod asks a ClusterIssuer; write issuing.kind: "
            "ClusterIssuer",
        )
    if settings.issuing.direct:
        yield Mistake(
            path=path,
            message="cert-manager contradicts issuing.direct: an anchor's key would sign for every "
            "workload; leave issuing.direct out",
        )
    for name in settings.anchors:
        if not settings.backend_of(name).has_ca_secret:
            yield Mistake(
                path=path,
                message=f"cert-manager, but the issuing CA of {name} is with "
                f"{settings.backend_of(name).name}, for which it signs no signing requests here; "
                "write backend: ca, or signer: istiod",
            )


RULES = (
    istio_is_in_clusters_of_the_stack,
    istio_is_not_ambient,
    istio_signs_below_an_anchor_of_this_stack,
    istio_authority_fits_its_root,
    cert_manager_signs_for_istio_by_one_issuer,
)
