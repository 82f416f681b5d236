"""The same Certificates by other means: server-side apply, and the wait until all are Ready."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

from kubernetes.client import ApiException, CustomObjectsApi
from kubernetes.config import new_client_from_config
from kubernetes.watch import Watch

from bench.errors import BenchError
from bench.sampling import run
from lab.control_plane import ControlPlane
from mtls_pki.clusters.connection import Cluster, ClusterAddress
from mtls_pki.clusters.readiness import is_ready

GROUP, VERSION = "cert-manager.io", "v1"
_API = f"/apis/{GROUP}/{VERSION}"
_ISSUER_NAME = "cert-manager.io/issuer-name"
_CERTIFICATE_NAME = "cert-manager.io/certificate-name"
_POLL_SECONDS = 0.5
# Ten a second is cert-manager's pace on two cores; a tenth of that is a broken run.
_LEAST_ISSUED_PER_SECOND = 1.0
_LEAST_PATIENCE_SECONDS = 120.0
_WATCH_SECONDS = 60


def copies(deployment: Mapping[str, Any], namespace: str) -> list[dict[str, Any]]:
    """Return the Certificates of an exported stack, as they were declared, for ``namespace``."""
    certificates = []
    for resource in deployment["deployment"]["resources"]:
        if resource["type"] != f"kubernetes:{GROUP}/{VERSION}:Certificate":
            continue
        inputs = resource["inputs"]
        metadata = {"name": inputs["metadata"]["name"], "namespace": namespace}
        certificates.append(
            {
                "apiVersion": inputs["apiVersion"],
                "kind": inputs["kind"],
                "metadata": metadata | {"annotations": inputs["metadata"]["annotations"]},
                "spec": inputs["spec"],
            }
        )
    return certificates


def kubectl() -> Path | None:
    """Return kubectl, if there is one on ``PATH``."""
    found = shutil.which("kubectl")
    return None if found is None else Path(found)


def method() -> str:
    """Say how `apply` applies."""
    return "kubectl apply --server-side" if kubectl() else "server-side apply by the lab's client"


class Namespace:
    """One namespace of a lab's control plane, looked at and emptied between measurements."""

    def __init__(self, plane: ControlPlane, name: str) -> None:
        """Read the kubeconfig; nothing is sent."""
        self._name = name
        self._plane = plane
        self._cluster = Cluster(ClusterAddress(name=plane.name, kubeconfig=str(plane.kubeconfig)))
        self._secrets = f"/api/v1/namespaces/{name}/secrets"
        self._certificates = f"{_API}/namespaces/{name}/certificates"
        self._requests = f"{_API}/namespaces/{name}/certificaterequests"

    def apply(self, certificates: Sequence[Mapping[str, Any]]) -> None:
        """Apply the Certificates one after the other, as kubectl does.

        Raises:
            BenchError: kubectl failed.
            LabError: the API server refused one.
        """
        program = kubectl()
        if program is None:
            with closing(self._plane.api()) as api:
                for each in certificates:
                    api.apply_text(
                        f"{self._certificates}/{each['metadata']['name']}", json.dumps(each)
                    )
            return
        manifest = self._plane.paths.directory / "comparison.json"
        manifest.write_text(
            json.dumps({"apiVersion": "v1", "kind": "List", "items": list(certificates)}),
            encoding="utf-8",
        )
        connection = ("--kubeconfig", self._plane.kubeconfig)
        run(
            [program, *connection, "apply", "--server-side", "-f", manifest],
            directory=manifest.parent,
        )

    def signers(self) -> list[str]:
        """Return the issuer that signed the leaf in each Secret that cert-manager wrote."""

        def keep(live: dict[str, Any]) -> str | None:
            annotations = live["metadata"].get("annotations") or {}
            return annotations.get(_ISSUER_NAME) if _CERTIFICATE_NAME in annotations else None

        return self._cluster.list_all(self._secrets, keep)

    def empty(self) -> None:
        """Delete its Certificates and Secrets, and wait until they and the requests are gone."""
        with closing(self._plane.api()) as api:
            for collection in (self._certificates, self._secrets):
                api.request("DELETE", collection, {"propagationPolicy": "Background"})
        while any(self._holds(each) for each in (self._certificates, self._requests)):
            time.sleep(_POLL_SECONDS)

    def _holds(self, collection: str) -> bool:
        return bool(self._cluster.list_all(collection, lambda live: live["metadata"]["name"]))

    def ready_watch(self, names: Iterable[str]) -> ReadyWatch:
        """Return a watch that waits until the Certificates ``names`` are Ready."""
        return ReadyWatch(self._plane.kubeconfig, self._name, frozenset(names))


class ReadyWatch:
    """Watches Certificates from before they are made until the last one is Ready.

    A watch and not a poll: a list of a thousand Certificates twice a second would take from the
    API server the time that is being measured.
    """

    def __init__(self, kubeconfig: Path, namespace: str, names: frozenset[str]) -> None:
        """Start watching."""
        self._api = CustomObjectsApi(new_client_from_config(config_file=str(kubeconfig)))
        self._namespace = namespace
        self._missing = set(names)
        self._patience = max(_LEAST_PATIENCE_SECONDS, len(names) / _LEAST_ISSUED_PER_SECOND)
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._watch, name="ready-watch", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when all are Ready.

        Raises:
            BenchError: that took unreasonably long, or the watch broke.
        """
        self._thread.join(self._patience)
        if self._missing or self._error is not None:
            names = ", ".join(sorted(self._missing)[:3])
            raise BenchError(
                f"{len(self._missing)} Certificates in {self._namespace} did not become Ready "
                f"within {self._patience:.0f} s ({names}): {self._error or 'see the lab log'}"
            )

    def _watch(self) -> None:
        end = time.monotonic() + self._patience
        try:
            while self._missing and time.monotonic() < end:
                self._follow()
        except Exception as error:  # wait() raises it in the thread of its caller
            self._error = error

    def _follow(self) -> None:
        """List once, then follow until all are Ready or the API server ends the watch.

        It ends every watch after a while, earlier where its cache is full, and with 410 where it
        has forgotten what came last (Kubernetes API Concepts, "Efficient detection of changes").
        """
        arguments = (GROUP, VERSION, self._namespace, "certificates")
        listed = self._api.list_namespaced_custom_object(*arguments)
        for certificate in listed["items"]:
            self._see(certificate)
        try:
            for event in Watch().stream(
                self._api.list_namespaced_custom_object,
                *arguments,
                resource_version=listed["metadata"]["resourceVersion"],
                timeout_seconds=_WATCH_SECONDS,
            ):
                self._see(event["object"])
                if not self._missing:
                    return
        except ApiException as error:
            if error.status != HTTPStatus.GONE:
                raise

    def _see(self, certificate: Mapping[str, Any]) -> None:
        if is_ready(certificate):
            self._missing.discard(certificate["metadata"]["name"])
