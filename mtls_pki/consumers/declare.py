"""What the program asks of a consumer while it declares resources."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from mtls_pki.components.kubernetes_options import GuardedObject
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.settings.model import Settings


@dataclass(frozen=True, kw_only=True)
class Place:
    """How a consumer's objects are declared in one cluster.

    Attributes:
        options: provider and dependencies: what is declared with them comes after the cluster's
            gate, so a change of trust that a guard refuses never reaches the consumer.
        guard: judges before what carries trust or signs is written.
        delete_guard: judges whether it may be deleted; None where the stack is given up.
        on_failure: says why an operation failed.
        keep: notes guarded objects, and the entry of ``abandon`` that lets them go.
    """

    options: pulumi.ResourceOptions
    guard: pulumi.ResourceHook
    delete_guard: pulumi.ResourceHook | None
    on_failure: pulumi.ErrorHook
    keep: Callable[[Iterable[GuardedObject], str], None]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What a consumer may build on.

    Attributes:
        settings: of the stack.
        directory: of the project; relative file names start there.
        anchors: by generation.
        roots: certificate PEM of every root that verifiers of the domain trust.
        clusters: by name.
    """

    settings: Settings
    directory: Path
    anchors: Mapping[str, TrustAnchor]
    roots: Sequence[pulumi.Input[str]]
    clusters: Mapping[str, Place]


class Declare(ABC):
    """One run's declarations of one consumer."""

    def __init__(self, stack: Stack) -> None:
        """Take what the stack has; nothing is declared yet."""
        self.stack = stack

    @abstractmethod
    def declare(self) -> None:
        """Declare all of its resources."""

    def outputs(self) -> Mapping[str, Any]:
        """Return what the stack exports of it, for people and other stacks; never a secret."""
        return {}


class DeclareNothing(Declare):
    """Of a consumer whose servers are the users' own: its leaves are services of the stack."""

    def declare(self) -> None:
        """Declare nothing."""
