"""The picture of one stack: settings -> clusters and backends -> anchors, gates -> the rest."""

from __future__ import annotations

import gc
from pathlib import Path

from mtls_pki.clusters.former_names import former_names
from mtls_pki.program import (
    access,
    anchors,
    authorities,
    clusters,
    consumers,
    copies,
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
    places = {}
    for cluster, gate in gates.items():
        on_failure = clusters.FailureHooks(gate.address, backends)
        places[cluster] = consumers.place(gate, on_failure)
        per_cluster.declare_bundle(settings, gate, roots, on_failure)
        issuers = per_cluster.declare_issuers(settings, gate, roots, issuing, on_failure)
        per_cluster.declare_certificates(settings, gate, issuers, on_failure)
    access.declare_access(settings, gates)
    consuming = consumers.declare(settings, directory, roots, places, consumers_of(settings))
    guard.announce(
        {name: root.fingerprint for name, root in roots.items()},
        up_refuses=readiness.up_refuses,
    )
    exports.export(settings, roots, issuing, consuming)
    export_clusters(gate.record for gate in gates.values())
