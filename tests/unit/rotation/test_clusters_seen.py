"""Which cluster a name reaches: the recorded one, and one of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.rotation.clusters_seen import cluster_refusals
from mtls_pki.rotation.domain import Domain
from mtls_pki.rotation.evidence import ClusterUnreachable, Evidence, GateObservation
from tests.unit.rotation.cases import DAY, HOLD_DOWN, NOW, cluster

RECORDED, ONE_NAME = "recorded-cluster", "one-name-per-cluster"


def seen(uids: Mapping[str, str | None]) -> Evidence:
    """Evidence of clusters with these UIDs; None is one that could not be read."""
    return Evidence(
        observed_at=NOW,
        clusters=tuple(
            ClusterUnreachable(cluster=name, error="away")
            if uid is None
            else replace(cluster(name), uid=uid)
            for name, uid in uids.items()
        ),
    )


@pytest.mark.parametrize(
    ("live", "pinned", "refused"),
    [
        ({"dev": "a", "prod": "b"}, {"dev": "a", "prod": "b"}, []),
        ({"dev": "a", "prod": "b"}, {}, []),
        ({"dev": "a", "new": "c"}, {"dev": "a"}, []),
        ({"dev": "a"}, {"dev": "a", "prod": "b"}, []),
        ({"dev": "a"}, {"dev": ""}, []),
        ({"dev": None, "prod": "b"}, {"dev": "a", "prod": "b"}, []),
        ({"dev": "x"}, {"dev": "a"}, [RECORDED]),
        ({"dev": "x", "prod": "b"}, {"dev": "a", "prod": "b"}, [RECORDED]),
        ({"dev": "b", "prod": "a"}, {"dev": "a", "prod": "b"}, [RECORDED, RECORDED]),
        ({"development": "a"}, {"dev": "a"}, []),
        ({"dev": "b"}, {"dev": "a", "prod": "b"}, [RECORDED]),
        ({"dev": None, "dr": "a"}, {"dev": "a"}, [ONE_NAME]),
        ({"dev": None, "dr": "a"}, {"dev": ""}, []),
        ({"dev": "a", "dr": "a"}, {}, [ONE_NAME]),
        ({"dev": "a", "dr": "a"}, {"dev": "a"}, [ONE_NAME]),
        ({"dev": "a", "prod": "a"}, {"dev": "a", "prod": "b"}, [ONE_NAME, RECORDED]),
        ({"a1": "a", "b1": "b", "a2": "a", "b2": "b"}, {}, [ONE_NAME, ONE_NAME]),
    ],
    ids=str,
)
def test_what_is_refused(
    live: dict[str, str | None], pinned: dict[str, str], refused: list[str]
) -> None:
    found = cluster_refusals(seen(live), pinned)
    assert [each.rule.identifier for each in found] == refused
    assert not any(each.rule.by_evidence for each in found)


def test_another_cluster_behind_a_name_is_told_with_both_uids() -> None:
    (refusal,) = cluster_refusals(seen({"dev": "x"}), {"dev": "a"})
    assert refusal.seen == (
        "clusters.dev reaches the cluster whose kube-system has the UID x; recorded for dev is a",
    )
    assert refusal.remedy == (
        "correct kubeconfig and context of clusters.dev; a cluster that was built again is another "
        "one: if nothing of the recorded one is left, write abandon: [cluster/dev]"
    )


def test_a_recorded_cluster_may_be_gone_on_purpose() -> None:
    gone = frozenset({"cluster/dev"})
    assert cluster_refusals(seen({"dev": "x"}), {"dev": "a"}, abandon=gone) == []
    # That waives no mistake about a cluster that is there.
    swapped = seen({"dev": "b", "prod": "a"})
    found = cluster_refusals(swapped, {"dev": "a", "prod": "b"}, abandon=gone)
    assert len(found) == 2
    assert cluster_refusals(seen({"prod": "x"}), {"prod": "b"}, abandon=gone) != []


def test_a_swap_names_whose_cluster_it_is() -> None:
    first, _ = cluster_refusals(seen({"dev": "b", "prod": "a"}), {"dev": "a", "prod": "b"})
    assert "has the UID b, which is recorded as prod; recorded for dev is a" in first.seen[0]
    assert first.remedy == "correct kubeconfig and context of clusters.dev"


def test_two_names_of_one_cluster_are_told_with_its_uid() -> None:
    (refusal,) = cluster_refusals(seen({"dev": "a", "dr": "a"}), {})
    assert refusal.seen == ("dev and dr are one cluster: the UID of kube-system is a in each",)
    assert "keep one of dev and dr" in refusal.remedy


_NAMES = st.sampled_from(["dev", "eu", "us", "dr"])
_UIDS = st.sampled_from(["a", "b", "c", "d"])


@given(st.dictionaries(_NAMES, _UIDS, min_size=1), st.dictionaries(_NAMES, st.just("") | _UIDS))
def test_each_name_reaches_its_own_recorded_cluster_where_nothing_is_refused(
    live: dict[str, str], pinned: dict[str, str]
) -> None:
    one_each = len({*live.values()}) == len(live)
    recorded = all(pinned.get(name) in (uid, None, "") for name, uid in live.items())
    assert (cluster_refusals(seen(live), pinned) == []) == (one_each and recorded)


@given(
    st.dictionaries(_NAMES, _UIDS, min_size=1),
    st.dictionaries(_NAMES, _UIDS),
    st.sets(_NAMES),
)
def test_a_cluster_that_cannot_be_read_lets_nothing_through_that_was_refused(
    live: dict[str, str], pinned: dict[str, str], away: set[str]
) -> None:
    """What the clusters that were read show is refused whatever the others would have shown."""
    there: dict[str, str | None] = {
        name: None if name in away else uid for name, uid in live.items()
    }
    found = {each.rule.identifier for each in cluster_refusals(seen(there), pinned)}
    alone = {name: uid for name, uid in live.items() if name not in away}
    assert {each.rule.identifier for each in cluster_refusals(seen(alone), pinned)} <= found


def test_what_a_cluster_records_counts_before_what_the_reader_remembers() -> None:
    domain = Domain(
        owner="mtls-pki/test",
        trust_domain="example.org",
        clusters={"dev": "a", "eu": ""},
        bundles=frozenset(),
        namespaces=frozenset(),
        issuers={},
        hold_down=HOLD_DOWN,
        longest_lifetime=DAY,
    )
    gate = GateObservation(cluster="dev", stage=None, changed_at=NOW, domain=domain)
    found = replace(
        seen({"dev": "a"}),
        clusters=(replace(cluster("dev"), uid="a", gate=gate),),
        remembered={"dev": "old", "eu": "e", "us": "u"},
    )
    assert found.pinned == {"dev": "a", "eu": "e", "us": "u"}
    # A cluster that shows no record is judged by what is remembered alone.
    elsewhere = replace(seen({"dev": "x"}), remembered={"dev": "a"})
    (refusal,) = cluster_refusals(elsewhere, elsewhere.pinned)
    assert refusal.rule.identifier == RECORDED
