"""What verifiers and issuers of a trust domain depend on beside its anchors, and its record.

The record stands next to the stage in each cluster's gate object, so that a place, a cluster or an
issuer that leaves the configuration is noticed like an anchor that leaves.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import reduce
from types import MappingProxyType
from typing import Any

from mtls_pki.rotation.durations import DurationError, format_duration, parse_duration
from mtls_pki.rotation.stage import StageError

DOMAIN_KEY = "domain.json"
"""Key of this record in the gate's ConfigMap, next to the stage."""

DOMAIN_SCHEMA = "mtls-pki/trust-domain/v1"
"""Value of ``schema`` in the record; another value is refused, never guessed at."""


@dataclass(frozen=True, kw_only=True, order=True)
class BundleForm:
    """How verifiers find the bundle: key ``key`` of the ConfigMap ``name``, written ``via`` whom.

    ``via`` is ``configmap`` or ``trust-manager``.
    """

    name: str
    key: str
    via: str

    def __str__(self) -> str:
        return f"{self.name}[{self.key}] via {self.via}"


@dataclass(frozen=True, kw_only=True)
class Domain:
    """What a trust domain consists of, apart from its anchors.

    Attributes:
        owner: ``project/stack`` of the stack that declares it.
        trust_domain: its name (SPIFFE-ID, section 2.1).
        clusters: cluster -> UID of its namespace ``kube-system``, empty where it was not read.
        bundles: every form in which the bundle is distributed.
        namespaces: where, in each cluster.
        issuers: ``Kind/name`` of each issuer that the stack declares -> generation.
        hold_down: as configured.
        former_hold_down: the longer one that it replaced, None where that no longer counts.
        longest_lifetime: the longest of any leaf that the stack has ever declared.
        distrusted: fingerprints of all anchors that were ever declared compromised.
        partners: name of a partner -> fingerprint of its root.
        generations: fingerprint -> generation of every anchor that the domain has ever had.
        issued: fingerprints of those of them that may have issued.
        consumers: ``NAME/CLUSTER`` of whoever takes trust beside the declared Certificates.
    """

    owner: str
    trust_domain: str
    clusters: Mapping[str, str]
    bundles: frozenset[BundleForm]
    namespaces: frozenset[str]
    issuers: Mapping[str, str]
    hold_down: timedelta
    longest_lifetime: timedelta
    former_hold_down: timedelta | None = None
    distrusted: frozenset[str] = frozenset()
    partners: Mapping[str, str] = field(default_factory=dict)
    generations: Mapping[str, str] = field(default_factory=dict)
    issued: frozenset[str] = frozenset()
    consumers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        for name in ("clusters", "issuers", "partners", "generations"):
            ordered = dict(sorted(getattr(self, name).items()))
            object.__setattr__(self, name, MappingProxyType(ordered))

    def __hash__(self) -> int:
        return hash(self.to_json())

    def to_json(self) -> str:
        """Return the canonical text of the record: equal domains give equal bytes."""
        record = {
            "schema": DOMAIN_SCHEMA,
            "owner": self.owner,
            "trustDomain": self.trust_domain,
            "clusters": dict(self.clusters),
            "bundles": [
                {"name": form.name, "key": form.key, "via": form.via}
                for form in sorted(self.bundles)
            ],
            "namespaces": sorted(self.namespaces),
            "issuers": dict(self.issuers),
            "holdDown": format_duration(self.hold_down),
            "formerHoldDown": _optional(self.former_hold_down),
            "longestLifetime": format_duration(self.longest_lifetime),
            "distrusted": sorted(self.distrusted),
            "partners": dict(self.partners),
            "generations": dict(self.generations),
            "issued": sorted(self.issued),
            # A stack without consumers has the record of the releases before them.
            **({"consumers": sorted(self.consumers)} if self.consumers else {}),
        }
        return json.dumps(record, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, *, origin: str) -> Domain:
        """Return the domain of ``to_json``.

        Raises:
            StageError: it is no record of this schema; the message begins with ``origin``.
        """
        try:
            record = json.loads(text)
            if record["schema"] != DOMAIN_SCHEMA:
                raise StageError(
                    f"{origin}: schema {record['schema']!r} is not {DOMAIN_SCHEMA!r}; "
                    "use the release that wrote it, or a later one"
                )
            return _parsed(record)
        except (ValueError, KeyError, TypeError, AttributeError, DurationError) as error:
            if isinstance(error, StageError):
                raise
            raise StageError(
                f"{origin}: {DOMAIN_KEY} cannot be read ({error!r}). The program writes this "
                "record and nobody else may; restore it from the last applied commit"
            ) from None


