"""What a cluster holds of the access of one machine: its requests and its certificates."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509

from mtls_pki.clusters.client_requests import FIELD_MANAGER
from mtls_pki.clusters.connection import Cluster, ClusterAddress, ClusterError
from mtls_pki.clusters.recorded import decode_pem
from mtls_pki.clusters.writer import ClusterWriter
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import access_object

MANIFEST = "deploy/rbac-access-issue.yaml"


@dataclass(frozen=True, kw_only=True)
class Access:
    """One machine in one cluster.

    Attributes:
        requests: name of the key -> signing request, PEM; None before the first `pulumi up`.
        certificates: name of the key -> certificate, PEM.
    """

    requests: Mapping[str, str] | None
    certificates: Mapping[str, str]

    def certificate(self, key: str) -> x509.Certificate | None:
        """Return the certificate of a key, None where there is none that can be read."""
        try:
            return parse_certificates(self.certificates.get(key, ""), origin=key)[0]
        except PkiError:
            return None


def read_certificates(cluster: Cluster, settings: Settings, name: str) -> Mapping[str, str]:
    """Return the certificates of a machine by the names of its keys, PEM.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    data = (cluster.get(_path(settings, "secrets", name)) or {}).get("data") or {}
    return {key.removesuffix(".crt"): decode_pem(value) for key, value in data.items()}


class AccessStore:
    """The requests that the stack wrote into a cluster, and the certificates that answer them."""

    def __init__(self, address: ClusterAddress, settings: Settings) -> None:
        """Read the kubeconfig; nothing is sent yet.

        Raises:
            ClusterError: the kubeconfig or the context does not exist or cannot be used.
        """
        self._settings = settings
        self._writer = ClusterWriter(address, manifest=MANIFEST, field_manager=FIELD_MANAGER)
        self.cluster = self._writer.cluster

    def read(self, name: str) -> Access:
        """Return what the cluster holds of a machine.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        live = self.cluster.get(_path(self._settings, "configmaps", name))
        requests = None
        if live is not None:
            data = live.get("data") or {}
            requests = {key.removesuffix(".csr"): value for key, value in data.items()}
        return Access(
            requests=requests,
            certificates=read_certificates(self.cluster, self._settings, name),
        )

    def keep(self, name: str, key: str, certificate: str) -> None:
        """Keep a certificate in the machine's Secret, beside those of its other keys.

        Raises:
            ClusterError: the cluster refuses or cannot be reached.
        """
        data = {f"{key}.crt": base64.b64encode(certificate.encode()).decode()}
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": access_object(name)},
            "data": data,
        }
        collection = _path(self._settings, "secrets", "").removesuffix(f"/{access_object('')}")
        if self._writer.create(collection, manifest):
            return
        if not self._writer.patch(_path(self._settings, "secrets", name), {"data": data}):
            raise ClusterError(
                self.cluster.name, f"the Secret of {name} changed just now; run the command again"
            )


def _path(settings: Settings, kind: str, name: str) -> str:
    namespace = settings.issuing.cluster_resource_namespace
    return f"/api/v1/namespaces/{namespace}/{kind}/{access_object(name)}"
