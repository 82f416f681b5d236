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

_CLUSTER = "cluster/"


def cluster_refusals(
    evidence: Evidence, pinned: Mapping[str, str], *, abandon: Collection[str] = ()
) -> list[Refusal]:
    """Refuse a name that reaches another cluster than before, and two names of one cluster.

    A cluster that could not be read is neither; that is missing evidence. A cluster whose name
    alone has changed is the same one, and no business of these rules.

    Args:
        evidence: with the UID of each cluster that could be read.
        pinned: cluster -> its recorded UID; empty where none was read then.
        abandon: what may leave, on purpose; ``cluster/NAME`` says that the recorded cluster of this
            name is gone, and that another one has its name now.
    """
    return name_refusals(
        {each.cluster: each.uid for each in evidence.reachable if each.uid is not None},
        pinned,
        unread=frozenset(each.cluster for each in evidence.unreachable),
        rebuilt={each.removeprefix(_CLUSTER) for each in abandon if each.startswith(_CLUSTER)},
        way=f"write abandon: [{_CLUSTER}{{name}}]",
    )


def name_refusals(
    live: Mapping[str, str],
    pinned: Mapping[str, str],
    *,
    unread: Collection[str] = (),
    rebuilt: Collection[str] = (),
    way: str,
) -> list[Refusal]:
    """Refuse as :func:`cluster_refusals` does, by UIDs alone.

    Args:
        live: cluster -> UID of what its kubeconfig reaches.
        pinned: cluster -> its recorded UID.
        unread: clusters that could not be read.
        rebuilt: clusters that were built again, on purpose.
        way: how to say so, with ``{name}`` for the cluster.
    """
    names: dict[str, list[str]] = {}
    for name, uid in live.items():
        names.setdefault(uid, []).append(name)
    return [
        *(
            _one_cluster(each, f"the UID of kube-system is {uid} in each")
            for uid, each in names.items()
            if len(each) > 1
        ),
        *_not_the_recorded_ones(live, pinned, rebuilt, way),
        *_recorded_beside(live, pinned, unread),
    ]


def _one_cluster(names: Sequence[str], how: str) -> Refusal:
    listed = " and ".join(names)
    return Refusal(
        rule=rules.ONE_NAME_PER_CLUSTER,
        seen=(f"{listed} are one cluster: {how}",),
        remedy="correct kubeconfig and context of the one that should be another cluster, or "
        f"keep one of {listed} under mtls-pki:clusters",
    )


def _not_the_recorded_ones(
    live: Mapping[str, str], pinned: Mapping[str, str], rebuilt: Collection[str], way: str
) -> Iterator[Refusal]:
    for name, uid in live.items():
        recorded = pinned.get(name)
        if not recorded or recorded == uid:
            continue
        owners = [each for each, known in pinned.items() if known == uid]
        if not owners and name in rebuilt:
            continue
        remedy = f"correct kubeconfig and context of clusters.{name}"
        if not owners:
            remedy += (
                "; a cluster that was built again is another one: if nothing of the recorded one "
                f"is left, {way.format(name=name)}"
            )
        whose = f", which is recorded as {' and '.join(owners)}" if owners else ""
        yield Refusal(
            rule=rules.RECORDED_CLUSTER,
            seen=(
                f"clusters.{name} reaches the cluster whose kube-system has the UID {uid}{whose}; "
                f"recorded for {name} is {recorded}",
            ),
            remedy=remedy,
        )


def _recorded_beside(
    live: Mapping[str, str], pinned: Mapping[str, str], unread: Collection[str]
) -> Iterator[Refusal]:
    """Refuse a new name of a cluster whose recorded name is there too, and could not be read."""
    for name, uid in live.items():
        for owner in sorted(unread):
            if not pinned.get(name) and pinned.get(owner) == uid:
                yield _one_cluster(
                    (owner, name), f"{name} has the UID {uid}, which is recorded for {owner}"
                )
