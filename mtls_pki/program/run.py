"""The picture of one stack: settings -> clusters and backends -> anchors, gates -> the rest."""

from __future__ import annotations

import gc
from pathlib import Path

from mtls_pki.clusters.former_names import former_names
from mtls_pki.program import (
    access,
    anchors,
    authorities,
    barrier,
    clusters,
    consumers,
    copies,
    explanations,
    exports,
    per_cluster,
)
from mtls_pki.program.deletion import DeletionGuard
from mtls_pki.program.guard import TrustGuard
from mtls_pki.program.hooks import ClusterGuard, KeyGuard
from mtls_pki.program.remembered import export_clusters, remembered_clusters
from mtls_pki.program.stack_settings import read_settings
from mtls_pki.registry import backends_of, consumers_of


def run() -> None:
    """Declare the stack that the engine runs, in the working directory.

    Raises:
        pulumi.RunError: what is wrong with the configuration, a cluster or an authority, in one
            message, before anything is touched.
    """
    # What is declared lives until the end. With the usual threshold Python looks through all of it
    # for garbage again and again: at a thousand certificates a quarter of its processor time.
    gc.set_threshold(100_000)
    directory = Path.cwd()
    settings = read_settings(directory)
    copies.remove_at_the_end(settings)
    guard = TrustGuard(settings)
    readiness = clusters.require_clusters(settings)
    clusters.require_no_loss(settings)
    former = former_names(settings)
    backends = {each.settings.name: each for each in backends_of(settings)}
    issuing = authorities.prepare(settings, directory, backends)
    guard.remember(remembered_clusters)
    guard.require_allowed()
    # What a gate records depends on what is recorded, key by key, so a preview waits for it too.
    evidence = guard.read()

    roots = anchors.declare_anchors(settings, KeyGuard(settings, guard))
    deletion = DeletionGuard(settings, guard)
    gates = {
        cluster: per_cluster.declare_gate(
            settings,
            roots,
            evidence,
            ClusterGuard(settings, cluster, guard, deletion),
            former[cluster],
        )
        for cluster in settings.clusters
    }
    reached = {name: gate for name, gate in gates.items() if name in readiness.usable}
    authorities.declare(issuing, roots, reached)
    places, leaves = {}, {}
    for cluster, gate in gates.items():
        on_failure = explanations.FailureHooks(gate.address, backends)
        places[cluster] = consumers.place(gate, on_failure)
        leaves[cluster] = per_cluster.declare_behind(settings, gate, roots, issuing, on_failure)
    barrier.await_certificates(settings, leaves, roots, backends)
    access.declare_access(settings, gates)
    consuming = consumers.declare(settings, directory, roots, places, consumers_of(settings))
    fingerprints = {name: root.fingerprint for name, root in roots.items()}
    guard.announce(fingerprints, up_refuses=readiness.up_refuses)
    exports.export(settings, roots, issuing, consuming)
    export_clusters(gate.record for gate in gates.values())
    barrier.end_after(leaves)
