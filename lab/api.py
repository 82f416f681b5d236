"""A minimal client of the Kubernetes API: readiness, server-side apply, and little more.

The lab sends manifests as they are (a megabyte of CRDs in YAML), which the typed client of the
``kubernetes`` package would have to parse and print again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import urllib3
import yaml

from lab.certificates import Pair
from lab.errors import LabError

FIELD_MANAGER = "mtls-pki-lab"
Manifest = Mapping[str, Any]

# (API prefix, plural, namespaced) of each kind that the lab applies.
_KINDS: Mapping[str, tuple[str, str, bool]] = {
    "Namespace": ("/api/v1", "namespaces", False),
    "ConfigMap": ("/api/v1", "configmaps", True),
    "ServiceAccount": ("/api/v1", "serviceaccounts", True),
    "Pod": ("/api/v1", "pods", True),
    "Deployment": ("/apis/apps/v1", "deployments", True),
    "CustomResourceDefinition": (
        "/apis/apiextensions.k8s.io/v1",
        "customresourcedefinitions",
        False,
    ),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles", True),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings", True),
    "ValidatingWebhookConfiguration": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingwebhookconfigurations",
        False,
    ),
    "MutatingWebhookConfiguration": (
        "/apis/admissionregistration.k8s.io/v1",
        "mutatingwebhookconfigurations",
        False,
    ),
}


class ApiError(LabError):
    """The API server refused a request.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class UnreachableError(LabError):
    """The API server cannot be reached (yet)."""


class Api:
    """A connection to the API server at ``server`` with the client certificate ``client``."""

    def __init__(self, *, server: str, authority: str, client: Pair) -> None:
        self._server = server
        self._pool = urllib3.PoolManager(
            ca_certs=authority,
            cert_file=str(client.certificate),
            key_file=str(client.key),
            retries=False,
            timeout=urllib3.Timeout(connect=2, read=30),
            maxsize=4,
        )

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def request(
        self,
        method: str,
        path: str,
        body: str | Manifest | None = None,
        *,
        content_type: str = "application/json",
    ) -> Any:
        """The decoded answer to one request.

        Raises:
            ApiError: any answer but 2xx, with the server's own message.
            UnreachableError: no answer.
        """
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        try:
            answer = self._pool.request(
                method,
                f"{self._server}{path}",
                body=data.encode() if data is not None else None,
                headers={"Content-Type": content_type, "Accept": "application/json, */*"},
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(f"{self._server} does not answer: {error}") from error
        text = answer.data.decode(errors="replace")
        if not 200 <= answer.status < 300:
            raise ApiError(answer.status, f"{method} {path}: {answer.status} {_message(text)}")
        return json.loads(text) if text.startswith("{") else text

    def exists(self, path: str) -> bool:
        """Whether there is an object at ``path``."""
        try:
            self.request("GET", path)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def apply(self, manifest: Manifest) -> None:
        """Create or correct ``manifest`` by server-side apply; fields of others are overwritten."""
        metadata = manifest["metadata"]
        path = object_path(manifest["kind"], metadata["name"], metadata.get("namespace"))
        self.apply_text(path, json.dumps(manifest))

    def apply_text(self, path: str, text: str, *, manager: str = FIELD_MANAGER) -> None:
        """Server-side apply of one YAML or JSON document to the object at ``path``."""
        self.request(
            "PATCH",
            f"{path}?fieldManager={manager}&force=true",
            text,
            content_type="application/apply-patch+yaml",
        )


def object_path(kind: str, name: str, namespace: str | None = None) -> str:
    """The API path of an object of one of the kinds that the lab applies."""
    prefix, plural, namespaced = _KINDS[kind]
    scope = f"/namespaces/{namespace}" if namespaced else ""
    return f"{prefix}{scope}/{plural}/{name}"


def crd_name(text: str) -> str:
    """The name of the CustomResourceDefinition in the YAML document ``text``.

    Only its first lines are parsed: the schema below ``spec`` is large.
    """
    head = text[: text.index("\nspec:")]
    return str(yaml.safe_load(head)["metadata"]["name"])


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
