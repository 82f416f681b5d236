"""What the relay of Gloo Mesh trusts and serves, read without a single Secret.

The management server and the agents read their roots when they start, and again only when they are
restarted (Gloo Mesh Enterprise, "Rotate relay certificates"). So a pod that started before its
roots changed is a verifier that does not hold them yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.ownership import owned_object
from mtls_pki.clusters.recorded import owned_since, parse_time
from mtls_pki.clusters.sources.bundles import readable_members
from mtls_pki.clusters.sources.source import (
    Issued,
    KnownTrust,
    Source,
    Trusted,
    rights_of,
)
from mtls_pki.consumers.gloo.mesh_evidence import (
    mesh_remarks,
    mesh_signed,
    mesh_trusted,
    read_mesh,
)
from mtls_pki.consumers.gloo.names import gloo_clusters, gloo_settings
from mtls_pki.consumers.gloo.objects import (
    CERTIFICATES,
    CLIENT_KEY,
    MESH_CA_SECRET,
    MESH_CAS_KEY,
    ROOTS_KEY,
)
from mtls_pki.consumers.gloo.section import GlooSettings
from mtls_pki.rotation.evidence import (
    BundleObservation,
    BundlePlace,
    BundleProblem,
    GateObservation,
    LeafObservation,
)
from mtls_pki.rotation.observation import observe_bundle, observe_leaf
from mtls_pki.rotation.text import instant
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import stack_secrets

WARNING = timedelta(days=60)
"""A relay certificate whose end is nearer is announced: nothing renews it by itself."""

_RIGHTS = "deploy/rbac-gloo.yaml"
# Names of the relay's own Deployments, in any release; others in the namespace read no roots.
_AGENTS = ("gloo-mesh-agent", "enterprise-agent")
_READERS = ("gloo-mesh-mgmt-server", "enterprise-networking", *_AGENTS)
_RESTART = "it reads its roots when it starts: `kubectl rollout restart` its Deployment"


class GlooSource(Source):
    """The roots that both sides of the relay hold, and their certificates."""

    def trusted(
        self, cluster: Cluster, settings: Settings, gate: GateObservation | None
    ) -> Trusted:
        """Return the roots of a cluster's relay, and each pod that has not read them.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        del gate
        gloo = _taking_part(cluster, settings)
        if gloo is None:
            return Trusted()
        with rights_of(cluster, _RIGHTS):
            given = cluster.get(_path(gloo))
            pods = _pods(cluster, gloo) if given is not None else []
        if given is None:
            return Trusted()
        pem = (given.get("data") or {}).get(ROOTS_KEY)
        changed = owned_since(given["metadata"], "f:data", f"f:{ROOTS_KEY}")
        place = BundlePlace(
            cluster=cluster.name, namespace=gloo.namespace, name=CERTIFICATES, key=ROOTS_KEY
        )
        bundle = observe_bundle(
            place, pem, changed_at=changed, hint="`pulumi up --refresh` writes it"
        )
        mesh = Trusted()
        if _has_mesh(cluster, gloo):
            mesh = mesh_trusted(read_mesh(cluster, given), gloo)
        return Trusted(
            bundles=(bundle, *_unread(cluster.name, gloo, pods, changed), *mesh.bundles),
            anchors=(*readable_members({pem}), *mesh.anchors),
            owned=(owned_object(cluster.name, "ConfigMap", given["metadata"]),),
        )

    def issued(self, cluster: Cluster, settings: Settings, trust: KnownTrust) -> Issued:
        """Return the relay's certificates in a cluster, and say which end soon.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        gloo = _taking_part(cluster, settings)
        if gloo is None:
            return Issued()
        with rights_of(cluster, _RIGHTS):
            given = cluster.get(_path(gloo))
            pods = _pods(cluster, gloo) if given is not None else []
            second = tuple(_second_writers(cluster, settings, gloo))
        leaves = tuple(_leaves(cluster.name, given or {}, trust))
        workloads: tuple[LeafObservation, ...] = ()
        if given is not None and _has_mesh(cluster, gloo):
            mesh = read_mesh(cluster, given)
            workloads = tuple(mesh_signed(mesh, cluster.name, settings, gloo, trust))
            second += tuple(mesh_remarks(mesh, gloo))
        return Issued(
            leaves=(*leaves, *_before(pods, leaves, trust), *workloads),
            remarks=second
            + tuple(
                f"the relay certificate {leaf.name} ends at {instant(leaf.not_after)}; write a "
                "later consumers.gloo.certificates.validFrom, apply, and restart the relay"
                for leaf in leaves
                if leaf.not_after is not None and leaf.not_after - trust.at < WARNING
            ),
        )


def _second_writers(cluster: Cluster, settings: Settings, gloo: GlooSettings) -> Iterator[str]:
    """Yield what makes Gloo write the CA of istiod into Secrets that this stack writes."""
    ours = [
        workload
        for workload in gloo.workloads
        if any(name == MESH_CA_SECRET for _, name in stack_secrets(settings, workload))
    ]
    if cluster.name != gloo.management or not ours:
        return
    for kind, api, plural, concerns in _MESH_CAS:
        if not cluster.serves(api):
            continue
        path = f"/apis/{api}/namespaces/{gloo.namespace}/{plural}"
        for name in cluster.list_all(path, partial(_named_if, concerns)):
            yield (
                f"{kind} {gloo.namespace}/{name} lets Gloo write the Secret {MESH_CA_SECRET} in "
                f"{', '.join(ours)}, which belongs to this stack; delete it, or take its root out"
            )


def _named_if(concerns: Callable[[Mapping[str, Any]], bool], live: dict[str, Any]) -> str | None:
    return str(live["metadata"]["name"]) if concerns(live.get("spec") or {}) else None


# Kind, API, resource, and whether an object lets Gloo make the CAs of meshes (Gloo Mesh Enterprise,
# "VirtualMesh" of v1 and "RootTrustPolicy" of v2).
_MESH_CAS: tuple[tuple[str, str, str, Callable[[Mapping[str, Any]], bool]], ...] = (
    (
        "VirtualMesh",
        "networking.mesh.gloo.solo.io/v1",
        "virtualmeshes",
        lambda spec: bool(spec.get("mtlsConfig")),
    ),
    ("RootTrustPolicy", "admin.gloo.solo.io/v2", "roottrustpolicies", lambda spec: True),
)


def _taking_part(cluster: Cluster, settings: Settings) -> GlooSettings | None:
    return gloo_settings(settings) if cluster.name in gloo_clusters(settings) else None


def _has_mesh(cluster: Cluster, gloo: GlooSettings) -> bool:
    return gloo.mesh_root is not None and cluster.name in gloo.workloads


def _path(gloo: GlooSettings) -> str:
    return f"/api/v1/namespaces/{gloo.namespace}/configmaps/{CERTIFICATES}"


def _pods(cluster: Cluster, gloo: GlooSettings) -> list[tuple[str, datetime | None]]:
    """Return the relay's pods with when they were started."""

    def keep(live: dict[str, Any]) -> tuple[str, datetime | None] | None:
        name = str(live["metadata"]["name"])
        started = parse_time((live.get("status") or {}).get("startTime"))
        return (name, started) if name.startswith(_READERS) else None

    return cluster.list_all(f"/api/v1/namespaces/{gloo.namespace}/pods", keep)


