"""The stage of a trust domain: which anchor is in which role, and its record in the clusters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mtls_pki.rotation.generations import generation_key, may_be_recorded
from mtls_pki.rotation.roles import Role

RECORD_SCHEMA = "mtls-pki/trust-stage/v1"
"""Value of ``schema`` in a stage record; another value is refused, never guessed at."""

STAGE_KEY = "stage.json"
"""Key of the stage record in the gate's ConfigMap, which also has ``<generation>.pem``."""

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class StageError(ValueError):
    """A stage or its record is malformed; the message names the place, the value and the remedy."""


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """One generation of the trust anchor in its role.

    ``fingerprint`` is the SHA-256 of the SubjectPublicKeyInfo in lowercase hex. It is None only in
    a preview, before the key exists; such an anchor is by definition in no bundle.
    """

    role: Role
    fingerprint: str | None

    def __post_init__(self) -> None:
        if self.fingerprint is not None and not _FINGERPRINT.fullmatch(self.fingerprint):
            raise StageError(
                f"fingerprint {self.fingerprint!r}: write the SHA-256 of the anchor's "
                "SubjectPublicKeyInfo as 64 lowercase hexadecimal digits"
            )


@dataclass(frozen=True, kw_only=True)
class TrustStage:
    """Roles and identities of all anchors of a trust domain, and the canaries among its services.

    ``anchors`` maps a generation (``g1``) to its anchor. ``canaries`` maps a service
    (``namespace/name``) to the generation that it names for itself. Both are read-only. Any
    assignment of roles can be represented; whether it is allowed is the business of
    ``mtls_pki.rotation.transitions``.
    """

    anchors: Mapping[str, Anchor]
    canaries: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for generation in self.anchors:
            if not may_be_recorded(generation):
                raise StageError(
                    f"anchors.{generation}: name a generation with at most 32 lowercase letters, "
                    "digits and inner hyphens, such as g2"
                )
        ordered = sorted(self.anchors, key=generation_key)
        anchors = {generation: self.anchors[generation] for generation in ordered}
        object.__setattr__(self, "anchors", MappingProxyType(anchors))
        object.__setattr__(self, "canaries", MappingProxyType(dict(sorted(self.canaries.items()))))

    def __hash__(self) -> int:
        return hash((tuple(self.anchors.items()), tuple(self.canaries.items())))

    def role(self, generation: str) -> Role | None:
        """Return the role of ``generation``, None when the stage does not know it."""
        anchor = self.anchors.get(generation)
        return anchor.role if anchor else None

    def in_role(self, role: Role) -> tuple[str, ...]:
        """Return the generations in ``role``, in natural order (``g2`` before ``g10``)."""
        return tuple(g for g, anchor in self.anchors.items() if anchor.role is role)

    @property
    def issuing(self) -> str | None:
        """The only generation in role ``issuing``; None when there is none or more than one."""
        generations = self.in_role(Role.ISSUING)
        return generations[0] if len(generations) == 1 else None

    @property
    def trusted(self) -> tuple[str, ...]:
        """The generations that every bundle of the domain holds."""
        return tuple(g for g, anchor in self.anchors.items() if anchor.role.trusted)

    @property
    def trusted_fingerprints(self) -> frozenset[str]:
        """Fingerprints of the trusted anchors whose keys exist."""
        found = (self.anchors[generation].fingerprint for generation in self.trusted)
        return frozenset(fingerprint for fingerprint in found if fingerprint is not None)

    @property
    def issuing_generations(self) -> tuple[str, ...]:
        """The generations from which anything is issued: ``issuing`` and those of canaries.

        A canary on a compromised or unknown anchor issues nothing; it is a structural refusal.
        """
        named = set(self.canaries.values())
        return tuple(
            generation
            for generation, anchor in self.anchors.items()
            if anchor.role.issues or (anchor.role.trusted and generation in named)
        )

    def generation_of(self, fingerprint: str) -> str | None:
        """Return the generation whose key has ``fingerprint``, None when no anchor has it."""
        for generation, anchor in self.anchors.items():
            if anchor.fingerprint == fingerprint:
                return generation
        return None

    def canaries_on(self, generation: str) -> tuple[str, ...]:
        """Return the services that name ``generation`` for themselves, sorted."""
        return tuple(service for service, named in self.canaries.items() if named == generation)

    def to_record(self) -> dict[str, Any]:
        """Return the JSON-able record of this stage for the gate object of a cluster.

        Raises:
            StageError: the key of an anchor does not exist yet, so there is nothing to record.
        """
        for generation, anchor in self.anchors.items():
            if anchor.fingerprint is None:
                raise StageError(
                    f"anchors.{generation}: its key does not exist yet; record the stage at `up`"
                )
        return {
            "schema": RECORD_SCHEMA,
            "anchors": {
                generation: {"role": anchor.role.value, "fingerprint": anchor.fingerprint}
                for generation, anchor in self.anchors.items()
            },
            "canaries": dict(self.canaries),
        }

    def to_json(self) -> str:
        """Return the canonical text of ``to_record()``: equal stages give equal bytes."""
        return json.dumps(self.to_record(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_record(cls, record: object, *, origin: str) -> TrustStage:
        """Return the stage that ``record`` (of ``to_record``) describes.

        ``origin`` names the place for messages, such as ``dev ConfigMap mesh-trust-gate``.

        Raises:
            StageError: the schema is another one, a key is unknown or missing, a value is invalid.
        """
        try:
            return cls._parse(record)
        except StageError as error:
            raise StageError(
                f"{origin}: {error}. The program writes this record and nobody else may; restore "
                "it from the last applied commit"
            ) from None

    @classmethod
    def from_json(cls, text: str, *, origin: str) -> TrustStage:
        """Return the stage of ``to_json``; errors as ``from_record``."""
        try:
            record = json.loads(text)
        except json.JSONDecodeError as error:
            raise StageError(f"{origin}: the stage record is not JSON ({error})") from None
        return cls.from_record(record, origin=origin)

    @classmethod
    def _parse(cls, record: object) -> TrustStage:
        top = _mapping(record, "record", required={"schema", "anchors", "canaries"})
        if top["schema"] != RECORD_SCHEMA:
            raise StageError(f"schema {top['schema']!r} is not {RECORD_SCHEMA!r}")
        anchors: dict[str, Anchor] = {}
        for generation, value in _mapping(top["anchors"], "anchors").items():
            place = f"anchors.{generation}"
            entry = _mapping(value, place, required={"role", "fingerprint"})
            if entry["role"] not in set(Role):
                raise StageError(f"{place}.role {entry['role']!r} is none of {', '.join(Role)}")
            if not isinstance(entry["fingerprint"], str):
                raise StageError(f"{place}.fingerprint {entry['fingerprint']!r} is not a string")
            anchors[generation] = Anchor(role=Role(entry["role"]), fingerprint=entry["fingerprint"])
        canaries = _mapping(top["canaries"], "canaries")
        for service, generation in canaries.items():
            if not isinstance(generation, str):
                raise StageError(f"canaries.{service} {generation!r} is not a string")
        return cls(anchors=anchors, canaries=canaries)


def _mapping(value: object, place: str, required: set[str] | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StageError(f"{place} is not a mapping")
    if required is not None and set(value) != required:
        unknown, missing = sorted(set(value) - required), sorted(required - set(value))
        raise StageError(f"{place} has unknown keys {unknown} and misses keys {missing}")
    return value
