"""The section ``consumers.gloo`` of the stack file."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, StrictBool

from mtls_pki.pki.key_algorithms import DEFAULT_KEY, KeyAlgorithm
from mtls_pki.settings.section import Section
from mtls_pki.settings.types import DnsLabel, Duration, Generation, Instant, ObjectName

NAME = "gloo"
"""Of the section, below ``consumers``."""

Release = Literal["v1", "v2.0", "v2.3"]
"""Since when the charts take the values: ``v2.0`` is 2.0 to 2.2."""


class RelayAuthoritySettings(Section):
    """The CA that signs the relay's certificates, below each anchor."""

    generation: Generation = "i1"
    # None: from the start of its root.
    valid_from: Instant | None = None
    valid_for: Duration = timedelta(hours=52560)
    key_algorithm: KeyAlgorithm = DEFAULT_KEY


class RelayCertificatesSettings(Section):
    """The relay's certificates; a later ``validFrom`` renews them."""

    # None: from the start of their CA.
    valid_from: Instant | None = None
    valid_for: Duration = timedelta(hours=8760)
    key_algorithm: KeyAlgorithm = DEFAULT_KEY


class MeshRootSettings(RelayAuthoritySettings):
    """The CA from which Gloo makes the CAs of the workload clusters' meshes, below each anchor."""

    # Of the Secret that VirtualMesh or RootTrustPolicy names.
    secret_name: ObjectName = "mesh-root"  # noqa: S105 a name
    generation: Generation = "m1"
    # The longest lifetime of a workload's certificate: DEFAULT_WORKLOAD_CERT_TTL and
    # MAX_WORKLOAD_CERT_TTL of istiod.
    workload_cert_ttl: Duration = timedelta(hours=24)


class GlooSettings(Section):
    """Where the management server and its agents run."""

    management: DnsLabel
    # The names that the agents register under are those of the clusters.
    workloads: tuple[DnsLabel, ...] = Field(min_length=1)
    namespace: DnsLabel = "gloo-mesh"
    release: Release = "v2.3"
    # The management server signs the certificates of new agents itself.
    signing: StrictBool = False
    authority: RelayAuthoritySettings = RelayAuthoritySettings()
    certificates: RelayCertificatesSettings = RelayCertificatesSettings()
    # None: Gloo does not make the CAs of the meshes.
    mesh_root: MeshRootSettings | None = None
