"""The section ``consumers.istio`` of the stack file."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import StrictBool

from mtls_pki.pki.key_algorithms import DEFAULT_KEY, KeyAlgorithm
from mtls_pki.settings.section import Section
from mtls_pki.settings.types import CommonName, DnsLabel, Duration, Generation, Instant

NAME = "istio"
"""Of the section, below ``consumers``."""


class IstioAuthoritySettings(Section):
    """The CA that istiod of each cluster signs with, below each anchor."""

    generation: Generation = "i1"
    # None: from the start of its root, so that one setting serves every generation.
    valid_from: Instant | None = None
    valid_for: Duration = timedelta(hours=8760)
    key_algorithm: KeyAlgorithm = DEFAULT_KEY


class IstioSettings(Section):
    """Where istiod runs, what it signs with, and how long what it signs lives."""

    # None: all clusters of the stack.
    clusters: tuple[DnsLabel, ...] | None = None
    namespace: DnsLabel = "istio-system"
    # Who signs for workloads: istiod with a CA of its own, or cert-manager on its request.
    signer: Literal["istiod", "cert-manager"] = "istiod"
    # O of the subject; L is the cluster (as tools/certs/common.mk of Istio makes its CAs).
    organization: CommonName = "Istio"
    authority: IstioAuthoritySettings = IstioAuthoritySettings()
    # The longest lifetime of a workload's certificate: DEFAULT_WORKLOAD_CERT_TTL and
    # MAX_WORKLOAD_CERT_TTL of istiod.
    workload_cert_ttl: Duration = timedelta(hours=24)
    ambient: StrictBool = False
