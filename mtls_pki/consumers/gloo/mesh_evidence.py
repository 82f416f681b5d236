"""What the meshes trust and sign whose CAs Gloo makes, read from what their istiods hand out.

Gloo gives istiod the text of ``root-cert.pem`` as it is, so the first of istiod's roots is the CA
of the mesh by which Gloo signed for it (gloo-mesh, pkg/certificates/agent). Nothing else tells it
without a Secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.sources.bundles import readable_members
from mtls_pki.clusters.sources.source import KnownTrust, Trusted, rights_of
from mtls_pki.consumers.gloo.objects import MESH_CA_SECRET, MESH_CAS_KEY, ROOTS_KEY
from mtls_pki.consumers.gloo.section import GlooSettings
from mtls_pki.consumers.istiod import RIGHTS, Roots, handed_out, signed
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificates, pem_of
from mtls_pki.rotation.evidence import LeafObservation
from mtls_pki.settings.model import Settings

_AGAIN = {
    "v1": f"delete the Secret {MESH_CA_SECRET} of istiod, and Gloo signs anew",
    "v2": "Gloo signs anew when its RootTrustPolicy or its CA changes; see its state",
}


def _again(gloo: GlooSettings) -> str:
    return _AGAIN[gloo.release[:2]]


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """What the istiods of one workload cluster hand out.

    Attributes:
        cas: PEM of the mesh's CAs of this stack, by their identity.
        roots: of every namespace; empty before Gloo has given istiod any of this stack.
        alone: istiod hands out roots, and none of this stack.
    """

    cas: Mapping[str, str]
    roots: tuple[Roots, ...]
    alone: bool


def read_mesh(cluster: Cluster, given: Mapping[str, Any]) -> Mesh:
    """Return what a cluster's mesh holds.

    Args:
        cluster: a workload cluster.
        given: the ConfigMap of the relay's certificates in it.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    data = given.get("data") or {}
    cas = {spki_sha256(each): pem_of([each]) for each in readable_members({data.get(MESH_CAS_KEY)})}
    anchors = {spki_sha256(each) for each in readable_members({data.get(ROOTS_KEY)})}
    with rights_of(cluster, RIGHTS):
        roots = handed_out(cluster)
    ours = any(
        spki_sha256(member) in {*cas, *anchors}
        for member in readable_members(dict.fromkeys(each.pem for each in roots))
    )
    return Mesh(cas=cas, roots=tuple(roots) if ours else (), alone=bool(roots) and not ours)


def mesh_trusted(mesh: Mesh, gloo: GlooSettings) -> Trusted:
    """Return istiod's roots as bundles, without the CAs that stand in them beside their anchors."""
    hint = f"Gloo gives istiod its roots when it signs its CA: {_again(gloo)}"
    return Trusted(
        bundles=tuple(
            replace(each, pem=_without(each.pem, mesh.cas)).observed(hint) for each in mesh.roots
        ),
        anchors=tuple(readable_members(dict.fromkeys(each.pem for each in mesh.roots))),
    )


def mesh_signed(
    mesh: Mesh, cluster: str, settings: Settings, gloo: GlooSettings, trust: KnownTrust
) -> Iterator[LeafObservation]:
    """Yield what stands for the certificates of the mesh's workloads."""
    if gloo.mesh_root is None:
        return
    signers = {_first(each.pem): each for each in mesh.roots}
    for signer, roots in signers.items():
        yield from signed(
            cluster=cluster,
            namespace=roots.place.namespace,
            issuer=f"istiod, whose CA Gloo made; {_again(gloo)}",
            chain_pem=mesh.cas.get(signer or ""),
            since=roots.changed_at,
            taken_within=settings.trust.hold_down,
            ttl=gloo.mesh_root.workload_cert_ttl,
            trust=trust,
            by_time_alone=False,
        )


def mesh_remarks(mesh: Mesh, gloo: GlooSettings) -> Iterator[str]:
    """Yield that istiod of a cluster is no part of the domain yet."""
    if mesh.alone and gloo.mesh_root is not None:
        yield (
            "istiod has roots of its own and none of this stack; let Gloo sign its CA with the "
            f"Secret {gloo.namespace}/{gloo.mesh_root.secret_name} (`pulumi stack output "
            "glooValues`)"
        )


def _first(pem: str | None) -> str | None:
    try:
        return spki_sha256(parse_certificates(pem or "", origin="root-cert.pem")[0])
    except PkiError:
        return None


def _without(pem: str | None, cas: Mapping[str, str]) -> str | None:
    try:
        members = parse_certificates(pem or "", origin="root-cert.pem")
    except PkiError:
        return pem
    return pem_of(each for each in members if spki_sha256(each) not in cas)
