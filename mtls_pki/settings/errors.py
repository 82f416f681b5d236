"""Mistakes in the configuration: collected, never one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mtls_pki.errors import CommandError


@dataclass(frozen=True, kw_only=True, order=True)
class Mistake:
    """One thing to correct.

    Attributes:
        path: where it is in the file: ``anchors.g2.validFrom``.
        message: the value and what to write instead; never a secret.
    """

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class SettingsError(CommandError):
    """The configuration cannot be used; ``mistakes`` lists every reason."""

    def __init__(self, source: str, mistakes: Sequence[Mistake]) -> None:
        self.source = source
        self.mistakes = tuple(mistakes)
        count = len(self.mistakes)
        noun = "mistake" if count == 1 else "mistakes"
        lines = [f"{source} has {count} {noun}; nothing was touched:"]
        lines += [f"  {mistake}" for mistake in self.mistakes]
        super().__init__("\n".join(lines))
