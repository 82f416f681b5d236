"""What a preview changes in terms of trust: stages, bundles, issuers, leaves and keys."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pki.errors import PkiError
from pki.fingerprints import spki_sha256
from pki.parsing import parse_certificates
from rotation.review_digest import KUBERNETES_SECRET, SECRET, UNKNOWN, Preview, Step
from rotation.roles import Role
from rotation.stage import Anchor, StageError, TrustStage
from rotation.transitions import Change, classify

_COMPONENTS = "mtls-pki:index:"
GATE, BUNDLE, ISSUER = (f"{_COMPONENTS}{name}" for name in ("TrustGate", "TrustBundle", "CaIssuer"))
"""Types of the components that trust hangs on."""

CERTIFICATE = "kubernetes:cert-manager.io/v1:Certificate"
ISSUERS = frozenset(f"kubernetes:cert-manager.io/v1:{kind}" for kind in ("Issuer", "ClusterIssuer"))
KEY = "tls:index/privateKey:PrivateKey"
DEFAULT_ISSUER = "mtls-ca"

# A change of these fields alone does not make cert-manager issue again: it compares the last
# request with the rest of the spec (cert-manager 1.21.1, pkg/util/pki/match.go, RequestMatchesSpec,
# and the policies of the trigger controller).
_QUIET = frozenset(
    {"renewBefore", "renewBeforePercentage", "revisionHistoryLimit", "secretTemplate"}
)


class Resigned(enum.StrEnum):
    """How the CA Secret of an issuer changes in place."""

    NO = "no"
    RENEWED = "renewed"
    OTHER_KEY = "other key"


class Fate(enum.StrEnum):
    """What becomes of an object."""

    CREATED = "created"
    UPDATED = "updated"
    REPLACED = "replaced"
    DELETED = "deleted"
    SAME = "same"


@dataclass(frozen=True, kw_only=True)
class StageChange:
    """The stage before and after in clusters that are alike.

    Attributes:
        clusters: their names.
        old: None where no stage is recorded yet.
        new: what the configuration asks for; fingerprints are None for keys yet to be made.
    """

    clusters: tuple[str, ...]
    old: TrustStage | None
    new: TrustStage

    @property
    def changes(self) -> tuple[Change, ...]:
        """What happens to every generation."""
        return classify(self.old, self.new)

    @property
    def canaries(self) -> tuple[tuple[str, str | None, str | None], ...]:
        """Services that name another anchor than before: service, before, after."""
        before, after = self.old.canaries if self.old else {}, self.new.canaries
        return tuple(
            (service, before.get(service), after.get(service))
            for service in sorted({*before, *after})
            if before.get(service) != after.get(service)
        )


@dataclass(frozen=True, kw_only=True)
class BundleChange:
    """One trust bundle, or the source of many: which generations it gains and loses.

    ``renewed`` says that it holds the same keys as before, in other certificates.
    """

    cluster: str
    namespace: str
    name: str
    fate: Fate
    gained: tuple[str, ...]
    lost: tuple[str, ...]
    renewed: bool


@dataclass(frozen=True, kw_only=True)
class IssuerChange:
    """One issuer.

    Attributes:
        namespace: empty for a ClusterIssuer.
        fate: of the issuer itself.
        resigned: whether its CA Secret changes in place, so that it signs with another CA.
        stable: it is the issuer that other teams' Certificates name.
    """

    cluster: str
    namespace: str
    name: str
    fate: Fate
    resigned: Resigned
    stable: bool


@dataclass(frozen=True, kw_only=True)
class LeafChange:
    """One declared Certificate.

    Attributes:
        issuer: what it names after, or named before where it goes; ``former`` is what it named.
        reissued: cert-manager issues it again.
        fields: of its spec, that change.
    """

    cluster: str
    namespace: str
    name: str
    fate: Fate
    issuer: str
    former: str
    reissued: bool
    fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class KeyChange:
    """A private key that this stack keeps, by the name of its resource."""

    name: str
    fate: Fate


@dataclass(frozen=True, kw_only=True)
class TrustChange:
    """Everything of trust that a preview shows, changed or not."""

    stages: tuple[StageChange, ...]
    bundles: tuple[BundleChange, ...]
    issuers: tuple[IssuerChange, ...]
    leaves: tuple[LeafChange, ...]
    keys: tuple[KeyChange, ...]

    @property
    def moves(self) -> bool:
        """Whether any anchor or canary changes."""
        return any(stage.old != stage.new for stage in self.stages)


def trust_change(preview: Preview) -> TrustChange:
    """Return what ``preview`` changes in terms of trust."""
    steps = once(preview.steps)
    configured = _configured(preview.config)
    stages = {
        step.provider: _stage_change(step, configured) for step in steps if GATE in step.parents
    }
    known = {cluster: stage for cluster, stage in stages.items() if stage is not None}
    return TrustChange(
        stages=_grouped(known.values()),
        bundles=tuple(_bundle(step, known) for step in steps if BUNDLE in step.parents),
        issuers=_issuers(steps, preview.config),
        leaves=tuple(_leaf(step) for step in steps if step.kind == CERTIFICATE),
        keys=tuple(
            KeyChange(name=step.name, fate=fate(step)) for step in steps if step.kind == KEY
        ),
    )


def fate(step: Step) -> Fate:
    """Return what becomes of the resource of ``step``."""
    if "replace" in step.op:
        return Fate.REPLACED
    if step.op.startswith(("create", "import")):
        return Fate.CREATED
    if step.op.startswith(("delete", "discard")):
        return Fate.DELETED
    return Fate.UPDATED if step.changes else Fate.SAME


def is_trust(step: Step) -> bool:
    """Whether ``trust_change`` tells of the resource of ``step``."""
    return (
        step.kind in {CERTIFICATE, KEY, *ISSUERS}
        or step.kind.startswith(_COMPONENTS)
        or bool({GATE, BUNDLE} & {*step.parents})
        or (step.kind == KUBERNETES_SECRET and ISSUER in step.parents)
    )


def once(steps: Iterable[Step]) -> list[Step]:
    """Return one step a resource: a replacement is told in up to three, the middle one whole."""
    found: dict[tuple[tuple[str, ...], str, str], Step] = {}
    for step in steps:
        key = (step.parents, step.kind, step.name)
        if key not in found or step.op == "replace":
            found[key] = step
    return list(found.values())


def _stage_change(step: Step, configured: Mapping[str, Any]) -> StageChange | None:
    if fate(step) is Fate.DELETED:
        return None
    old, new = _recorded(step.old), _recorded(step.new)
    if new is None:
        # A root that is not known yet is one of a key that is made, or made anew, by the update.
        roots = _mapping(step.new.get("data"))
        known = {
            generation: anchor.fingerprint
            for generation, anchor in (old.anchors if old else {}).items()
            if roots.get(f"{generation}.pem") != UNKNOWN
        }
        new = _with_identities(configured, known)
    if new is None or not new.anchors:
        return None
    return StageChange(clusters=(step.provider,), old=old, new=new)


def _recorded(inputs: Mapping[str, Any]) -> TrustStage | None:
    """Return the stage in the ConfigMap of a gate, whichever key it stands under."""
    data = inputs.get("data")
    for text in data.values() if isinstance(data, dict) else ():
        if isinstance(text, str) and text.startswith("{"):
            try:
                return TrustStage.from_json(text, origin="preview")
            except StageError:
                continue
    return None


def _configured(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return roles and canaries as the configuration has them, unchecked."""
    anchors, services = (_mapping(config.get(key)) for key in ("anchors", "services"))
    roles = {name: _mapping(anchor).get("role") for name, anchor in anchors.items()}
    issuing = next((name for name, role in roles.items() if role == Role.ISSUING), None)
    named = {name: _mapping(service) for name, service in services.items()}
    return {
        "roles": roles,
        "canaries": {
            f"{service.get('namespace')}/{service.get('name') or name}": service["anchor"]
            for name, service in named.items()
            if service.get("anchor") not in (None, issuing)
        },
    }


