"""CertificateSigningRequests for client certificates: submitted, decided on, and read.

They are objects of the API server that it removes by itself: issued, denied and failed ones one to
two hours later, those that nobody decided on after a day (Kubernetes,
pkg/controller/certificates/cleaner). So none is ever a Pulumi resource.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from mtls_pki.clusters.connection import ClusterAddress, ClusterError
from mtls_pki.clusters.recorded import condition, decode_pem, parse_time
from mtls_pki.clusters.writer import ClusterWriter
from mtls_pki.errors import CommandError
from mtls_pki.pki.client_request import ClientRequest, client_request

REQUESTER, APPROVER = "deploy/rbac-access-request.yaml", "deploy/rbac-access-approve.yaml"
FIELD_MANAGER = "mtls-pki-access"
SIGNER = "kubernetes.io/kube-apiserver-client"
SHORTEST = timedelta(seconds=600)
"""``expirationSeconds`` below it is refused (certificates/v1, CertificateSigningRequestSpec)."""

BACKDATED = timedelta(minutes=5)
"""A certificate begins, and so ends, this much earlier (pkg/controller/certificates/signer)."""

_COLLECTION = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
# Client authentication alone would give a certificate without the extension keyUsage.
_USAGES = ["digital signature", "client auth"]


class State(StrEnum):
    """How far a request has come."""

    PENDING = "pending"
    APPROVED = "approved"
    ISSUED = "issued"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A request as the API server has it.

    Attributes:
        request: what it asks for.
        state: how far it has come.
        said: what whoever decided, or the signer, says of it.
        signer: who is to sign it.
        made_at: when it was submitted.
        lifetime: that was asked for; None for what the cluster gives.
        certificate: what was signed, PEM; None until then.
        live: the whole object.
    """

    request: ClientRequest
    state: State
    said: str
    signer: str
    made_at: datetime | None
    lifetime: timedelta | None
    certificate: str | None
    live: Mapping[str, Any]


class ClientRequests:
    """The requests of one cluster."""

    def __init__(self, address: ClusterAddress, *, manifest: str) -> None:
        """Read the kubeconfig; nothing is sent yet.

        Raises:
            ClusterError: the kubeconfig or the context does not exist or cannot be used.
        """
        self._writer = ClusterWriter(address, manifest=manifest, field_manager=FIELD_MANAGER)
        self.cluster = self._writer.cluster

    def get(self, name: str) -> Submitted | None:
        """Return one request, None if there is none (any more).

        Raises:
            ClusterError: the cluster cannot be read, or the object holds no request.
        """
        live = self.cluster.get(f"{_COLLECTION}/{name}")
        return None if live is None else _submitted(live)

    def submit(self, request: ClientRequest, lifetime: timedelta) -> Submitted:
        """Submit a request; one that is there already stays as it is, and is returned.

        Raises:
            CommandError: the key has a request that asks for something else.
            ClusterError: the cluster refuses or cannot be reached.
        """
        manifest = {
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": {"name": request.name},
            "spec": {
                "request": base64.b64encode(request.pem.encode()).decode(),
                "signerName": SIGNER,
                "expirationSeconds": int(lifetime.total_seconds()),
                "usages": _USAGES,
            },
        }
        self._writer.create(_COLLECTION, manifest, secret=False)
        found = self.get(request.name)
        if found is None:
            raise ClusterError(
                self.cluster.name, f"{request.name} was removed just now; run the command again"
            )
        asked = (found.request.user, set(found.request.groups))
        if asked != (request.user, set(request.groups)) or found.signer != SIGNER:
            raise CommandError(
                f"{request.name} is there already for this key, and asks for user "
                f"{found.request.user} in {', '.join(found.request.groups) or 'no group'} from "
                f"{found.signer}; make a new key, or have that request deleted"
            )
        return found

    def decide(self, found: Submitted, *, approve: bool, why: str) -> None:
        """Approve or deny a request.

        Raises:
            CommandError: it was decided on already, or is gone.
            ClusterError: the cluster refuses or cannot be reached.
        """
        name, status = found.live["metadata"]["name"], found.live.get("status", {})
        decision = {
            "type": "Approved" if approve else "Denied",
            "status": "True",
            "reason": "MtlsPkiAccess",
            "message": why,
            "lastUpdateTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        changed = {
            **found.live,
            "status": {**status, "conditions": [*status.get("conditions", []), decision]},
        }
        if not self._writer.replace(f"{_COLLECTION}/{name}/approval", changed):
            raise CommandError(
                f"{name} has changed or is gone since it was read; run the command again"
            )


def _submitted(live: Mapping[str, Any]) -> Submitted:
    metadata, spec, status = live["metadata"], live["spec"], live.get("status", {})
    certificate = status.get("certificate")
    state, said = _state(live, issued=certificate is not None)
    seconds = spec.get("expirationSeconds")
    name = f"CertificateSigningRequest {metadata['name']}"
    return Submitted(
        request=client_request(decode_pem(spec["request"]), origin=name),
        state=state,
        said=said,
        signer=spec["signerName"],
        made_at=parse_time(metadata.get("creationTimestamp")),
        lifetime=None if seconds is None else timedelta(seconds=seconds),
        certificate=decode_pem(certificate) if certificate else None,
        live=live,
    )


def _state(live: Mapping[str, Any], *, issued: bool) -> tuple[State, str]:
    # A request can be approved and failed at once; the signer has the last word.
    for kind, state in (
        ("Failed", State.FAILED),
        ("Denied", State.DENIED),
        ("Approved", State.ISSUED if issued else State.APPROVED),
    ):
        found = condition(live, kind)
        if found is not None and found.get("status") == "True":
            words = (str(found.get("reason", "")), str(found.get("message", "")))
            return state, ": ".join(filter(None, words))
    return State.PENDING, ""
