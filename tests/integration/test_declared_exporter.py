"""The exporter as the stack declares it, run with what its pod would be given."""

from __future__ import annotations

import base64
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from lab import ports
from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import generated, small_stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

NAME = "declared-exporter"
EXPORTER = f"mtls-pki-exporter-{NAME}"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 a directory
# Only what is declared of a ServiceMonitor: its operator comes from no registry of this project.
MONITORS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "servicemonitors.monitoring.coreos.com"},
    "spec": {
        "group": "monitoring.coreos.com",
        "scope": "Namespaced",
        "names": {"plural": "servicemonitors", "kind": "ServiceMonitor"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "x-kubernetes-preserve-unknown-fields": True,
                            }
                        },
                    }
                },
            }
        ],
    },
}
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class Pod:
    """What the declared pod is given, in directories of this machine, and a process for it."""

    def __init__(self, api: Api, plane: ControlPlane, directory: Path) -> None:
        self._api, self._plane, self._directory = api, plane, directory
        deployment = api.request("GET", f"/apis/apps/v1/namespaces/{NAME}/deployments/{EXPORTER}")
        self.spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
        self.port = ports.choose(None, avoid=())
        account = f"/api/v1/namespaces/{NAME}/serviceaccounts/{self.spec['serviceAccountName']}"
        answer = api.request("POST", f"{account}/token", {"spec": {"expirationSeconds": 3600}})
        self.token: str = answer["status"]["token"]
        self._write("token", {"token": self.token, "ca.crt": self._authority()})
        for volume in self.spec["volumes"]:
            if "configMap" in volume:
                data = cluster.config_map(api, NAME, volume["configMap"]["name"])
                self._write(volume["name"], {name: self._here(text) for name, text in data.items()})
            if "secret" in volume:
                self._write(
                    volume["name"], cluster.secret(api, NAME, volume["secret"]["secretName"])
                )

    def _authority(self) -> str:
        kubeconfig = yaml.safe_load(self._plane.kubeconfig.read_text())
        data: str = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
        return base64.b64decode(data).decode()

    def _write(self, name: str, data: dict[str, str]) -> None:
        place = self._directory / name
        place.mkdir(exist_ok=True)
        for key, text in data.items():
            (place / key).write_text(text)

    def _here(self, text: str) -> str:
        """What a pod finds by the cluster's DNS and in its file system."""
        text = text.replace(TOKEN, str(self._directory / "token"))
        return text.replace("https://kubernetes.default.svc", self._plane.server)

    def start(self) -> subprocess.Popen[bytes]:
        """Run the container's command, where its volumes are mounted elsewhere."""
        (container,) = self.spec["containers"]
        mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
        arguments = []
        for each in container["args"]:
            option, _, value = each.partition("=")
            for path, name in mounts.items():
                if value.startswith(f"{path}/"):
                    value = f"{self._directory / name}{value.removeprefix(path)}"
                    break
            arguments += [option, value] if value else [option]
        own = ["--address", "127.0.0.1", "--port", str(self.port), "--interval", "1s"]
        # As in the image, there is no Pulumi.
        program = (
            "import sys; sys.modules['pulumi'] = None; sys.modules['pulumi_kubernetes'] = None\n"
            "from mtls_pki.__main__ import main; sys.exit(main())"
        )
        assert container["command"] == ["mtls-pki"]
        return subprocess.Popen(
            [sys.executable, "-c", program, *arguments, *own],
            cwd=self._directory / mounts[container["workingDir"]],
        )

    def scrape(self, leaf: Path | None) -> str:
        context = ssl.create_default_context(cafile=self._directory / "clients/ca.crt")
        if leaf is not None:
            context.load_cert_chain(leaf / "tls.crt", leaf / "tls.key")
        host = f"exporter.{NAME}.svc"
        with urllib3.HTTPSConnectionPool(
            "127.0.0.1", self.port, ssl_context=context, server_hostname=host, assert_hostname=host
        ) as pool:
            return pool.request("GET", "/metrics", retries=False, timeout=10).data.decode()


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_declared_exporter_reads_the_stack_and_follows_it(
    plane: ControlPlane, api: Api, make_stack: MakeStack, tmp_path: Path
) -> None:
    api.request("POST", CRDS, MONITORS)
    monitors = f"/apis/monitoring.coreos.com/v1/namespaces/{NAME}/servicemonitors"
    cluster.wait_for(lambda: api.exists("/apis/monitoring.coreos.com/v1"), "ServiceMonitors")
    stack = make_stack(NAME)
    values = small_stack(
        NAME,
        plane.kubeconfig,
        services={
            "exporter": {"namespace": NAME, "usages": ["server auth"]},
            "prometheus": {"namespace": NAME, "usages": ["client auth"]},
        },
        consumers={
            "monitoring": {
                "cluster": "dev",
                "service": "exporter",
                "image": "registry.example.org/mtls-pki:1",
                "prometheus": {"client": "prometheus", "monitorLabels": {"release": "one"}},
            }
        },
    )
    try:
        stack.write(values)
        stack.init()
        stack.up()
        stack.preview("--expect-no-changes")
        (tmp_path / "prometheus").mkdir()
        for key, text in cluster.secret(api, NAME, "prometheus-tls").items():
            (tmp_path / "prometheus" / key).write_text(text)
        pod = Pod(api, plane, tmp_path)
        with pod.start() as process:
            try:
                cluster.wait_for(lambda: listening(pod.port), "exporter")
                read = f'mtls_evidence_up{{cluster="dev",domain="{NAME}.example.org"}} 1.0'
                cluster.wait_for(
                    lambda: read in pod.scrape(tmp_path / "prometheus"), "reading of the cluster"
                )
                with pytest.raises(urllib3.exceptions.HTTPError):
                    pod.scrape(None)

                # A rotation reaches it with the `up` that applies it.
                values["anchors"]["g2"] = generated("g2", NAME, "incoming")
                stack.write(values)
                stack.up()
                Pod(api, plane, tmp_path)
                cluster.wait_for(
                    lambda: (
                        'generation="g2",role="incoming"' in pod.scrape(tmp_path / "prometheus")
                    ),
                    "g2",
                )
            finally:
                process.terminate()
        assert {right: allowed(api, *right) for right in RIGHTS} == RIGHTS
        monitor = api.request("GET", f"{monitors}/{EXPORTER}")
        assert monitor["metadata"]["labels"]["release"] == "one"
        tls = monitor["spec"]["endpoints"][0]["tlsConfig"]
        assert tls["serverName"] in cluster_names(api)
    finally:
        api.request("DELETE", f"{CRDS}/{MONITORS['metadata']['name']}")  # type: ignore[index]


def cluster_names(api: Api) -> list[str]:
    path = f"{cluster.CERT_MANAGER}/namespaces/{NAME}/certificates/exporter"
    names: list[str] = api.request("GET", path)["spec"]["dnsNames"]
    return names


RIGHTS = {
    ("certificates.cert-manager.io", "list"): True,
    ("secrets", "get"): False,
    ("secrets", "list"): False,
    ("configmaps", "list"): False,
    ("certificates.cert-manager.io", "update"): False,
}


def allowed(api: Api, resource: str, verb: str) -> bool:
    name, _, group = resource.partition(".")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{NAME}:{EXPORTER}",
            "resourceAttributes": {"verb": verb, "group": group, "resource": name},
        },
    }
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])