def _with_identities(
    configured: Mapping[str, Any], known: Mapping[str, str | None]
) -> TrustStage | None:
    try:
        return TrustStage(
            anchors={
                str(g): Anchor(role=Role(role), fingerprint=known.get(g))
                for g, role in configured["roles"].items()
            },
            canaries={str(s): str(g) for s, g in configured["canaries"].items()},
        )
    except ValueError:
        # The program says what is wrong with the configuration, and its message is shown.
        return None


def _grouped(stages: Iterable[StageChange]) -> tuple[StageChange, ...]:
    """Return the changes that are alike as one, those of the most clusters first."""
    groups: dict[tuple[TrustStage | None, TrustStage], list[str]] = {}
    for stage in stages:
        groups.setdefault((stage.old, stage.new), []).extend(stage.clusters)
    found = [
        StageChange(clusters=tuple(sorted(clusters)), old=old, new=new)
        for (old, new), clusters in groups.items()
    ]
    return tuple(sorted(found, key=lambda each: (-len(each.clusters), each.clusters)))


def _bundle(step: Step, stages: Mapping[str, StageChange]) -> BundleChange:
    stage = stages.get(step.provider)
    before, after = _anchors_in(step.old), _anchors_in(step.new)
    if before is not None and after is not None:
        gained, lost = (
            {_generation(stage, fingerprint) for fingerprint in found}
            for found in (after - before, before - after)
        )
    else:
        # What is not known before the update follows from the roles.
        trusted = set(stage.new.trusted) if stage and step.new else set()
        former = set(stage.old.trusted) if stage and stage.old and step.old else set()
        gained, lost = trusted - former, former - trusted
    namespace, name = _place(step)
    return BundleChange(
        cluster=step.provider,
        namespace=namespace,
        name=name,
        fate=fate(step),
        gained=tuple(sorted(gained)),
        lost=tuple(sorted(lost)),
        renewed=bool(after) and before == after and _texts(step.old) != _texts(step.new),
    )


