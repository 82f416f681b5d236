"""Whether each name of a cluster still reaches the cluster that the record means.

A kubeconfig says where to send requests, and nothing in it says which cluster answers. The UID of
the namespace ``kube-system`` does. These refusals are about the shape of the change: whatever else
the evidence shows is then about other clusters than the configuration means.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from mtls_pki.rotation import rules
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.rules import Refusal


def cluster_refusals(
    evidence: Evidence, pinned: Mapping[str, str], *, abandon: Collection[str] = ()
) -> list[Refusal]:
    """Refuse a name that reaches another cluster than before, and two names of one cluster.

    A cluster that could not be read is neither; that is missing evidence.

    Args:
        evidence: with the UID of each cluster that could be read.
        pinned: cluster -> its recorded UID; empty where none was read then.
        abandon: what may leave, on purpose; ``cluster/NAME`` says that the recorded cluster of this
            name is gone, and that another one has its name now.
    """
    live = {each.cluster: each.uid for each in evidence.reachable if each.uid is not None}
    names: dict[str, list[str]] = {}
    for name, uid in live.items():
        names.setdefault(uid, []).append(name)
    shared = {uid: each for uid, each in names.items() if len(each) > 1}
    return [
        *(_one_cluster(uid, each) for uid, each in shared.items()),
        *_not_the_recorded_ones(live, pinned, shared, abandon),
    ]


def _one_cluster(uid: str, names: Sequence[str]) -> Refusal:
    listed = " and ".join(names)
    return Refusal(
        rule=rules.ONE_NAME_PER_CLUSTER,
        seen=(f"{listed} are one cluster: the UID of kube-system is {uid} in each",),
        remedy="correct kubeconfig and context of the one that should be another cluster, or "
        f"keep one of {listed} under mtls-pki:clusters",
    )


def _not_the_recorded_ones(
    live: Mapping[str, str],
    pinned: Mapping[str, str],
    shared: Mapping[str, Sequence[str]],
    abandon: Collection[str],
) -> Iterator[Refusal]:
    for name, uid in live.items():
        recorded = pinned.get(name)
        if recorded == uid:
            continue
        owners = [each for each, known in pinned.items() if known == uid]
        if recorded and not owners and f"cluster/{name}" in abandon:
            continue
        if recorded:
            yield _another(name, uid, recorded, owners)
        elif owners and uid not in shared:
            yield _renamed(name, uid, owners[0])


def _another(name: str, uid: str, recorded: str, owners: Sequence[str]) -> Refusal:
    whose = f", which is recorded as {' and '.join(owners)}" if owners else ""
    remedy = f"correct kubeconfig and context of clusters.{name}"
    if not owners:
        remedy += (
            "; a cluster that was built again is another one: if nothing of the recorded one is "
            f"left, write abandon: [cluster/{name}]"
        )
    return Refusal(
        rule=rules.RECORDED_CLUSTER,
        seen=(
            f"clusters.{name} reaches the cluster whose kube-system has the UID {uid}{whose}; "
            f"recorded for {name} is {recorded}",
        ),
        remedy=remedy,
    )


def _renamed(name: str, uid: str, former: str) -> Refusal:
    return Refusal(
        rule=rules.RECORDED_CLUSTER,
        seen=(
            f"clusters.{name} reaches the cluster that is recorded as {former} (UID {uid} of "
            "kube-system)",
        ),
        remedy=f"call it {former} again under mtls-pki:clusters, or correct kubeconfig and context "
        f"of clusters.{name} where it should be another cluster",
    )
