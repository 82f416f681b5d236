"""The rules of a rotation, and what a broken one looks like: a ``Refusal``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule that a change of trust must keep.

    Attributes:
        identifier: stable, for machines; docs/rotation.md has a heading of this name.
        sentence: what the rule demands, for people.
        upstream: the standard or project that has the same rule; None where there is none.
        by_evidence: live evidence can lift the refusal. The other rules are about the shape of the
            change, and no waiting helps.
    """

    identifier: str
    sentence: str
    upstream: str | None = None
    by_evidence: bool = False

    @property
    def source(self) -> str:
        """Where a reader finds why the rule exists and what to do: a page, and the upstream."""
        page = f"docs/rotation.md#{self.identifier}"
        return f"{page}; {self.upstream}" if self.upstream else page


ONE_ISSUING = Rule(
    identifier="one-issuing-anchor",
    sentence="Exactly one anchor is issuing.",
)
LAST_ANCHOR = Rule(
    identifier="last-anchor",
    sentence="The last trusted anchor of a domain is never removed: a bundle is never empty.",
)
SAME_NAME_OTHER_KEY = Rule(
    identifier="generation-keeps-its-key",
    sentence="A generation keeps its key for ever: to rotate, add a new generation; "
    "to renew, keep the key and change the dates.",
    upstream="Strimzi, annotations force-renew and force-replace",
)
ONE_NAME_PER_KEY = Rule(
    identifier="one-generation-per-key",
    sentence="A key belongs to one generation, and a generation is never renamed.",
    upstream="RFC 5280, section 6.1.1 (d)",
)
SKIPPED_STEP = Rule(
    identifier="skipped-step",
    sentence="An anchor moves along incoming, issuing, outgoing, removed, or one step back; "
    "a step is never skipped.",
    upstream="SPIRE, pkg/server/api/localauthority/v1/service.go",
)
ADDED_AND_ISSUING = Rule(
    identifier="added-and-issuing",
    sentence="An anchor is never added and starts to issue in one update: "
    "verifiers must learn it first.",
    upstream="istio/istio#47424",
)
ONE_STEP = Rule(
    identifier="one-step-per-update",
    sentence="One update makes one step of one rotation.",
)
ONE_ROTATION = Rule(
    identifier="one-rotation",
    sentence="One rotation at a time: finish or abandon it before the next one starts.",
)
STAYS_COMPROMISED = Rule(
    identifier="stays-compromised",
    sentence="An anchor that was declared compromised is never trusted again.",
    upstream="RFC 5011, section 2.1",
)
ACKNOWLEDGED = Rule(
    identifier="compromise-acknowledged",
    sentence="Distrusting an anchor now names its exact fingerprint and says acceptOutage: true.",
)
CANARY_ANCHOR = Rule(
    identifier="canary-anchor",
    sentence="A service may name only a trusted anchor of the stage.",
)
WITHIN_DATES = Rule(
    identifier="within-dates",
    sentence="Every trusted root, and every issuing CA that issues, is valid now, and what starts "
    "to issue is valid for as long as its leaves.",
    upstream="RFC 5280, section 4.1.2.5",
)
HELD_EVERYWHERE = Rule(
    identifier="bundles-hold-anchor",
    sentence="An anchor starts to issue only when every trust bundle of the domain, in every "
    "cluster and namespace, holds it and has held it for the hold-down.",
    upstream="RFC 5011, section 2.2",
    by_evidence=True,
)
NO_LIVE_LEAF = Rule(
    identifier="no-leaf-chains-to-anchor",
    sentence="An anchor leaves the bundle only when no live leaf in any cluster needs it, declared "
    "by this stack or not, and the leaves that moved have been in place for the hold-down.",
    upstream="SPIRE, pkg/server/datastore/sqlstore/sqlstore.go",
    by_evidence=True,
)
EVIDENCE_COMPLETE = Rule(
    identifier="evidence-complete",
    sentence="A change of trust is applied only when every cluster of the stack could be read.",
    by_evidence=True,
)
RECORDED_CLUSTER = Rule(
    identifier="recorded-cluster",
    sentence="A name under clusters reaches the cluster that is recorded for it, and no other.",
)
ONE_NAME_PER_CLUSTER = Rule(
    identifier="one-name-per-cluster",
    sentence="Two names under clusters are two clusters.",
)

PLACE_IN_USE = Rule(
    identifier="place-in-use",
    sentence="A cluster or namespace leaves the trust domain only when nobody in it uses the trust "
    "bundle any more, or when it is abandoned on purpose.",
    by_evidence=True,
)
MOVED_SIDE_BY_SIDE = Rule(
    identifier="moved-side-by-side",
    sentence="A bundle moves to another name, key or form only after old and new have been side by "
    "side for the hold-down.",
    upstream="RFC 5011, section 2.2",
    by_evidence=True,
)
ISSUER_IN_USE = Rule(
    identifier="issuer-in-use",
    sentence="An issuer leaves only when no Certificate of others names it, or when it is "
    "abandoned on purpose.",
    by_evidence=True,
)
DOMAIN_KEEPS_ITS_NAME = Rule(
    identifier="domain-keeps-its-name",
    sentence="A trust domain keeps its name: it is part of every identity in it.",
    upstream="SPIFFE-ID, section 2.1",
)
CHAINS_VERIFY = Rule(
    identifier="chains-verify",
    sentence="Every chain that a live workload presents verifies under every bundle that a "
    "verifier may hold, before and after the change.",
    upstream="RFC 5280, section 6.1",
    by_evidence=True,
)
ONE_OWNER = Rule(
    identifier="one-owner",
    sentence="An object has one owner: a stack writes no object that another stack, or nobody of "
    "this program, has made.",
    upstream="controller-runtime, pkg/controller/controllerutil",
    by_evidence=True,
)


@dataclass(frozen=True, kw_only=True)
class Laggard:
    """A bundle, leaf or cluster that keeps the next step from being safe.

    ``namespace`` is empty for what has none. ``since`` is when the server recorded the state.
    ``clears_at`` is the earliest time at which it can stop being a laggard, None when that cannot
    be computed.
    """

    cluster: str
    namespace: str
    kind: str
    name: str
    detail: str
    since: datetime | None = None
    clears_at: datetime | None = None

    @property
    def place(self) -> str:
        """``cluster/namespace Kind name``."""
        where = f"{self.cluster}/{self.namespace}" if self.namespace else self.cluster
        return " ".join(part for part in (where, self.kind, self.name) if part)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a change is refused.

    ``seen`` is one sentence per fact. ``earliest`` is the earliest time at which the change can
    succeed, a lower bound; None when no time can be computed or waiting does not help.
    ``generation`` and ``fingerprint`` name the anchor, where the rule is about one.
    """

    rule: Rule
    seen: tuple[str, ...]
    remedy: str
    generation: str | None = None
    fingerprint: str | None = None
    laggards: tuple[Laggard, ...] = ()
    earliest: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something that the change does not fail on, but that a person must hear.

    ``identifier`` is stable for machines. ``laggards`` lists who is concerned.
    """

    identifier: str
    message: str
    laggards: tuple[Laggard, ...] = ()