def _anchors_in(inputs: Mapping[str, Any]) -> set[str] | None:
    """Return the fingerprints in a bundle; None where they are not known or cannot be read."""
    found: set[str] = set()
    for text in _texts(inputs):
        if not isinstance(text, str) or text in (UNKNOWN, SECRET):
            return None
        try:
            found |= {spki_sha256(each) for each in parse_certificates(text, origin="bundle")}
        except PkiError:
            return None
    return found


def _texts(inputs: Mapping[str, Any]) -> list[Any]:
    """Return what a bundle's ConfigMap holds, or what trust-manager's Bundle is made of."""
    sources = _mapping(inputs.get("spec")).get("sources")
    listed = sources if isinstance(sources, list) else []
    inline = [each.get("inLine") for each in listed if isinstance(each, dict)]
    return [*_mapping(inputs.get("data")).values(), *inline]


def _generation(stage: StageChange | None, fingerprint: str) -> str:
    """Return the name of an anchor, or the beginning of its fingerprint for a stranger."""
    for known in (stage.new, stage.old) if stage else ():
        if known is not None and (named := known.generation_of(fingerprint)):
            return named
    return f"sha256:{fingerprint[:16]}"


def _issuers(steps: Iterable[Step], config: Mapping[str, Any]) -> tuple[IssuerChange, ...]:
    resigned = {
        (step.provider, step.name.removesuffix("-ca")): _resigned(step)
        for step in steps
        if step.kind == KUBERNETES_SECRET and ISSUER in step.parents
    }
    issuing = config.get("issuing")
    stable_name = issuing.get("name", DEFAULT_ISSUER) if isinstance(issuing, dict) else None
    stable = isinstance(issuing, dict) and issuing.get("stable") is True
    found = []
    for step in steps:
        if step.kind not in ISSUERS:
            continue
        namespace, name = _place(step)
        found.append(
            IssuerChange(
                cluster=step.provider,
                namespace=namespace,
                name=name,
                fate=fate(step),
                resigned=resigned.get((step.provider, step.name), Resigned.NO),
                stable=stable and name == stable_name,
            )
        )
    return tuple(found)


def _resigned(secret: Step) -> Resigned:
    if fate(secret) not in (Fate.UPDATED, Fate.REPLACED):
        return Resigned.NO
    # The provider names the keys that change, where their values are known.
    only_certificate = all("tls.crt" in field for field in secret.fields)
    return Resigned.RENEWED if secret.fields and only_certificate else Resigned.OTHER_KEY


def _leaf(step: Step) -> LeafChange:
    before, after = _mapping(step.old.get("spec")), _mapping(step.new.get("spec"))
    namespace, name = _place(step)
    fields = tuple(sorted(key for key in {*before, *after} if before.get(key) != after.get(key)))
    became = fate(step)
    return LeafChange(
        cluster=step.provider,
        namespace=namespace,
        name=name,
        fate=became,
        issuer=_issuer_of(after) or _issuer_of(before),
        former=_issuer_of(before),
        reissued=became is Fate.REPLACED or (became is Fate.UPDATED and bool(set(fields) - _QUIET)),
        fields=fields if became is Fate.UPDATED else (),
    )


def _issuer_of(spec: Mapping[str, Any]) -> str:
    return str(_mapping(spec.get("issuerRef")).get("name", ""))


def _place(step: Step) -> tuple[str, str]:
    metadata = _mapping(step.inputs.get("metadata"))
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or step.name)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
