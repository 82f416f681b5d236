"""The diff of resources, as lines: what is lost first, then what changes, then what is new."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mtls_pki.engine.digest import UNKNOWN, Preview, Step
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import describe, parse_certificates
from mtls_pki.review.kinds import Fate, fate, once
from mtls_pki.rotation.domain import DOMAIN_SCHEMA, Domain
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.stage import RECORD_SCHEMA, StageError, TrustStage
from mtls_pki.rotation.text import instant

_ORDER = (Fate.REPLACED, Fate.DELETED, Fate.UPDATED, Fate.CREATED)
_MARKS = {Fate.REPLACED: "!", Fate.DELETED: "-", Fate.UPDATED: "!", Fate.CREATED: "+"}
_VERBS = {
    Fate.REPLACED: "REPLACE",
    Fate.DELETED: "delete",
    Fate.UPDATED: "update",
    Fate.CREATED: "create",
}


def diff_lines(preview: Preview) -> tuple[str, ...]:
    """Return a line for each changed resource, and below it its changed properties.

    Of a resource that holds secrets only the names of properties are shown.
    """
    changed = [(fate(step), step) for step in once(preview.steps) if step.changes]
    changed.sort(key=lambda each: _ORDER.index(each[0]))
    return tuple(line for became, step in changed for line in _resource(became, step))


def _resource(became: Fate, step: Step) -> Iterator[str]:
    guarded = " (protected)" if step.protected else ""
    yield f"{_MARKS[became]} {_VERBS[became]} {step.kind} {step.name}{guarded}"
    if step.secret:
        names = ", ".join(step.fields or sorted(_top(step)))
        if names:
            yield f"      not shown, as it may hold secrets: {names}"
        return
    if became is Fate.DELETED:
        return
    before, after = _flat(step.old), _flat(step.new)
    for path in sorted({*before, *after}):
        if before.get(path) == after.get(path):
            continue
        if path in before:
            yield f"-     {path}: {_shown(before[path])}"
        if path in after:
            yield f"+     {path}: {_shown(after[path])}"


def _top(step: Step) -> set[str]:
    return {
        str(key)
        for key in {*step.old, *step.new}
        if step.old.get(key) != step.new.get(key) and step.new
    }


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    """Return the leaves of ``value`` by their path, ``spec.sources[0].inLine``."""
    if isinstance(value, Mapping) and value:
        found: dict[str, Any] = {}
        for key, each in value.items():
            found |= _flat(each, f"{path}.{key}" if path else str(key))
        return found
    if isinstance(value, list) and any(isinstance(each, Mapping | list) for each in value):
        found = {}
        for place, each in enumerate(value):
            found |= _flat(each, f"{path}[{place}]")
        return found
    return {path: value} if path else {}


def _shown(value: Any) -> str:
    if value == UNKNOWN:
        return "(known after the update)"
    if isinstance(value, str) and "-----BEGIN CERTIFICATE-----" in value:
        return _certificates(value)
    if isinstance(value, str) and RECORD_SCHEMA in value:
        return _stage(value)
    if isinstance(value, str) and DOMAIN_SCHEMA in value:
        return _domain(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _stage(text: str) -> str:
    try:
        stage = TrustStage.from_json(text, origin="value")
    except StageError:
        return "(a stage record that cannot be read)"
    anchors = (
        f"{name} {anchor.role} sha256:{(anchor.fingerprint or '')[:16]}"
        for name, anchor in stage.anchors.items()
    )
    canaries = (f"{service} on {name}" for service, name in stage.canaries.items())
    return ", ".join([*anchors, *canaries])


def _domain(text: str) -> str:
    try:
        domain = Domain.from_json(text, origin="value")
    except StageError:
        return "(a record of the trust domain that cannot be read)"
    listed = {
        "clusters": domain.clusters,
        "namespaces": sorted(domain.namespaces),
        "bundles": map(str, sorted(domain.bundles)),
        "issuers": domain.issuers,
        "partners": domain.partners,
        "have issued": sorted(domain.generations.get(key, key) for key in domain.issued),
        "distrusted": sorted(f"sha256:{key[:16]}" for key in domain.distrusted),
        "holdDown": [format_duration(domain.hold_down)],
        "longest leaf": [format_duration(domain.longest_lifetime)],
    }
    words = {name: ", ".join(values) for name, values in listed.items()}
    return "; ".join(f"{name} {each}" for name, each in words.items() if each)


def _certificates(pem: str) -> str:
    try:
        found = [describe(each) for each in parse_certificates(pem, origin="value")]
    except PkiError:
        return "(certificates that cannot be read)"
    return ", ".join(
        f"{each.subject} sha256:{each.spki_sha256[:16]} until {instant(each.not_after)}"
        for each in found
    )
