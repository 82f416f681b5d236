"""The table of sources that every stack has; backends and consumers add theirs."""

from __future__ import annotations

from mtls_pki.clusters.sources.bundles import BundleSource
from mtls_pki.clusters.sources.cert_manager import CertManagerSource
from mtls_pki.clusters.sources.endpoints import EndpointSource
from mtls_pki.clusters.sources.source import Source

SOURCES: tuple[Source, ...] = (
    BundleSource(),
    CertManagerSource(),
    EndpointSource(),
)
