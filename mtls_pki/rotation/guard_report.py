"""What the guard says of a preview, as one line of text that the review page reads.

The engine keeps what a program logs in the JSON of a preview, and nothing else that a program could
hand on: debug and ephemeral messages are dropped (pulumi 3.259.0, pkg/backend/display/json.go,
ShowPreviewDigest). So the line is an ordinary message that begins with ``MARK``; JSON follows. Its
``schema`` and its form of verdicts are those of ``mtls_pki.rotation.report``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mtls_pki.rotation.evidence import LeafObservation
from mtls_pki.rotation.owned_object import ObjectKey
from mtls_pki.rotation.report import (
    NAMED_LAGGARDS,
    REPORT_SCHEMA,
    laggard_lines,
    refusal_message,
    report_head,
    verdict_body,
)
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.rules import Laggard
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.rotation.text import redacted
from mtls_pki.rotation.verdict import Verdict

MARK = "mtls-pki guard report: "
"""What the line begins with."""

_KIND = "guard"


class GuardReportError(ValueError):
    """A line is no report that can be read here; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One refusal, as far as a page shows it.

    Attributes:
        rule: its identifier.
        laggards: a line for each of the first, and one that counts the rest.
        earliest: when the change can succeed at the earliest, aware UTC; None when waiting does not
            help, or when no time can be computed (``by_evidence``).
    """

    rule: str
    sentence: str
    seen: tuple[str, ...]
    laggards: tuple[str, ...]
    remedy: str
    earliest: datetime | None
    by_evidence: bool


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the guard made of the change that one recorded stage undergoes.

    Attributes:
        reasons: why the change is refused; none where it may go on.
        unread: clusters that could not be read.
        message: with which a hook refuses; empty where the change may go on.
    """

    reasons: tuple[Reason, ...]
    unread: tuple[str, ...]
    message: str