def _unread(
    cluster: str,
    gloo: GlooSettings,
    pods: list[tuple[str, datetime | None]],
    changed: datetime | None,
) -> Iterator[BundleObservation]:
    for name, started in pods:
        if started is not None and changed is not None and started > changed:
            continue
        yield BundleObservation(
            place=BundlePlace(
                cluster=cluster, namespace=gloo.namespace, name=name, key=ROOTS_KEY, kind="Pod"
            ),
            members=(),
            changed_at=started,
            problem=BundleProblem.UNREAD,
            hint=_RESTART,
        )


def _leaves(cluster: str, given: Mapping[str, Any], trust: KnownTrust) -> Iterator[LeafObservation]:
    for key, pem in sorted((given.get("data") or {}).items()):
        if key in (ROOTS_KEY, MESH_CAS_KEY):
            continue
        leaf = observe_leaf(
            cluster=cluster,
            namespace=given["metadata"]["namespace"],
            name=f"{CERTIFICATES}[{key}]",
            kind="relay certificate",
            declared=False,
            issuer="the relay's CA",
            chain_pem=pem,
            anchors=trust.anchors,
            issued_at=owned_since(given["metadata"], "f:data", f"f:{key}"),
        )
        if leaf.live(trust.at):
            yield replace(leaf, issuer_since=leaf.issued_at)


def _before(
    pods: list[tuple[str, datetime | None]],
    leaves: tuple[LeafObservation, ...],
    trust: KnownTrust,
) -> Iterator[LeafObservation]:
    """Yield what an agent may still present that was started before its certificate changed."""
    for leaf in leaves:
        if leaf.name != f"{CERTIFICATES}[{CLIENT_KEY}]":
            continue
        for name, started in pods:
            late = started is None or leaf.issued_at is None or started <= leaf.issued_at
            if not late or not name.startswith(_AGENTS):
                continue
            yield from trust.of_others(
                leaf,
                name=name,
                kind="Pod",
                issuer="the relay's CA of before; restart its Deployment",
                not_after=None,
            )