def _optional(duration: timedelta | None) -> str | None:
    return None if duration is None else format_duration(duration)


def _parsed(record: Mapping[str, Any]) -> Domain:
    former = record["formerHoldDown"]
    return Domain(
        owner=str(record["owner"]),
        trust_domain=str(record["trustDomain"]),
        clusters={str(name): str(uid) for name, uid in record["clusters"].items()},
        bundles=frozenset(
            BundleForm(name=str(each["name"]), key=str(each["key"]), via=str(each["via"]))
            for each in record["bundles"]
        ),
        namespaces=frozenset(map(str, record["namespaces"])),
        issuers={str(name): str(each) for name, each in record["issuers"].items()},
        hold_down=parse_duration(record["holdDown"]),
        former_hold_down=None if former is None else parse_duration(former),
        longest_lifetime=parse_duration(record["longestLifetime"]),
        distrusted=frozenset(map(str, record["distrusted"])),
        partners={str(name): str(each) for name, each in record["partners"].items()},
        generations={str(key): str(name) for key, name in record["generations"].items()},
        issued=frozenset(map(str, record["issued"])),
        consumers=frozenset(map(str, record.get("consumers", ()))),
    )


@dataclass(frozen=True, kw_only=True)
class RecordedDomain:
    """The domain that a cluster records, and when the server recorded its last change."""

    domain: Domain
    since: datetime | None


def merged(records: Iterable[RecordedDomain]) -> RecordedDomain | None:
    """Return what all clusters together record, None without any.

    While an update is under way they differ. Whatever one of them still depends on counts: an
    update that did not come so far has not taken it away there.
    """
    found = tuple(records)
    return reduce(_both, found) if found else None


def _both(one: RecordedDomain, other: RecordedDomain) -> RecordedDomain:
    first, second = one.domain, other.domain
    times = [each.since for each in (one, other) if each.since is not None]
    holds = [d for d in (first.former_hold_down, second.former_hold_down) if d is not None]
    longest = max([first.hold_down, second.hold_down, *holds])
    shortest = min(first.hold_down, second.hold_down)
    return RecordedDomain(
        domain=replace(
            first,
            clusters={**second.clusters, **first.clusters},
            bundles=first.bundles | second.bundles,
            namespaces=first.namespaces | second.namespaces,
            issuers={**second.issuers, **first.issuers},
            hold_down=shortest,
            former_hold_down=longest if longest > shortest else None,
            longest_lifetime=max(first.longest_lifetime, second.longest_lifetime),
            distrusted=first.distrusted | second.distrusted,
            partners={**second.partners, **first.partners},
            generations={**second.generations, **first.generations},
            issued=first.issued | second.issued,
            consumers=first.consumers | second.consumers,
        ),
        # A record without a time makes the whole without: what is not known to be old is new.
        since=max(times) if len(times) == 2 else None,
    )


def counting_hold_down(
    configured: timedelta, recorded: RecordedDomain | None, now: datetime
) -> timedelta:
    """Return the hold-down that counts: the longer of the configured and the recorded one.

    A shorter one counts only once it has been recorded for as long as the longer one: whoever can
    shorten it in the commit that needs it has no hold-down. RFC 5011, section 2.4.1, takes the
    greater of two times as well.
    """
    if recorded is None:
        return configured
    return max(configured, standing_hold_down(recorded, now))


def standing_hold_down(recorded: RecordedDomain, now: datetime) -> timedelta:
    """Return the recorded hold-down, or the longer one before it while that still counts."""
    domain = recorded.domain
    former = domain.former_hold_down
    if former is None or (recorded.since is not None and recorded.since + former <= now):
        return domain.hold_down
    return max(domain.hold_down, former)


def succeeding(configured: Domain, recorded: RecordedDomain | None, now: datetime) -> Domain:
    """Return what is to be recorded for ``configured``, after what is recorded now.

    What must not be forgotten is carried on: distrusted anchors, the longest lifetime, a longer
    hold-down, and the identity of a cluster that could not be read this time.
    """
    if recorded is None:
        return configured
    before = recorded.domain
    standing = standing_hold_down(recorded, now)
    return replace(
        configured,
        clusters={
            name: uid or before.clusters.get(name, "") for name, uid in configured.clusters.items()
        },
        former_hold_down=standing if standing > configured.hold_down else None,
        longest_lifetime=max(configured.longest_lifetime, before.longest_lifetime),
        distrusted=configured.distrusted | before.distrusted,
        generations={**before.generations, **configured.generations},
        issued=configured.issued | before.issued,
    )
