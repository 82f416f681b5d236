"""Rules for the relay of Gloo Mesh; each yields its breaches."""

from __future__ import annotations

from collections.abc import Iterator

from mtls_pki.consumers.gloo.names import (
    authority_not_before,
    certificates_not_before,
    gloo_settings,
    mesh_not_before,
)
from mtls_pki.consumers.gloo.objects import MESH_CA_SECRET
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.text import instant
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import stack_secrets

# Below the anchor: the one of the stack, and the one that Gloo makes of it for each mesh.
_CAS_OF_A_MESH = 2


def gloo_is_in_clusters_of_the_stack(settings: Settings) -> Iterator[Mistake]:
    """Demand that management and workload clusters are of the stack, each once.

    An agent registers under the name of its cluster, and its certificate has that name alone.
    """
    gloo = gloo_settings(settings)
    if gloo is None:
        return
    known = ", ".join(settings.clusters)
    for path, name in (
        ("management", gloo.management),
        *(("workloads", name) for name in gloo.workloads),
    ):
        if name not in settings.clusters:
            yield Mistake(
                path=f"consumers.gloo.{path}",
                message=f"{name!r} is no cluster of this stack; write one of: {known}",
            )
    for name in sorted({name for name in gloo.workloads if gloo.workloads.count(name) > 1}):
        yield Mistake(
            path="consumers.gloo.workloads", message=f"{name!r} stands there twice; leave one out"
        )


def gloo_signs_below_an_anchor_of_this_stack(settings: Settings) -> Iterator[Mistake]:
    """Demand that the issuing anchor can certify the relay's CA: its key is here, there is room.

    The path length of the anchor counts the CAs below it (RFC 5280, section 4.2.1.9).
    """
    if gloo_settings(settings) is None:
        return
    for name, anchor in settings.anchors.items():
        if anchor.brought and anchor.role is Role.ISSUING:
            yield Mistake(
                path=f"anchors.{name}.role",
                message="issuing, and made elsewhere: its key is not here, so it cannot certify "
                "the relay's CA; leave it incoming, or take consumers.gloo out",
            )
        elif not anchor.brought and anchor.role.trusted and anchor.path_length < 1:
            yield Mistake(
                path=f"anchors.{name}.pathLength",
                message=f"{anchor.path_length} leaves no room for the relay's CA; a root's path "
                "length cannot be changed: make a generation with 1",
            )


def gloo_certificates_fit_their_authority(settings: Settings) -> Iterator[Mistake]:
    """Demand certificates that end before their CA, a CA that ends before its root, and its name.

    They are made with the stack and not by a controller, so what is too long is seen here.
    """
    gloo = gloo_settings(settings)
    if gloo is None:
        return
    for name, anchor in settings.anchors.items():
        if anchor.not_after is None or not anchor.role.trusted:
            continue
        end = authority_not_before(anchor, gloo) + gloo.authority.valid_for
        if end > anchor.not_after:
            yield Mistake(
                path="consumers.gloo.authority.validFor",
                message=f"the relay's CA below {name} would end at {instant(end)}, after its root "
                f"({instant(anchor.not_after)}); write less",
            )
        if certificates_not_before(anchor, gloo) + gloo.certificates.valid_for > end:
            yield Mistake(
                path="consumers.gloo.certificates.validFor",
                message=f"{format_duration(gloo.certificates.valid_for)} would outlive the "
                f"relay's CA below {name} ({instant(end)}); write less, or let the CA live longer",
            )


def gloo_mesh_root_fits_its_anchor(settings: Settings) -> Iterator[Mistake]:
    """Demand room for two CAs below the anchor, and a CA of the mesh that ends before its root.

    Gloo makes the CA of each mesh below the one that it is given, and workloads below that (RFC
    5280, section 4.2.1.9): a path length of 1 would let istiod start and fail every handshake.
    """
    gloo = gloo_settings(settings)
    root = gloo.mesh_root if gloo is not None else None
    for name, anchor in settings.anchors.items():
        if root is None or anchor.brought or not anchor.role.trusted:
            continue
        if anchor.path_length < _CAS_OF_A_MESH:
            yield Mistake(
                path=f"anchors.{name}.pathLength",
                message=f"{anchor.path_length} leaves no room for the CA of consumers.gloo.meshRoot"
                " and the CAs that Gloo makes below it; a root's path length cannot be changed: "
                f"make a generation with {_CAS_OF_A_MESH}",
            )
        end = mesh_not_before(anchor, root) + root.valid_for
        if anchor.not_after is not None and end > anchor.not_after:
            yield Mistake(
                path="consumers.gloo.meshRoot.validFor",
                message=f"the mesh's CA below {name} would end at {instant(end)}, after its root "
                f"({instant(anchor.not_after)}); write less",
            )


def gloo_alone_makes_the_cas_of_a_mesh(settings: Settings) -> Iterator[Mistake]:
    """Demand that the CA of a cluster's istiod has one maker: Gloo, or ``consumers.istio``.

    Both write the Secret ``cacerts``, and each change of the one would be undone by the other.
    """
    gloo = gloo_settings(settings)
    if gloo is None or gloo.mesh_root is None:
        return
    for cluster in gloo.workloads:
        if any(name == MESH_CA_SECRET for _, name in stack_secrets(settings, cluster)):
            yield Mistake(
                path="consumers.gloo.meshRoot",
                message=f"Gloo would write the Secret {MESH_CA_SECRET} in {cluster}, which "
                "consumers.istio writes; leave meshRoot out, or the cluster out of "
                "consumers.istio.clusters",
            )


RULES = (
    gloo_is_in_clusters_of_the_stack,
    gloo_signs_below_an_anchor_of_this_stack,
    gloo_certificates_fit_their_authority,
    gloo_mesh_root_fits_its_anchor,
    gloo_alone_makes_the_cas_of_a_mesh,
)
