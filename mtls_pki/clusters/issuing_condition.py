"""Marks Certificates to be issued again: the condition ``Issuing``.

cert-manager issues a Certificate again when its status has this condition; `cmctl renew` sets the
same (cmctl, pkg/renew). A changed CA Secret alone makes cert-manager issue nothing. The rights are
those of deploy/rbac-reissue.yaml.
"""

from __future__ import annotations

from datetime import UTC, datetime

from mtls_pki.clusters.connection import ClusterAddress
from mtls_pki.clusters.recorded import ISSUING
from mtls_pki.clusters.reissue_candidates import Certificate, DeadRequest, certificate_of
from mtls_pki.clusters.sources.issuers import API
from mtls_pki.clusters.writer import ClusterWriter

MANIFEST = "deploy/rbac-reissue.yaml"
FIELD_MANAGER = "mtls-pki-reissue"


class ConflictError(Exception):
    """Somebody changed the Certificate since it was read."""


class CertificateClient:
    """A cluster whose Certificates can be read and can be marked to be issued again.

    Attributes:
        cluster: reads with the rights of the same manifest.
    """

    def __init__(self, address: ClusterAddress) -> None:
        """Read the kubeconfig; nothing is sent yet.

        Raises:
            ClusterError: the kubeconfig or the context does not exist or cannot be used.
        """
        self._writer = ClusterWriter(address, manifest=MANIFEST, field_manager=FIELD_MANAGER)
        self.cluster = self._writer.cluster

    def certificate(self, namespace: str, name: str) -> Certificate | None:
        """Return one Certificate, None if it is gone.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        live = self.cluster.get(f"{API}/namespaces/{namespace}/certificates/{name}")
        return certificate_of(live) if live else None

    def delete_request(self, namespace: str, request: DeadRequest) -> None:
        """Delete a CertificateRequest that failed, unless it is gone already.

        Raises:
            ClusterError: the cluster refuses or cannot be reached.
        """
        path = f"{API}/namespaces/{namespace}/certificaterequests/{request.name}"
        self._writer.delete(path, request.uid)

    def mark_issuing(self, certificate: Certificate, *, message: str) -> None:
        """Set the condition ``Issuing`` of a Certificate that has not changed since it was read.

        A merge patch replaces the whole list of conditions. So the other conditions are sent too,
        and the resourceVersion makes sure that nobody has changed them.

        Raises:
            ConflictError: it has changed, or is gone; read it again.
            ClusterError: the cluster refuses or cannot be reached.
        """
        marked = {
            "type": ISSUING,
            "status": "True",
            # As `cmctl renew` writes it.
            "reason": "ManuallyTriggered",
            "message": message,
            "lastTransitionTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "observedGeneration": certificate.generation,
        }
        others = [c for c in certificate.conditions if c["type"] != ISSUING]
        path = f"{API}/namespaces/{certificate.namespace}/certificates/{certificate.name}/status"
        change = {
            "metadata": {"resourceVersion": certificate.resource_version},
            "status": {"conditions": [*others, marked]},
        }
        if not self._writer.patch(path, change):
            raise ConflictError