@dataclass(frozen=True, kw_only=True)
class GuardReport:
    """Everything that the guard of one run says.

    Attributes:
        judgements: one for each stage that clusters record.
        echoes: messages with which the hooks of further clusters refuse for the same reasons.
        stage: what the configuration asks for; fingerprints are None for keys yet to be made.
        issuers: name of an issuer -> the generation that it issues from.
        stable_issuer: name of the issuer that follows the issuing generation; empty for none.
        up_refuses: whether something is missing in a cluster, for which `pulumi up` stops.
        undeclared: objects that the stack has written and does not declare.
    """

    judgements: tuple[Judgement, ...]
    echoes: tuple[str, ...]
    stage: TrustStage
    issuers: Mapping[str, str]
    stable_issuer: str
    up_refuses: bool
    undeclared: tuple[ObjectKey, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a report says besides the verdicts; attributes as those of ``GuardReport``."""

    stage: TrustStage
    issuers: Mapping[str, str] = field(default_factory=dict)
    stable_issuer: str = ""
    up_refuses: bool = False
    echoes: tuple[str, ...] = ()
    undeclared: tuple[ObjectKey, ...] = ()


def report_line(verdicts: Iterable[Verdict], subject: Subject, *, at: datetime) -> str:
    """Return the report as one line of ASCII; it holds no private key.

    Laggards beyond those that the refusal's own text names are only counted, for a person also sees
    the line.
    """
    report = {
        **report_head(_KIND, at),
        "verdicts": [
            {
                **verdict_body(verdict, named=NAMED_LAGGARDS),
                "message": "" if verdict.allowed else refusal_message(verdict),
            }
            for verdict in verdicts
        ],
        "echoes": list(subject.echoes),
        "stage": {
            "anchors": {
                generation: {"role": anchor.role.value, "fingerprint": anchor.fingerprint}
                for generation, anchor in subject.stage.anchors.items()
            },
            "canaries": dict(subject.stage.canaries),
        },
        "issuers": dict(sorted(subject.issuers.items())),
        "stableIssuer": subject.stable_issuer,
        "upRefuses": subject.up_refuses,
        "undeclared": [list(each) for each in subject.undeclared],
    }
    return MARK + json.dumps(_without_keys(report), separators=(",", ":"))


def read_report(line: str) -> GuardReport:
    """Return the report that ``report_line`` wrote.

    Raises:
        GuardReportError: it is another version's, or it was damaged on its way.
    """
    try:
        report = json.loads(line.strip().removeprefix(MARK))
        schema = report["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise GuardReportError(_DAMAGED) from None
    if schema != REPORT_SCHEMA:
        raise GuardReportError(
            f"the guard's report has the schema {schema!r}, and this version reads "
            f"{REPORT_SCHEMA!r}; use the mtls-pki that the stack's program uses"
        )
    try:
        return GuardReport(
            judgements=tuple(map(_judgement, report["verdicts"])),
            echoes=tuple(map(str, report["echoes"])),
            stage=_stage(report["stage"]),
            issuers={str(name): str(each) for name, each in report["issuers"].items()},
            stable_issuer=str(report["stableIssuer"]),
            up_refuses=report["upRefuses"] is True,
            undeclared=tuple(map(_object, report["undeclared"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise GuardReportError(_DAMAGED) from None


_DAMAGED = "the guard's report in the preview cannot be read; preview again"


def observed_issuers(
    leaves: Iterable[LeafObservation], stages: Iterable[TrustStage]
) -> dict[str, str]:
    """Return issuers by name with the generation that all their leaves chain to.

    That is how an issuer is known which the configuration no longer has. One whose leaves chain to
    several generations, or to none, is left out.
    """
    known = tuple(stages)
    found: dict[str, set[str | None]] = {}
    for leaf in leaves:
        # ``Kind/name``, and no name of an object has a slash.
        name = leaf.issuer.rpartition("/")[2]
        for fingerprint in leaf.signers:
            names = {stage.generation_of(fingerprint) for stage in known} - {None}
            found.setdefault(name, set()).update(names or {None})
    return {
        name: generation
        for name, generations in found.items()
        if len(generations) == 1 and (generation := next(iter(generations))) is not None
    }


def _without_keys(value: Any) -> Any:
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, dict):
        return {redacted(key): _without_keys(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_keys(each) for each in value]
    return value


def _judgement(verdict: Mapping[str, Any]) -> Judgement:
    return Judgement(
        reasons=tuple(map(_reason, verdict["refusals"])),
        unread=tuple(str(each["cluster"]) for each in verdict["unreadClusters"]),
        message=str(verdict["message"]),
    )


def _reason(refusal: Mapping[str, Any]) -> Reason:
    return Reason(
        rule=str(refusal["rule"]),
        sentence=str(refusal["sentence"]),
        seen=tuple(map(str, refusal["seen"])),
        laggards=tuple(
            laggard_lines(
                tuple(map(_laggard, refusal["laggards"])), of=int(refusal["laggardCount"])
            )
        ),
        remedy=str(refusal["remedy"]),
        earliest=_moment(refusal["earliest"]),
        by_evidence=refusal["byEvidence"] is True,
    )


def _laggard(laggard: Mapping[str, Any]) -> Laggard:
    return Laggard(
        cluster=str(laggard["cluster"]),
        namespace=str(laggard["namespace"]),
        kind=str(laggard["kind"]),
        name=str(laggard["name"]),
        detail=str(laggard["detail"]),
        since=_moment(laggard["since"]),
    )


def _object(found: Iterable[Any]) -> ObjectKey:
    cluster, kind, namespace, name = map(str, found)
    return cluster, kind, namespace, name


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _stage(stage: Mapping[str, Any]) -> TrustStage:
    return TrustStage(
        anchors={
            str(generation): Anchor(role=Role(anchor["role"]), fingerprint=anchor["fingerprint"])
            for generation, anchor in stage["anchors"].items()
        },
        canaries={str(service): str(each) for service, each in stage["canaries"].items()},
    )
