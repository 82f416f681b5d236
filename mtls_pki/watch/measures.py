"""What the exporter measures: one table, filled from one reading of the clusters.

Names and units are Prometheus' own conventions. Nothing is counted by leaf: a domain has tens of
thousands of them, and `mtls-pki status` names those that matter.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mtls_pki.clusters.machines import Row
from mtls_pki.clusters.observed_domain import ObservedDomain
from mtls_pki.rotation.evidence import LeafObservation
from mtls_pki.rotation.plan import Plan
from mtls_pki.rotation.position import AnchorPosition, Phase
from mtls_pki.rotation.renewal import leaf_states

_SHOWN_DIGITS = 16
_FOREIGN, _UNKNOWN, _NONE = "foreign", "unknown", "none"

Labels = tuple[str, ...]
Sample = tuple[Labels, float]


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read at one time.

    Attributes:
        domain: stack file and evidence.
        plan: position and the steps to come.
        read: cluster -> when it was last read whole, by its API server's clock; also clusters that
            could not be read this time.
        machines: until when the machines of the stack have access.
    """

    domain: ObservedDomain
    plan: Plan
    read: Mapping[str, datetime]
    machines: Sequence[Row] = ()

    @property
    def at(self) -> datetime:
        """The time of the API servers."""
        return self.plan.position.at


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One metric.

    Attributes:
        name: of the metric.
        text: its help.
        labels: names of its labels, besides ``domain``.
        samples: yields values of the labels, and the value.
    """

    name: str
    text: str
    labels: tuple[str, ...]
    samples: Callable[[Reading], Iterable[Sample]]


def _generation(anchor: AnchorPosition) -> str:
    return anchor.generation or _FOREIGN


def _shown(anchor: AnchorPosition) -> str:
    return (anchor.fingerprint or "")[:_SHOWN_DIGITS]


def _anchors(reading: Reading) -> Iterator[Sample]:
    for anchor in reading.plan.position.anchors:
        yield (_generation(anchor), anchor.role or _NONE, _shown(anchor)), 1


def _anchor_ends(reading: Reading) -> Iterator[Sample]:
    for anchor in reading.plan.position.anchors:
        if anchor.not_after is not None:
            yield (_generation(anchor), _shown(anchor)), anchor.not_after.timestamp()


def _stage_since(reading: Reading) -> Iterator[Sample]:
    for gate in reading.domain.evidence.gates:
        if gate.changed_at is not None:
            yield (gate.cluster,), gate.changed_at.timestamp()


def _issuing_ca_ends(reading: Reading) -> Iterator[Sample]:
    request = reading.plan.position.request
    settings = reading.domain.settings
    for generation in request.new.issuing_generations:
        facts = request.facts.get(generation)
        if facts is not None and facts.issuing_ca_not_after is not None:
            backend = settings.backend_of(generation).name
            yield (generation, backend), facts.issuing_ca_not_after.timestamp()


def _bundles(reading: Reading) -> Iterator[Sample]:
    for bundle in reading.domain.evidence.bundles:
        place = bundle.place
        yield (place.cluster, place.namespace, place.name, place.kind), 1


def _bundle_holds(reading: Reading) -> Iterator[Sample]:
    stage = reading.plan.position.request.new
    for bundle in reading.domain.evidence.bundles:
        place = bundle.place
        for generation in stage.trusted:
            held = stage.anchors[generation].fingerprint in bundle.anchors
            yield (place.cluster, place.namespace, place.name, generation), float(held)


def _bundle_since(reading: Reading) -> Iterator[Sample]:
    for bundle in reading.domain.evidence.bundles:
        if bundle.changed_at is not None:
            place = bundle.place
            since = bundle.changed_at.timestamp()
            yield (place.cluster, place.namespace, place.name), since


def _strangers(reading: Reading) -> Iterator[Sample]:
    known = {
        *reading.plan.position.request.trusted_after,
        *(each.fingerprint for each in reading.plan.position.request.new.anchors.values()),
    }
    for bundle in reading.domain.evidence.bundles:
        place = bundle.place
        strange = sum(member.fingerprint not in known for member in bundle.members)
        yield (place.cluster, place.namespace, place.name), strange


def _signers(reading: Reading, leaf: LeafObservation) -> list[str]:
    if leaf.problem is not None:
        return [_UNKNOWN]
    stage = reading.plan.position.request.new
    found = [stage.generation_of(signer) or _FOREIGN for signer in sorted(leaf.signers)]
    return found or [_NONE]


def _leaf_states(reading: Reading) -> Iterator[Sample]:
    counted: Counter[Labels] = Counter()
    for leaf, state in leaf_states(reading.domain.evidence, reading.at):
        for generation in _signers(reading, leaf):
            counted[leaf.cluster, leaf.namespace, generation, state.value] += 1
    yield from sorted(counted.items())


def _earliest_ends(reading: Reading) -> Iterator[Sample]:
    ends: dict[Labels, list[float]] = defaultdict(list)
    for leaf in reading.domain.evidence.leaves:
        if leaf.not_after is not None and leaf.live(reading.at):
            for generation in _signers(reading, leaf):
                ends[leaf.cluster, leaf.namespace, generation].append(leaf.not_after.timestamp())
    for labels, times in sorted(ends.items()):
        yield labels, min(times)


def _laggards(reading: Reading) -> Iterator[Sample]:
    counted: Counter[Labels] = Counter()
    for step in reading.plan.position.steps:
        for refusal in step.verdict.refusals:
            for laggard in dict.fromkeys(refusal.laggards):
                counted[laggard.cluster, step.verb, refusal.rule.identifier] += 1
    yield from sorted(counted.items())


def _phases(reading: Reading) -> Iterator[Sample]:
    for phase in Phase:
        yield (phase.value,), float(reading.plan.position.phase is phase)


def _steps(reading: Reading) -> Iterator[Sample]:
    for step in reading.plan.position.steps:
        if step.earliest is not None:
            yield (step.verb,), 0 if step.allowed else step.earliest.timestamp()


def _blocked(reading: Reading) -> Iterator[Sample]:
    found = {
        (step.verb, refusal.rule.identifier)
        for step in reading.plan.position.steps
        for refusal in step.verdict.refusals
    }
    for labels in sorted(found):
        yield labels, 1


def _evidence_times(reading: Reading) -> Iterator[Sample]:
    for cluster, time in sorted(reading.read.items()):
        yield (cluster,), time.timestamp()


def _evidence_up(reading: Reading) -> Iterator[Sample]:
    for cluster in reading.plan.position.clusters:
        yield (cluster.cluster,), float(cluster.error is None)


def _failed(reading: Reading) -> Iterator[Sample]:
    counted: Counter[Labels] = Counter()
    for use in reading.domain.evidence.uses:
        counted[use.cluster, use.issuer] += int(use.failure is not None)
    yield from sorted(counted.items())


def _sessions(reading: Reading) -> Iterator[Sample]:
    stage = reading.plan.position.request.new
    counted: Counter[Labels] = Counter()
    for generation, anchor in stage.anchors.items():
        if anchor.fingerprint is not None:
            for session in reading.domain.evidence.sessions_under(anchor.fingerprint):
                counted[session.server, generation] += 1
    yield from sorted(counted.items())


def _shortest_rotation(reading: Reading) -> Iterator[Sample]:
    request = reading.plan.position.request
    # Added until it may issue; moved until nothing needs the old one, which time alone may show.
    least = 2 * request.hold_down + request.longest_lifetime
    yield (), least.total_seconds()


def _longest_lifetime(reading: Reading) -> Iterator[Sample]:
    yield (), reading.plan.position.request.longest_lifetime.total_seconds()


def _newest_issuances(reading: Reading) -> Iterator[Sample]:
    newest: dict[Labels, float] = {}
    for leaf in reading.domain.evidence.leaves:
        # What only stands for leaves that nobody lists has no time of its own.
        if leaf.in_place_since is None or leaf.unlisted:
            continue
        for generation in _signers(reading, leaf):
            labels = (leaf.cluster, generation)
            newest[labels] = max(newest.get(labels, 0.0), leaf.in_place_since.timestamp())
    yield from sorted(newest.items())


def _failed_near_end(reading: Reading) -> Iterator[Sample]:
    ends = {
        (leaf.cluster, leaf.namespace, leaf.name): leaf.not_after
        for leaf in reading.domain.evidence.leaves
    }
    counted: Counter[Labels] = Counter()
    for use in reading.domain.evidence.uses:
        end = ends.get((use.cluster, use.namespace, use.name))
        near = use.failure is not None and end is not None
        if near and end is not None and use.again_at is not None:
            # One more failure, and the wait after it is twice as long.
            near = use.again_at + 2 * (use.again_at - reading.at) >= end
        counted[use.cluster, use.issuer] += int(near)
    yield from sorted(counted.items())


def _access_ends(reading: Reading) -> Iterator[Sample]:
    for row in reading.machines:
        if row.not_after is not None:
            yield (row.cluster, row.machine), row.not_after.timestamp()


def _access_renewals(reading: Reading) -> Iterator[Sample]:
    for row in reading.machines:
        if row.renew_from is not None:
            yield (row.cluster, row.machine), row.renew_from.timestamp()


def _notices(reading: Reading) -> Iterator[Sample]:
    counted = Counter(notice.identifier for notice in reading.plan.position.notices)
    for identifier, count in sorted(counted.items()):
        yield (identifier,), count


_PLACE = ("cluster", "namespace", "name")

MEASURES: tuple[Measure, ...] = (
    Measure(
        name="mtls_evidence_up",
        text="Whether a cluster could be read whole; what it holds is not seen where it is 0.",
        labels=("cluster",),
        samples=_evidence_up,
    ),
    Measure(
        name="mtls_evidence_timestamp_seconds",
        text="When a cluster was last read whole, by the clock of its API server.",
        labels=("cluster",),
        samples=_evidence_times,
    ),
    Measure(
        name="mtls_anchor_info",
        text="A trust anchor, with its role; foreign is one that a bundle holds and nobody knows.",
        labels=("generation", "role", "fingerprint"),
        samples=_anchors,
    ),
    Measure(
        name="mtls_anchor_not_after_timestamp_seconds",
        text="When a trust anchor ends.",
        labels=("generation", "fingerprint"),
        samples=_anchor_ends,
    ),
    Measure(
        name="mtls_stage_applied_timestamp_seconds",
        text="When the stage of a rotation was last applied in a cluster.",
        labels=("cluster",),
        samples=_stage_since,
    ),
    Measure(
        name="mtls_issuing_ca_not_after_timestamp_seconds",
        text="When the issuing CA below an anchor ends.",
        labels=("generation", "backend"),
        samples=_issuing_ca_ends,
    ),
    Measure(
        name="mtls_bundle_info",
        text="A place of the trust bundle.",
        labels=(*_PLACE, "kind"),
        samples=_bundles,
    ),
    Measure(
        name="mtls_bundle_holds",
        text="Whether a bundle holds a trusted anchor.",
        labels=(*_PLACE, "generation"),
        samples=_bundle_holds,
    ),
    Measure(
        name="mtls_bundle_held_since_timestamp_seconds",
        text="When a bundle was last changed.",
        labels=_PLACE,
        samples=_bundle_since,
    ),
    Measure(
        name="mtls_bundle_extra_anchors",
        text="Certificates in a bundle that are neither anchors of the domain nor partners' roots.",
        labels=_PLACE,
        samples=_strangers,
    ),
    Measure(
        name="mtls_leaves",
        text="Leaves by the anchor that they chain to: live, due (for renewal), overdue, expired.",
        labels=("cluster", "namespace", "generation", "state"),
        samples=_leaf_states,
    ),
    Measure(
        name="mtls_leaf_earliest_not_after_timestamp_seconds",
        text="When the first of the live leaves ends.",
        labels=("cluster", "namespace", "generation"),
        samples=_earliest_ends,
    ),
    Measure(
        name="mtls_laggards",
        text="What keeps the next step from being safe; `mtls-pki status` names them.",
        labels=("cluster", "step", "reason"),
        samples=_laggards,
    ),
    Measure(
        name="mtls_rotation_stage",
        text="1 for how far the rotation has come, 0 for every other stage.",
        labels=("stage",),
        samples=_phases,
    ),
    Measure(
        name="mtls_rotation_next_step_earliest_timestamp_seconds",
        text="When the next step can be safe at the earliest; 0 if it is now.",
        labels=("step",),
        samples=_steps,
    ),
    Measure(
        name="mtls_rotation_blocked",
        text="A rule that refuses the next step.",
        labels=("step", "reason"),
        samples=_blocked,
    ),
    Measure(
        name="mtls_requests_failed",
        text="Certificates whose last issuance failed; cert-manager waits an hour and longer.",
        labels=("cluster", "issuer"),
        samples=_failed,
    ),
    Measure(
        name="mtls_peer_sessions",
        text="Open sessions whose client authenticated by a chain to an anchor.",
        labels=("service", "generation"),
        samples=_sessions,
    ),
    Measure(
        name="mtls_requests_failed_near_end",
        text="Those of them whose leaf ends before cert-manager has tried twice more.",
        labels=("cluster", "issuer"),
        samples=_failed_near_end,
    ),
    Measure(
        name="mtls_leaf_newest_issuance_timestamp_seconds",
        text="When the newest leaf below an anchor was put in place.",
        labels=("cluster", "generation"),
        samples=_newest_issuances,
    ),
    Measure(
        name="mtls_leaf_longest_lifetime_seconds",
        text="The longest lifetime of a leaf that the domain allows.",
        labels=(),
        samples=_longest_lifetime,
    ),
    Measure(
        name="mtls_rotation_shortest_seconds",
        text="How long a whole rotation takes at least.",
        labels=(),
        samples=_shortest_rotation,
    ),
    Measure(
        name="mtls_client_access_not_after_timestamp_seconds",
        text="When the certificate of a machine's kubeconfig ends.",
        labels=("cluster", "machine"),
        samples=_access_ends,
    ),
    Measure(
        name="mtls_client_access_renewal_timestamp_seconds",
        text="From when on a machine's certificate is to be renewed.",
        labels=("cluster", "machine"),
        samples=_access_renewals,
    ),
    Measure(
        name="mtls_notices",
        text="What `mtls-pki status` warns of, by kind.",
        labels=("notice",),
        samples=_notices,
    ),
)
"""Every metric, in the order in which a page shows them."""
