"""What a preview says about itself: the guard's verdict, warnings, and why it failed otherwise.

The guard hands its verdict on as data (``mtls_pki.rotation.guard_report``). All other messages are
shown as the text that they are, and those of the guard are told from them by being equal to what
its report says.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from mtls_pki.engine.digest import GATE, Diagnostic, Preview
from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation.guard_report import (
    MARK,
    GuardReport,
    GuardReportError,
    Judgement,
    Reason,
    read_report,
)
from mtls_pki.rotation.owned_object import ObjectKey
from mtls_pki.rotation.stage import TrustStage

# What the engine says itself of a run that others ended.
_CLOSING, _PROGRAM_ENDED = "preview failed", "an unhandled error occurred: program exited with "


class Outcome(enum.IntEnum):
    """What a review comes to; the values are the exit statuses of the command."""

    SAFE = ExitStatus.DONE
    REFUSED = ExitStatus.BLOCKED
    UNSEEN = ExitStatus.EVIDENCE_MISSING
    FAILED = ExitStatus.PREVIEW_FAILED


@dataclass(frozen=True, kw_only=True)
class Said:
    """A warning or an error: its first line, and the lines below it."""

    head: str
    below: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Everything that a preview said.

    Attributes:
        reports: of the guard; more than one where a cluster's stage was known to the state alone.
        reasons: of the guard's refusal.
        errors: other reasons for which the preview failed.
        warnings: what a person must hear although nothing failed.
        unread: clusters of which nothing is known.
        unheard: why nothing is known of the guard's verdict; empty where it is known.
    """

    outcome: Outcome
    reports: tuple[GuardReport, ...] = ()
    reasons: tuple[Reason, ...] = ()
    errors: tuple[Said, ...] = ()
    warnings: tuple[Said, ...] = ()
    unread: tuple[str, ...] = ()
    unheard: str = ""

    @property
    def up_refuses(self) -> bool:
        """What is missing in a cluster makes `pulumi up` refuse, though not the preview."""
        return any(report.up_refuses for report in self.reports)

    @property
    def stage(self) -> TrustStage | None:
        """What the configuration asks for, as far as it is known before the update."""
        return self.reports[0].stage if self.reports else None

    @property
    def issuers(self) -> dict[str, str]:
        """Name of an issuer -> the generation that it issues from."""
        return {name: each for report in self.reports for name, each in report.issuers.items()}

    @property
    def undeclared(self) -> tuple[ObjectKey, ...]:
        """Objects that the stack has written and does not declare."""
        return tuple(dict.fromkeys(each for report in self.reports for each in report.undeclared))

    @property
    def stable_issuer(self) -> str:
        """Name of the issuer that follows the issuing generation; empty for none."""
        return self.reports[0].stable_issuer if self.reports else ""


def spoken(preview: Preview, *, explained: bool = False) -> Spoken:
    """Return what the diagnostics of ``preview`` say, each thing once.

    Args:
        preview: as it was read.
        explained: it is known why the run ended, so the engine's word that it did tells nothing.
    """
    reports, unheard = _reports(preview)
    judgements = [judgement for report in reports for judgement in report.judgements]
    failures = [each for each in preview.diagnostics if each.severity == "error"]
    refused = [
        judgement
        for judgement in judgements
        if judgement.message and any(_ends_with(each, judgement.message) for each in failures)
    ]
    ours = [judgement.message for judgement in refused]
    ours += [echo for report in reports for echo in report.echoes]
    errors = [each for each in failures if not any(_ends_with(each, text) for text in ours)]
    if refused or explained or len(errors) > 1:
        errors = [each for each in errors if not _is_closing(_text(each))]
    unread = dict.fromkeys(cluster for each in judgements for cluster in each.unread)
    return Spoken(
        outcome=_outcome(refused, errors, unseen=bool(unread or unheard)),
        reports=reports,
        reasons=tuple(dict.fromkeys(reason for each in refused for reason in each.reasons)),
        errors=tuple(dict.fromkeys(map(_said, errors))),
        warnings=tuple(
            dict.fromkeys(_said(each) for each in preview.diagnostics if each.severity == "warning")
        ),
        unread=tuple(unread),
        unheard=unheard,
    )


def _reports(preview: Preview) -> tuple[tuple[GuardReport, ...], str]:
    """Return the guard's reports, or else why there is none.

    A program of its own that uses the components without a gate has no guard that could report.
    """
    said = (each.message for each in preview.diagnostics if each.severity == "info")
    lines = [message for message in said if message.startswith(MARK)]
    if not lines:
        guarded = any(step.kind == GATE for step in preview.steps)
        return (), "the guard's report is not in the preview" if guarded else ""
    try:
        return tuple(map(read_report, lines)), ""
    except GuardReportError as error:
        return (), str(error)


def _outcome(refused: list[Judgement], errors: list[Diagnostic], *, unseen: bool) -> Outcome:
    if refused:
        return Outcome.REFUSED
    if errors:
        return Outcome.FAILED
    return Outcome.UNSEEN if unseen else Outcome.SAFE


def _ends_with(diagnostic: Diagnostic, text: str) -> bool:
    """Whether a message is ``text``; the engine says before it who failed, and may indent it."""
    return " ".join(diagnostic.message.split()).endswith(" ".join(text.split()))


def _is_closing(text: str) -> bool:
    return text == _CLOSING or text.startswith(_PROGRAM_ENDED)


def _text(diagnostic: Diagnostic) -> str:
    return diagnostic.message.strip().removeprefix(f"{diagnostic.severity}: ")


def _said(diagnostic: Diagnostic) -> Said:
    lines = [line.strip() for line in _text(diagnostic).splitlines() if line.strip()]
    head = lines[0] if lines else f"{diagnostic.resource}: no reason is given"
    return Said(head=head, below=tuple(lines[1:]))
