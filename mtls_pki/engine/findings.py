"""What a policy pack said of a preview; the engine's JSON does not hold it.

Whoever runs the preview with a pack gives it beside: a JSON list of objects with the texts
``level``, ``rule``, ``resource`` and ``message``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from mtls_pki.engine.digest import DigestError
from mtls_pki.rotation.text import redacted

MANDATORY = "mandatory"
"""The level that makes the engine refuse the update."""

REMEDY = " What to do: "
"""Stands before the remedy in the messages of this project's pack."""


@dataclass(frozen=True, kw_only=True)
class PolicyFinding:
    """One finding of a policy pack.

    Attributes:
        level: the engine's word for how much it binds: ``mandatory``, ``advisory``, ...
        rule: name of the rule.
        resource: name in the program of what it is about.
        message: lines: what must hold, and what is wrong with which object. A remedy may follow
            after ``REMEDY``.
    """

    level: str
    rule: str
    resource: str
    message: str

    @property
    def mandatory(self) -> bool:
        """Whether the update is refused for it."""
        return self.level == MANDATORY


def read_findings(text: str) -> tuple[PolicyFinding, ...]:
    """Return the findings in ``text``, each once, mandatory ones first.

    Raises:
        DigestError: it is no list of findings.
    """
    try:
        found = {
            PolicyFinding(**{key: redacted(str(value)) for key, value in each.items()})
            for each in json.loads(text)
        }
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise DigestError(
            "no list of findings: each has level, rule, resource and message"
        ) from None
    return ordered(found)


def written(findings: Iterable[PolicyFinding]) -> str:
    """Return findings as ``read_findings`` reads them."""
    return json.dumps([asdict(finding) for finding in findings], indent=1) + "\n"


def ordered(findings: Iterable[PolicyFinding]) -> tuple[PolicyFinding, ...]:
    """Return each finding once, mandatory ones first."""
    return tuple(
        sorted(
            set(findings), key=lambda f: (not f.mandatory, f.level, f.rule, f.resource, f.message)
        )
    )
