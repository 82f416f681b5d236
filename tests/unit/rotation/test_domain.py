"""The record of what a trust domain depends on: what is carried on, and which hold-down counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.rotation.domain import (
    BundleForm,
    Domain,
    RecordedDomain,
    counting_hold_down,
    merged,
    succeeding,
)
from mtls_pki.rotation.stage import StageError
from tests.unit.rotation.cases import DAY, NOW, fingerprint

FORM = BundleForm(name="mesh-trust", key="ca.crt", via="configmap")
DOMAIN = Domain(
    owner="mtls-pki/prod",
    trust_domain="example.org",
    clusters={"dev": "uid-1", "eu": "uid-2"},
    bundles=frozenset({FORM}),
    namespaces=frozenset({"app"}),
    issuers={"ClusterIssuer/mtls-ca-g1-i1": "g1"},
    hold_down=timedelta(hours=24),
    longest_lifetime=timedelta(hours=24),
    distrusted=frozenset({fingerprint("g0")}),
    partners={"acme": fingerprint("acme")},
    generations={fingerprint("g1"): "g1"},
    issued=frozenset({fingerprint("g1")}),
)


def recorded(domain: Domain = DOMAIN, *, age: timedelta = timedelta(0)) -> RecordedDomain:
    return RecordedDomain(domain=domain, since=NOW - age)


def test_a_record_is_read_as_it_was_written() -> None:
    again = Domain.from_json(DOMAIN.to_json(), origin="gate")
    assert again == DOMAIN
    assert again.to_json() == DOMAIN.to_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "cannot be read"),
        ("{}", "cannot be read"),
        ("not json", "cannot be read"),
        (DOMAIN.to_json().replace("trust-domain/v1", "trust-domain/v9"), "is not"),
        (DOMAIN.to_json().replace('"24h0m0s"', '"soon"'), "cannot be read"),
    ],
)
def test_a_record_that_is_none_says_where(text: str, said: str) -> None:
    with pytest.raises(StageError, match=f"^gate: .*{said}"):
        Domain.from_json(text, origin="gate")


def test_what_must_not_be_forgotten_is_carried_on() -> None:
    configured = replace(
        DOMAIN,
        clusters={"dev": ""},
        hold_down=timedelta(seconds=1),
        longest_lifetime=timedelta(hours=1),
        distrusted=frozenset({fingerprint("g2")}),
        generations={fingerprint("g3"): "g3"},
        issued=frozenset(),
    )
    written = succeeding(configured, recorded(), NOW)
    assert written.clusters == {"dev": "uid-1"}
    assert written.former_hold_down == timedelta(hours=24)
    assert written.longest_lifetime == timedelta(hours=24)
    assert written.distrusted == {fingerprint("g0"), fingerprint("g2")}
    assert written.generations == {fingerprint("g1"): "g1", fingerprint("g3"): "g3"}
    assert written.issued == {fingerprint("g1")}


@pytest.mark.parametrize(
    ("age", "configured", "counts"),
    [
        (timedelta(0), timedelta(seconds=1), 24 * 3600),
        (timedelta(0), timedelta(hours=48), 48 * 3600),
        (2 * DAY, timedelta(seconds=1), 24 * 3600),
    ],
)
def test_of_two_hold_downs_the_longer_one_counts(
    age: timedelta, configured: timedelta, counts: float
) -> None:
    found = counting_hold_down(configured, recorded(age=age), NOW)
    assert found.total_seconds() == counts


@pytest.mark.parametrize(("age", "counts"), [(DAY - timedelta(seconds=1), 24 * 3600), (DAY, 1)])
def test_a_shorter_hold_down_counts_once_it_was_recorded_for_as_long_as_the_longer_one(
    age: timedelta, counts: float
) -> None:
    shortened = replace(
        DOMAIN, hold_down=timedelta(seconds=1), former_hold_down=timedelta(hours=24)
    )
    found = counting_hold_down(timedelta(seconds=1), recorded(shortened, age=age), NOW)
    assert found.total_seconds() == counts


def test_without_a_record_the_configuration_counts() -> None:
    assert counting_hold_down(timedelta(seconds=9), None, NOW) == timedelta(seconds=9)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.integers(0, 400))
def test_no_sequence_of_edits_makes_a_hold_down_shorter_than_its_time(
    hours: list[int], waited: int
) -> None:
    """Whatever is written in which order, the longest counts until it has been over for itself."""
    known = recorded(replace(DOMAIN, hold_down=timedelta(hours=100)))
    for configured in hours:
        written = succeeding(replace(DOMAIN, hold_down=timedelta(hours=configured)), known, NOW)
        known = RecordedDomain(domain=written, since=NOW)
    later = NOW + timedelta(hours=waited)
    counts = counting_hold_down(timedelta(hours=hours[-1]), known, later)
    assert counts >= timedelta(hours=hours[-1])
    if waited < 100:
        assert counts == timedelta(hours=100)


def test_clusters_that_differ_are_taken_together() -> None:
    other = replace(
        DOMAIN,
        namespaces=frozenset({"shop"}),
        hold_down=timedelta(seconds=1),
        distrusted=frozenset({fingerprint("g9")}),
    )
    both = merged([recorded(age=DAY), recorded(other)])
    assert both is not None
    assert both.since == NOW
    assert both.domain.namespaces == {"app", "shop"}
    assert both.domain.distrusted == {fingerprint("g0"), fingerprint("g9")}
    assert counting_hold_down(timedelta(seconds=1), both, NOW) == timedelta(hours=24)
    assert merged([]) is None
    unknown = merged([recorded(), RecordedDomain(domain=DOMAIN, since=None)])
    assert unknown is not None
    assert unknown.since is None
