"""What the program asks of a consumer while it declares resources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pulumi

from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.settings.model import Settings


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What a consumer may build on.

    Attributes:
        settings: of the stack.
        directory: of the project; relative file names start there.
        anchors: by generation.
        clusters: provider and dependencies by cluster; what is declared with them comes after the
            cluster's gate, so a change of trust that a guard refuses never reaches the consumer.
    """

    settings: Settings
    directory: Path
    anchors: Mapping[str, TrustAnchor]
    clusters: Mapping[str, pulumi.ResourceOptions]


class Declare(ABC):
    """One run's declarations of one consumer."""

    def __init__(self, stack: Stack) -> None:
        """Take what the stack has; nothing is declared yet."""
        self.stack = stack

    @abstractmethod
    def declare(self) -> None:
        """Declare all of its resources."""
