"""Which anchors an issuer signs under, for leaves that show no chain.

An issuer of the stack with a generation in its name signs under that generation's anchor and no
other, for a generation keeps its key. The stack's stable issuer follows the issuing generation, so
its name does not say which. Any other issuer signs for the domain only with a CA below one of its
anchors, and that leaves a trace: a chain of it was seen, it has the CA of an issuer of the stack,
or its CA's Secret is that of a Certificate that chains to an anchor. Without a trace it is somebody
else's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from mtls_pki.clusters.sources.issuers import (
    Authority,
    IssuerReading,
    IssuerReference,
    stack_issuers,
)
from mtls_pki.rotation.domain import Domain
from mtls_pki.rotation.evidence import GateObservation
from mtls_pki.settings.model import Settings

NOBODY: frozenset[str] = frozenset()
"""The signers of a leaf that chains to no anchor of the domain."""


@dataclass(frozen=True, kw_only=True)
class StackIssuers:
    """The issuers that the stack declares or has declared.

    Attributes:
        settings: of the stack, which no longer name the issuers of an anchor that is to leave.
        gates: the records of all clusters, which still do.
    """

    settings: Settings
    gates: tuple[GateObservation, ...]

    def generation(self, issuer: IssuerReference) -> str | None:
        """Return the generation that an issuer signs for: empty for a stable one, None for others.

        Issuers of another stack may have the same names in namespaces of their own.
        """
        if not self._in_scope(issuer):
            return None
        base = self.settings.issuing.name
        if issuer.name == base:
            return ""
        found = self._recorded(issuer)
        if found is None and issuer.name.startswith(f"{base}-"):
            found = issuer.name.removeprefix(f"{base}-").partition("-")[0]
            found = found if found in self._generations else None
        if found is None:
            return None
        return found if re.search(rf"-{re.escape(found)}(-|$)", issuer.name) else ""

    def fingerprint(self, generation: str) -> str | None:
        """Return the anchor's identity that the records name; None where they do not agree."""
        found = {
            gate.stage.anchors[generation].fingerprint
            for gate in self.gates
            if gate.stage is not None and generation in gate.stage.anchors
        }
        return found.pop() if len(found) == 1 else None

    def _in_scope(self, issuer: IssuerReference) -> bool:
        everywhere = issuer.namespace is None
        kinds = {
            (api.group, api.cluster_issuer if everywhere else api.issuer)
            for api in self.settings.extensions.issuer_apis
        }
        if (issuer.group, issuer.kind) not in kinds:
            return False
        return everywhere or issuer.namespace in self._namespaces

    def _recorded(self, issuer: IssuerReference) -> str | None:
        if issuer in self._declared:
            return self._declared[issuer]
        found = (domain.issuers.get(str(issuer)) for domain in self._domains)
        return next((each for each in found if each is not None), None)

    @cached_property
    def _declared(self) -> dict[IssuerReference, str]:
        return stack_issuers(self.settings)

    @cached_property
    def _domains(self) -> tuple[Domain, ...]:
        return tuple(gate.domain for gate in self.gates if gate.domain is not None)

    @cached_property
    def _namespaces(self) -> frozenset[str]:
        recorded = (domain.namespaces for domain in self._domains)
        return frozenset(self.settings.trust.namespaces).union(*recorded)

    @cached_property
    def _generations(self) -> frozenset[str]:
        stages = (gate.stage.anchors for gate in self.gates if gate.stage is not None)
        return frozenset(self.settings.anchors).union(*stages)


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Which anchors issuers sign under.

    Attributes:
        stack: the stack's own issuers.
        issuers: all issuers of the cluster.
        ours: issuers of which a chain was seen that leads to an anchor.
        made: for each CA Secret that cert-manager wrote: the signers of the CA in it, or its
            issuer where nothing shows its chain, None where that is not known either.
    """

    stack: StackIssuers
    issuers: IssuerReading
    ours: frozenset[IssuerReference]
    made: Mapping[Authority, frozenset[str] | IssuerReference | None]

    def signers(self, issuer: IssuerReference | None) -> frozenset[str] | None:
        """Return the fingerprints that a leaf of ``issuer`` chains to; None where unknown."""
        return self._signers(issuer, frozenset())

    def _signers(
        self, issuer: IssuerReference | None, asked: frozenset[IssuerReference]
    ) -> frozenset[str] | None:
        if issuer is None or issuer in asked:
            return None
        if issuer in self.issuers.self_signing:
            return NOBODY
        generation = self.stack.generation(issuer)
        if generation is not None:
            fingerprint = self.stack.fingerprint(generation)
            return None if fingerprint is None else frozenset({fingerprint})
        authority = self.issuers.authorities.get(issuer)
        if issuer in self.ours or authority in self._authorities_of_stack:
            return None
        below = self.made.get(authority, NOBODY) if authority is not None else NOBODY
        if isinstance(below, IssuerReference):
            below = self._signers(below, asked | {issuer})
        # It may have had another CA below another anchor before.
        return NOBODY if below == NOBODY else None

    @cached_property
    def _authorities_of_stack(self) -> frozenset[Authority]:
        return frozenset(
            authority
            for issuer, authority in self.issuers.authorities.items()
            if self.stack.generation(issuer) is not None
        )
