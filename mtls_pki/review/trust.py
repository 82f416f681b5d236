"""What a preview changes in terms of trust: stages, bundles, issuers, leaves and keys."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mtls_pki.engine.digest import BUNDLE, CERTIFICATE, SECRET, UNKNOWN, Preview, Step, mapping
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.review.kinds import (
    KEY,
    Fate,
    fate,
    is_ca_secret,
    is_issuer,
    once,
)
from mtls_pki.review.stages import StageChange, grouped, stage_changes
from mtls_pki.review.verdict import Spoken
from mtls_pki.rotation.transitions import Change
from mtls_pki.rotation.transitions import Step as TrustStep

_SPIFFE = "spiffe://"


# A change of these fields alone does not make cert-manager issue again: it compares the last
# request with the rest of the spec (cert-manager 1.21.1, pkg/util/pki/match.go, RequestMatchesSpec,
# and the policies of the trigger controller).
_QUIET = frozenset(
    {"renewBefore", "renewBeforePercentage", "revisionHistoryLimit", "secretTemplate"}
)


# Where a Secret has its values; labels and annotations stand elsewhere.
# How an issuer reaches its authority, verifies it and logs in (cert-manager's VaultIssuer,
# step-issuer's and aws-privateca-issuer's specs).
_ACCESS = frozenset(
    {
        "auth",
        "caBundle",
        "caBundleSecretRef",
        "clientCertSecretRef",
        "clientKeySecretRef",
        "secretRef",
        "serverName",
    }
)
_SECRET_VALUES = ("data", "stringData")


class Resigned(enum.StrEnum):
    """How what an issuer signs with changes under the same name."""

    NO = "no"
    RENEWED = "renewed"
    OTHER_KEY = "other key"


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
        resigned: whether it signs with another CA under the same name.
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
        domain: the trust domain of its SPIFFE ID, before and after, where that changes.
    """

    cluster: str
    namespace: str
    name: str
    fate: Fate
    issuer: str
    former: str
    reissued: bool
    fields: tuple[str, ...]
    domain: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class KeyChange:
    """A private key that this stack keeps, by the name of its resource."""

    name: str
    fate: Fate


@dataclass(frozen=True, kw_only=True)
class TrustChange:
    """Everything of trust that a preview shows, changed or not.

    ``generations`` maps the name of an issuer to the generation that it issues from.
    """

    stages: tuple[StageChange, ...]
    bundles: tuple[BundleChange, ...]
    issuers: tuple[IssuerChange, ...]
    leaves: tuple[LeafChange, ...]
    keys: tuple[KeyChange, ...]
    generations: Mapping[str, str]

    @property
    def moves(self) -> bool:
        """Whether any anchor or canary changes."""
        return any(stage.old != stage.new for stage in self.stages)

    @property
    def changes(self) -> tuple[Change, ...]:
        """What happens to every generation, each thing once however many clusters it happens in."""
        return tuple(dict.fromkeys(each for stage in self.stages for each in stage.changes))

    @property
    def domains(self) -> tuple[tuple[str, str], ...]:
        """Trust domains that identities leave, and those that they get instead."""
        return tuple(sorted({leaf.domain for leaf in self.leaves if leaf.domain is not None}))

    @property
    def distrusts(self) -> bool:
        """Whether an anchor is declared compromised."""
        return any(change.step is TrustStep.DISTRUST for change in self.changes)


def trust_change(preview: Preview, said: Spoken) -> TrustChange:
    """Return what ``preview`` changes in terms of trust, with what the guard knows of it."""
    steps = once(preview.steps)
    stages = stage_changes(steps, said.stage)
    return TrustChange(
        stages=grouped(stages.values()),
        bundles=tuple(_bundle(step, stages) for step in steps if BUNDLE in step.parents),
        issuers=_issuers(steps, said.stable_issuer),
        leaves=tuple(_leaf(step) for step in steps if step.kind == CERTIFICATE),
        keys=tuple(
            KeyChange(name=step.name, fate=fate(step)) for step in steps if step.kind == KEY
        ),
        generations=said.issuers,
    )


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
    sources = mapping(inputs.get("spec")).get("sources")
    listed = sources if isinstance(sources, list) else []
    inline = [each.get("inLine") for each in listed if isinstance(each, dict)]
    return [*mapping(inputs.get("data")).values(), *inline]


