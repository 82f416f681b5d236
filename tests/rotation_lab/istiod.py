"""A real istiod on this machine: its pod on the lab's node, its process beside it.

The pod mounts ``cacerts`` as the chart's does, so the process reads what kubelet brought, when it
brought it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from lab import ports, toolchain
from lab.api import Api
from lab.control_plane import ControlPlane
from lab.node import NODE_NAME, volume
from tests.integration.support import cluster
from tests.integration.support.chains import openssl_complaint

NAMESPACE = "istio-system"
AUDIENCE = "istio-ca"
"""Of the tokens by which workloads ask istiod for a certificate."""

_NAME = "istiod.istio-system.svc"
_CLUSTER_BUNDLE = (
    "/apis/certificates.k8s.io/v1beta1/clustertrustbundles/istio.io:istiod-ca:root-cert"
)
_METHOD = "/istio.v1.auth.IstioCertificateService/CreateCertificate"


def prepare(plane: ControlPlane, values: Mapping[str, Any]) -> None:
    """Apply what the charts of Istio would: the mesh's configuration and istiod's Deployment."""
    env = [{"name": name, "value": value} for name, value in values["pilot"]["env"].items()]
    labels = {"app": "istiod"}
    mesh = str(values["meshConfig"]).replace("'", '"')  # YAML has JSON in it
    with contextlib.closing(plane.api()) as api:
        api.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "istio", "namespace": NAMESPACE},
                "data": {"mesh": mesh},
            }
        )
        api.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "istiod", "namespace": NAMESPACE, "labels": labels},
                "spec": {
                    "replicas": 1,
                    "selector": {"matchLabels": labels},
                    "template": {
                        "metadata": {"labels": labels},
                        "spec": {
                            "nodeName": NODE_NAME,
                            "automountServiceAccountToken": False,
                            "containers": [
                                {
                                    "name": "discovery",
                                    "image": "pilot",
                                    "env": env,
                                    "volumeMounts": [
                                        {"name": "cacerts", "mountPath": "/etc/cacerts"}
                                    ],
                                }
                            ],
                            "volumes": [
                                {
                                    "name": "cacerts",
                                    "secret": {"secretName": "cacerts", "optional": True},
                                }
                            ],
                        },
                    },
                },
            }
        )


class Istiod:
    """The process; a context manager that ends it."""

    def __init__(
        self, plane: ControlPlane, directory: Path, env: Mapping[str, str], mesh: Mapping[str, Any]
    ) -> None:
        """Nothing is started; ``directory`` gets its log and its mesh configuration."""
        self.plane = plane
        self._directory = directory
        self._env = env
        self._mesh = mesh
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def __enter__(self) -> Istiod:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        return (self._directory / "istiod.log").read_text()

    def start(self) -> None:
        """Start it with what its pod has mounted, and wait until it signs."""
        self._directory.mkdir(exist_ok=True)
        chosen: list[int] = []
        for _ in range(5):
            chosen.append(ports.choose(None, avoid=chosen))
        http, plain, secure, monitoring, https = (f"{ports.LOOPBACK}:{port}" for port in chosen)
        self._port = chosen[2]
        mesh = self._directory / "mesh.yaml"
        mesh.write_text(str(self._mesh).replace("'", '"'))
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **self._env,
            "ROOT_CA_DIR": str(self.mounted()),
            "POD_NAMESPACE": NAMESPACE,
            "POD_NAME": "istiod",
            "CLUSTER_ID": self.plane.name,
            "INJECTION_WEBHOOK_CONFIG_NAME": "",
            "VALIDATION_WEBHOOK_CONFIG_NAME": "",
            "TOKEN_AUDIENCES": AUDIENCE,
        }
        with (self._directory / "istiod.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    str(toolchain.ensure("pilot-discovery")["pilot-discovery"]),
                    "discovery",
                    f"--kubeconfig={self.plane.kubeconfig}",
                    f"--meshConfig={mesh}",
                    f"--httpAddr={http}",
                    f"--httpsAddr={https}",
                    f"--grpcAddr={plain}",
                    f"--secureGRPCAddr={secure}",
                    f"--monitoringAddr={monitoring}",
                    "--ctrlz_port=0",
                    "--keepaliveMaxServerConnectionAge=30m",
                ],
                cwd=self._directory,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        cluster.wait_for(self._answers, f"istiod of {self.plane.name}")

    def stop(self) -> None:
        """End it, however it stands."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)
            self._process = None

    def mounted(self) -> Path:
        """Where its pod has ``cacerts``."""
        with contextlib.closing(self.plane.api()) as api:
            pod = cluster.wait_for(lambda: _running(api), "pod of istiod")
        return volume(self.plane.paths, pod_uid=pod, kind="secret", name="cacerts")

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(self.log[-3000:])
        with contextlib.suppress(OSError), socket.create_connection((ports.LOOPBACK, self._port)):
            return True
        return False

    def sign(self, account: str, trust_domain: str) -> tuple[str, str]:
        """Return chain and key of a new workload, as its proxy would get them.

        Args:
            account: service account in the namespace ``default``.
            trust_domain: of the mesh.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        identity = f"spiffe://{trust_domain}/ns/default/sa/{account}"
        request = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(x509.Name([]))
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)]),
                critical=True,
            )
            .sign(key, hashes.SHA256())
        )
        with contextlib.closing(self.plane.api()) as api:
            path = f"/api/v1/namespaces/default/serviceaccounts/{account}"
            if not api.exists(path):
                api.request("POST", path.rpartition("/")[0], {"metadata": {"name": account}})
            token = api.request(
                "POST",
                f"{path}/token",
                {
                    "apiVersion": "authentication.k8s.io/v1",
                    "kind": "TokenRequest",
                    "spec": {"audiences": [AUDIENCE], "expirationSeconds": 600},
                },
            )["status"]["token"]
            roots = next(iter(handed_out(api).values()))
        chain = self._create_certificate(
            request.public_bytes(serialization.Encoding.PEM).decode(), token, roots
        )
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return chain, pem.decode()

    def _create_certificate(self, csr: str, token: str, roots: str) -> str:
        asked, answered = _messages()
        channel = grpc.secure_channel(
            f"{ports.LOOPBACK}:{self._port}",
            grpc.ssl_channel_credentials(root_certificates=roots.encode()),
            options=[("grpc.ssl_target_name_override", _NAME)],
        )
        with channel:
            call = channel.unary_unary(
                _METHOD,
                request_serializer=asked.SerializeToString,
                response_deserializer=answered.FromString,
            )
            metadata = [("authorization", f"Bearer {token}"), ("clusterid", self.plane.name)]
            answer = call(asked(csr=csr), metadata=metadata, timeout=20)
        return "".join(answer.cert_chain)


def _running(api: Api) -> str | None:
    pods = api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3Distiod")
    for pod in pods["items"]:
        if pod["status"].get("phase") == "Running":
            return str(pod["metadata"]["uid"])
    return None


def _messages() -> tuple[Any, Any]:
    """The two messages of istio.v1.auth (istio.io/api, security/v1alpha1/ca.proto)."""
    file = descriptor_pb2.FileDescriptorProto(
        name="ca.proto", package="istio.v1.auth", syntax="proto3"
    )
    text = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
    one, many = (
        descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL,
        descriptor_pb2.FieldDescriptorProto.LABEL_REPEATED,
    )
    asked = file.message_type.add(name="IstioCertificateRequest")
    asked.field.add(name="csr", number=1, type=text, label=one)
    answered = file.message_type.add(name="IstioCertificateResponse")
    answered.field.add(name="cert_chain", number=1, type=text, label=many)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = (pool.FindMessageTypeByName(f"istio.v1.auth.{each.name}") for each in (asked, answered))
    first, second = (message_factory.GetMessageClass(each) for each in found)
    return first, second


def handed_out(api: Api) -> dict[str, str]:
    """The roots that istiod hands out, by the path of the object that holds them."""
    query = "fieldSelector=metadata.name%3Distio-ca-root-cert"
    found = {
        f"{each['metadata']['namespace']}/{each['metadata']['name']}": each["data"]["root-cert.pem"]
        for each in api.request("GET", f"/api/v1/configmaps?{query}")["items"]
    }
    if api.exists(_CLUSTER_BUNDLE):
        found["ClusterTrustBundle"] = api.request("GET", _CLUSTER_BUNDLE)["spec"]["trustBundle"]
    return found


def verified(chain: str, roots: str) -> bool:
    """Whether openssl takes a workload's chain as a client's, whatever its dates are.

    Chains of before are judged by whom they chain to.
    """
    return not openssl_complaint(chain, roots, "-no_check_time", "-purpose", "sslclient")


def wait_until_taken(api: Api, number: int, *, seconds: float = 60) -> None:
    """Wait until it hands out as many roots everywhere."""
    end = time.monotonic() + seconds
    while True:
        found = handed_out(api)
        counts = {pem.count("BEGIN CERTIFICATE") for pem in found.values()}
        if found and counts == {number}:
            return
        assert time.monotonic() < end, f"{sorted(found)}: {counts} roots, not {number}"
        time.sleep(0.2)
