"""The one write that this program makes to a cluster by itself: the condition ``Issuing``.

cert-manager issues a Certificate again when its status has this condition; `cmctl renew` sets the
same (cmctl, pkg/renew). A changed CA Secret alone makes cert-manager issue nothing. The rights are
those of deploy/rbac-reissue.yaml.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from urllib3.exceptions import HTTPError

from mtls_pki.clusters.connection import CONNECT_SECONDS, READ_SECONDS, Cluster, ClusterError
from mtls_pki.clusters.reissue_candidates import ISSUING, Certificate, certificate_of
from mtls_pki.clusters.sources.issuers import API

FIELD_MANAGER = "mtls-pki-reissue"


class ConflictError(Exception):
    """Somebody changed the Certificate since it was read."""


class CertificateClient(Cluster):
    """A cluster whose Certificates can be read and can be marked to be issued again."""

    manifest = "deploy/rbac-reissue.yaml"

    def certificate(self, namespace: str, name: str) -> Certificate | None:
        """Return one Certificate, None if it is gone.

        Raises:
            ClusterError: the cluster cannot be read.
        """
        live = self.get(f"{API}/namespaces/{namespace}/certificates/{name}")
        return certificate_of(live) if live else None

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
        self._patch(
            f"{path}?fieldManager={FIELD_MANAGER}",
            {
                "metadata": {"resourceVersion": certificate.resource_version},
                "status": {"conditions": [*others, marked]},
            },
        )

    def _patch(self, path: str, body: Mapping[str, Any]) -> None:
        headers = {"Accept": "application/json", "Content-Type": "application/merge-patch+json"}
        try:
            response = self._client.call_api(
                *self._client.param_serialize(
                    "PATCH",
                    path,
                    header_params=headers,
                    body=body,
                    auth_settings=["BearerToken"],
                ),
                _request_timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
            answer = response.read()
        except HTTPError as error:
            raise ClusterError(self.name, f"{self.server} cannot be reached ({error})") from None
        if response.status in (HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND):
            raise ConflictError
        if response.status == HTTPStatus.FORBIDDEN:
            raise ClusterError(
                self.name,
                f"writing {path} is forbidden; grant what {self.manifest} grants",
            )
        if response.status != HTTPStatus.OK:
            raise ClusterError(
                self.name, f"writing {path} failed: {response.status} {_message(answer)}"
            )


def _message(answer: bytes) -> str:
    try:
        return str(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return "without a reason"
