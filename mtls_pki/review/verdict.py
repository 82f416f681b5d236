"""What a preview says about itself: the guard's verdict, warnings, and why it failed otherwise.

The guard speaks through the engine, so its verdict arrives as the text of ``rotation.report``;
this reads it back, and a test holds the two together.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mtls_pki.engine.digest import Diagnostic, Preview
from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation.text import without_colour

_HEAD = re.compile(r"refused: .* cannot make this change of trust \(\d+ reasons?\)")
_ECHO = "refused, for the reasons given for "
_REASON = re.compile(r"(?P<number>\d+)\. (?P<sentence>.*) \[(?P<rule>[a-z-]+); (?P<source>.*)\]")
_FACT = re.compile(r"(?P<label>seen|laggards|do|earliest): +(?P<value>.*)")
_UNREAD = re.compile(
    r"cluster (?P<cluster>[^ :]+)(?: could not be read|: .*(?:cannot be reached|cannot be read))"
)
# Prefixes the engine adds, and its own line for an aborted run.
_PREFIX = re.compile(r"^(error|warning): (Preview failed: before hook \"[^\"]*\" failed: )?")
_CLOSING = re.compile(r"preview failed|an unhandled error occurred: program exited with .*")
_WILL_REFUSE = "`pulumi up` will refuse"


class Outcome(enum.IntEnum):
    """What a review comes to; the values are the exit statuses of the command."""

    SAFE = ExitStatus.DONE
    REFUSED = ExitStatus.BLOCKED
    UNSEEN = ExitStatus.EVIDENCE_MISSING
    FAILED = ExitStatus.PREVIEW_FAILED


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why the guard refuses: one refusal as ``report.refusal_message`` wrote it."""

    rule: str
    sentence: str
    seen: tuple[str, ...]
    laggards: tuple[str, ...]
    remedy: tuple[str, ...]
    earliest: str


@dataclass(frozen=True, kw_only=True)
class Said:
    """A warning or an error: its first line, and the lines below it."""

    head: str
    below: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """Everything that a preview said.

    Attributes:
        reasons: of the guard's refusal.
        errors: other reasons for which the preview failed.
        warnings: what a person must hear although nothing failed.
        unread: clusters of which nothing is known.
        will_refuse: what is missing in a cluster makes `pulumi up` refuse, though not the preview.
    """

    outcome: Outcome
    reasons: tuple[Reason, ...] = ()
    errors: tuple[Said, ...] = ()
    warnings: tuple[Said, ...] = ()
    unread: tuple[str, ...] = ()
    will_refuse: bool = False


def spoken(preview: Preview, *, explained: bool = False) -> Spoken:
    """Return what the diagnostics of ``preview`` say, each thing once.

    Args:
        preview: as it was read.
        explained: it is known why the run ended, so the engine's word that it did tells nothing.
    """
    reasons: list[Reason] = []
    errors: list[Said] = []
    warnings: list[Said] = []
    unread: list[str] = []
    refused = False
    for diagnostic in preview.diagnostics:
        text = _PREFIX.sub("", without_colour(diagnostic.message).strip())
        head = _HEAD.search(text)
        if head is not None:
            refused = True
            reasons += _reasons(text[head.start() :])
        elif _ECHO in text:
            refused = True
        elif diagnostic.severity == "error":
            errors.append(_said(text, diagnostic))
        elif diagnostic.severity == "warning":
            warnings.append(_said(text, diagnostic))
            unread += [found["cluster"] for found in _UNREAD.finditer(text)]
    if refused or explained or len(errors) > 1:
        errors = [error for error in errors if not _CLOSING.fullmatch(error.head)]
    outcome = Outcome.SAFE
    if refused:
        outcome = Outcome.REFUSED
    elif errors:
        outcome = Outcome.FAILED
    elif unread:
        outcome = Outcome.UNSEEN
    return Spoken(
        outcome=outcome,
        reasons=tuple(dict.fromkeys(reasons)),
        errors=tuple(dict.fromkeys(errors)),
        warnings=tuple(dict.fromkeys(warnings)),
        unread=tuple(dict.fromkeys(unread)),
        will_refuse=any(_WILL_REFUSE in warning.head for warning in warnings),
    )


@dataclass(kw_only=True)
class _Facts:
    values: dict[str, list[str]] = field(default_factory=dict)
    label: str = ""

    def take(self, line: str) -> None:
        if fact := _FACT.fullmatch(line):
            self.label, line = fact["label"], fact["value"]
        self.values.setdefault(self.label, []).append(line)


def _reasons(text: str) -> Iterator[Reason]:
    """Yield the numbered reasons of a refusal, whatever the engine indented them by."""
    head: re.Match[str] | None = None
    facts = _Facts()
    for line in (*map(str.strip, text.splitlines()), ""):
        begin = _REASON.fullmatch(line)
        if head is not None and (begin or not line) and facts.values:
            yield _reason(head, facts)
            head = None
        if begin:
            head, facts = begin, _Facts()
        elif line and head is not None:
            facts.take(line)


def _reason(head: re.Match[str], facts: _Facts) -> Reason:
    values = {label: tuple(lines) for label, lines in facts.values.items()}
    return Reason(
        rule=head["rule"],
        sentence=head["sentence"],
        seen=values.get("seen", ()),
        laggards=values.get("laggards", ()),
        remedy=values.get("do", ()),
        earliest=" ".join(values.get("earliest", ())),
    )


def _said(text: str, diagnostic: Diagnostic) -> Said:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    head = lines[0] if lines else f"{diagnostic.resource}: no reason is given"
    return Said(head=head, below=tuple(lines[1:]))