def _generation(stage: StageChange | None, fingerprint: str) -> str:
    """Return the name of an anchor, or the beginning of its fingerprint for a stranger."""
    for known in (stage.new, stage.old) if stage else ():
        if known is not None and (named := known.generation_of(fingerprint)):
            return named
    return f"sha256:{fingerprint[:16]}"


def _issuers(steps: Iterable[Step], stable_issuer: str) -> tuple[IssuerChange, ...]:
    resigned = {
        place: _resigned(step) for step in steps if is_ca_secret(step) for place in _places_of(step)
    }
    found = []
    for step in steps:
        if not is_issuer(step):
            continue
        namespace, name = _place(step)
        moved = fate(step) is Fate.UPDATED and _signer(step.old) != _signer(step.new)
        found.append(
            IssuerChange(
                cluster=step.provider,
                namespace=namespace,
                name=name,
                fate=fate(step),
                resigned=Resigned.OTHER_KEY
                if moved
                else resigned.get(_named_secret(step), Resigned.NO),
                stable=bool(stable_issuer) and name == stable_issuer,
            )
        )
    return tuple(found)


def _places_of(secret: Step) -> Iterator[tuple[str, str, str]]:
    """Yield where issuers look for a CA Secret: in their namespace, or a ClusterIssuer anywhere."""
    namespace, name = _place(secret)
    yield secret.provider, namespace, name
    yield secret.provider, "", name


def _named_secret(issuer: Step) -> tuple[str, str, str]:
    """Return cluster, namespace and name of the CA Secret that an issuer names."""
    authority = mapping(mapping(issuer.inputs.get("spec")).get("ca"))
    return issuer.provider, _place(issuer)[0], str(authority.get("secretName", ""))


def _signer(issuer: Mapping[str, Any]) -> dict[str, Any]:
    """Return what in an issuer decides who signs: not how an authority is reached or logged in to.

    An issuer of cert-manager has one section for its authority; an external one has none.
    """
    return {
        key: _without_access(value) if isinstance(value, dict) else value
        for key, value in _without_access(mapping(issuer.get("spec"))).items()
    }


def _without_access(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in _ACCESS}


def _resigned(secret: Step) -> Resigned:
    became = fate(secret)
    if became not in (Fate.UPDATED, Fate.REPLACED):
        return Resigned.NO
    touched = any(field.startswith(_SECRET_VALUES) for field in secret.fields)
    if became is Fate.UPDATED and secret.fields and not touched:
        return Resigned.NO
    # The provider names the keys that change, where their values are known.
    only_certificate = all("tls.crt" in field for field in secret.fields)
    return Resigned.RENEWED if secret.fields and only_certificate else Resigned.OTHER_KEY


def _leaf(step: Step) -> LeafChange:
    before, after = mapping(step.old.get("spec")), mapping(step.new.get("spec"))
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
        domain=_moved(_trust_domain(before), _trust_domain(after)),
    )


def _moved(before: str, after: str) -> tuple[str, str] | None:
    return (before, after) if before and after and before != after else None


def _trust_domain(spec: Mapping[str, Any]) -> str:
    """Return the trust domain of the first SPIFFE ID; empty where there is none."""
    uris = spec.get("uris")
    for uri in uris if isinstance(uris, list) else ():
        if isinstance(uri, str) and uri.startswith(_SPIFFE):
            return uri.removeprefix(_SPIFFE).partition("/")[0]
    return ""


def _issuer_of(spec: Mapping[str, Any]) -> str:
    return str(mapping(spec.get("issuerRef")).get("name", ""))


def _place(step: Step) -> tuple[str, str]:
    metadata = mapping(step.inputs.get("metadata"))
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or step.name)
