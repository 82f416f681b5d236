"""The manifests of the source guides, applied beside a stack as their readers would.

What each does is promised on docs/source-guides.md, word for word.
"""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab import toolchain
from lab.api import Api
from lab.control_plane import ControlPlane
from lab.project_copy import CHECKOUT
from lab.pulumi_cli import Engine
from tests.integration.support import cluster
from tests.integration.support.chains import openssl_complaint
from tests.integration.support.cluster import CERT_MANAGER, is_ready, wait_for
from tests.integration.support.readers import shipped_reader

Planes = Mapping[str, ControlPlane]

_MANIFESTS = CHECKOUT / "tests/integration/guides"
_PAGE = CHECKOUT / "docs/source-guides.md"
_KUBECTL = Path(sys.executable).with_name("kubectl")
_MASTERS = "system:masters"

Document = dict[str, Any]


class Reader:
    """Somebody who follows a guide on one cluster, with kubectl and the guide's manifests."""

    def __init__(self, guide: str, plane: ControlPlane) -> None:
        self.guide = guide
        self.plane = plane

    def manifest(self, name: str) -> list[Document]:
        """The documents of one of the guide's manifests."""
        return list(yaml.safe_load_all((_MANIFESTS / self.guide / f"{name}.yaml").read_text()))

    def kubectl(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """``kubectl ARGUMENTS``, whatever comes of it."""
        return subprocess.run(
            [_KUBECTL, "--kubeconfig", self.plane.kubeconfig, *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def works(self, *documents: Document) -> None:
        """The cluster takes them."""
        done = self._apply(documents)
        assert done.returncode == 0, done.stderr

    def refused(self, promised: str, *documents: Document) -> None:
        """The cluster refuses them with the words that the page promises."""
        done = self._apply(documents)
        assert done.returncode != 0, done.stdout
        assert_promised(promised, done.stderr)

    def _apply(self, documents: tuple[Document, ...]) -> subprocess.CompletedProcess[str]:
        # Server side, so that an object of the stack is refused and not overwritten.
        given = yaml.safe_dump_all(documents)
        return self.kubectl("apply", "--server-side", "-f", "-", given=given)


def assert_promised(promised: str, told: str) -> None:
    """A reader is told what docs/source-guides.md says."""
    assert promised in _on_one_line(told), told
    assert promised in _on_one_line(_PAGE.read_text()), f"not on the page: {promised}"


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


@contextlib.contextmanager
def _reading(guide: str, plane: ControlPlane) -> Iterator[tuple[Reader, Api]]:
    with contextlib.closing(plane.api()) as api:
        yield Reader(guide, plane), api


def monoskope(engine: Engine, planes: Planes, directory: Path) -> None:
    """Trust anchor, issuer, an operator's certificate, and the bundle of a rotation."""
    del engine
    with _reading("monoskope", planes["main"]) as (reader, api):
        anchors = [_step_anchor(directory, name) for name in ("ca", "ca-new")]
        made = ("create", "secret", "tls", "m8-trust-anchor", "-n", "monoskope")
        files = (f"--cert={anchors[0]}.crt", f"--key={anchors[0]}.key")
        again = reader.kubectl(*made, *files)
        assert_promised('secrets "m8-trust-anchor" already exists', again.stderr)
        bundled, issuer, certificate = reader.manifest("bundle-as-issuer")
        bundle = _step_bundle(directory, "ca-new", "ca")
        pair = {"tls.crt": bundle.read_text(), "tls.key": Path(f"{anchors[1]}.key").read_text()}
        reader.works(bundled | {"stringData": pair}, issuer, certificate)
        assert_promised(
            "certificate chain is malformed or broken",
            _failed_request(api, "monoskope", "m8-under-a-bundle"),
        )
        reader.refused(
            'no matches for kind "Certificate" in version "cert-manager.io/v1alpha3"',
            *reader.manifest("operator-v1alpha3"),
        )
        (operator,) = reader.manifest("operator")
        reader.works(operator)
        _assert_issued(api, operator, roots=("monoskope", "m8-trust-bundle"))


def flexstack(engine: Engine, planes: Planes, directory: Path) -> None:
    """An issuer whose kid is a name, Certificates with and without a group, the application."""
    del engine, directory
    with _reading("flexstack", planes["main"]) as (reader, api):
        root = cluster.config_map(api, "flexstack", "flexstack-trust")["ca.crt"]
        (issuer,) = reader.manifest("issuer")
        issuer["spec"]["caBundle"] = base64.b64encode(root.encode()).decode()
        reader.refused('conflicts with "mtls-pki"', issuer)
        (without,) = reader.manifest("certificate-without-group")
        reader.refused("must be one of Issuer or ClusterIssuer", without)
        (certificate,) = reader.manifest("certificate")
        reader.works(certificate)
        _assert_issued(api, certificate, roots=("flexstack", "flexstack-trust"))
        (certificate,) = reader.manifest("certificate")
        certificate["metadata"]["name"] = certificate["spec"]["secretName"] = "mailbox"
        certificate["spec"]["emailAddresses"] = ["my-service@flexstack.local"]
        reader.works(certificate)
        _assert_issued(api, certificate, roots=("flexstack", "flexstack-trust"))
        reader.refused("spec.selector: Required value", *reader.manifest("application"))
        # It is taken, and never comes to an end: the page says what to do in its place.
        reader.works(*reader.manifest("renewal"))
        (by_name,) = (
            each
            for each in api.request("GET", "/apis/certmanager.step.sm/v1beta1/stepclusterissuers")[
                "items"
            ]
            if each["metadata"]["name"] == "step-ca-issuer"
        )
        theirs = issuer | {"metadata": {"name": "step-ca-by-name"}}
        theirs["spec"] = {**by_name["spec"], "provisioner": {**by_name["spec"]["provisioner"]}}
        theirs["spec"]["provisioner"]["kid"] = "admin"
        reader.works(theirs)
        path = "/apis/certmanager.step.sm/v1beta1/stepclusterissuers/step-ca-by-name"
        assert_promised(
            "failed initialize provisioner",
            wait_for(lambda: _not_ready(api.request("GET", path)), "refusal of the issuer"),
        )


def gloo_mesh(engine: Engine, planes: Planes, directory: Path) -> None:
    """Certificates for the relay beside the stack's Secrets, and the objects of Gloo itself."""
    for name, manifest in (("mgmt", "server"), ("cluster1", "client")):
        with _reading("gloo-mesh", planes[name]) as (reader, _):
            reader.works(*reader.manifest(manifest))
    told = _status(engine)
    for words in (
        "mgmt: Certificate gloo-mesh/relay-server-tls writes into the Secret "
        "relay-server-tls-secret, which belongs to this stack",
        "cluster1: Certificate gloo-mesh/relay-client-tls writes into the Secret "
        "relay-client-tls-secret, which belongs to this stack",
    ):
        assert_promised(words, told)
    with _reading("gloo-mesh", planes["mgmt"]) as (reader, _):
        # Gloo's own definitions are not public; these take every field.
        for api, kind, plural in (
            ("networking.mesh.gloo.solo.io/v1", "VirtualMesh", "virtualmeshes"),
            ("admin.gloo.solo.io/v2", "RootTrustPolicy", "roottrustpolicies"),
        ):
            reader.works(_definition(api, kind, plural))
        for name in ("virtual-mesh", "root-trust-policy"):
            wait_for(partial(_taken, reader, reader.manifest(name)), name)
        with _as_shipped_reader(engine, planes, directory):
            told = _status(engine)
        assert "could not be read" not in told
        for kind in ("VirtualMesh gloo-mesh/virtual-mesh", "RootTrustPolicy gloo-mesh/root-trust"):
            assert f"mgmt: {kind}" in told
        assert_promised("lets Gloo write the Secret cacerts in cluster1, cluster2", told)
        missing = reader.kubectl("-n", "gloo-mesh", "get", "secret", "relay-tls-signing-secret")
        assert_promised('secrets "relay-tls-signing-secret" not found', missing.stderr)


def _taken(reader: Reader, documents: list[Document]) -> bool:
    # A new definition is served a moment later.
    return reader.kubectl("apply", "-f", "-", given=yaml.safe_dump_all(documents)).returncode == 0


def _definition(api: str, kind: str, plural: str) -> Document:
    group, version = api.split("/")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [{"name": version, **served}],
        },
    }


@contextlib.contextmanager
def _as_shipped_reader(engine: Engine, planes: Planes, directory: Path) -> Iterator[None]:
    """The stack's clusters are read with the rights that deploy/ ships, and no others."""
    file = engine.project / "Pulumi.prod.yaml"
    before = file.read_text()
    document = yaml.safe_load(before)
    for name, plane in planes.items():
        # The management cluster has no istiod; its rights there are for nothing.
        kubeconfig = shipped_reader(plane, directory / f"reader-{name}", "gloo", "istio")
        document["config"]["mtls-pki:clusters"][name] = {"kubeconfig": str(kubeconfig)}
    file.write_text(yaml.safe_dump(document))
    try:
        yield
    finally:
        file.write_text(before)


def kubernetes_access(engine: Engine, planes: Planes, directory: Path) -> None:
    """Signing requests for the cluster's own CA: refused ones, and a user with rights."""
    with _reading("kubernetes-access", planes["main"]) as (reader, api):
        (request,) = reader.manifest("without-signer")
        reader.refused("spec.signerName: Required value", _asking(request, "new-admin"))
        (request,) = reader.manifest("masters")
        reader.refused(
            "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not "
            "allowed",
            _asking(request, "new-admin", _MASTERS),
        )
        key = directory / "myuser.key"
        (request,) = reader.manifest("user")
        reader.works(_asking(request, "myuser", key_file=key))
        done = reader.kubectl("certificate", "approve", "myuser")
        assert done.returncode == 0, done.stderr
        path = "/apis/certificates.k8s.io/v1/certificatesigningrequests/myuser"
        encoded = wait_for(
            lambda: api.request("GET", path)["status"].get("certificate"), "certificate of myuser"
        )
        certificate = directory / "myuser.crt"
        certificate.write_bytes(base64.b64decode(encoded))
        reader.works(*reader.manifest("rights"))
        as_user = ("--client-certificate", str(certificate), "--client-key", str(key))
        for arguments, allowed in (
            (("get", "pods", "-n", "default"), True),
            (("get", "pods", "-n", "shop"), False),
        ):
            done = reader.kubectl(*arguments, *as_user)
            assert (done.returncode == 0) is allowed, done.stderr
    # Such a certificate is none of the trust domain: the stack neither counts it nor waits for it.
    assert "myuser" not in _status(engine)


GUIDES: Mapping[str, Callable[[Engine, Planes, Path], None]] = {
    "flexstack": flexstack,
    "gloo-mesh": gloo_mesh,
    "kubernetes-access": kubernetes_access,
    "monoskope": monoskope,
}
"""By the name of the example beside whose stack the guide's manifests are applied."""


def _status(engine: Engine) -> str:
    done = run_command(engine, "status", COLUMNS="1000")
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_command(
    engine: Engine, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """``mtls-pki ARGUMENTS`` in an example's project, whatever comes of it."""
    return subprocess.run(
        [sys.executable, "-m", "mtls_pki", *arguments, "--stack", "prod"],
        cwd=engine.project,
        env=engine.environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def _step_anchor(directory: Path, name: str) -> Path:
    """Make a trust anchor with the guide's command; returns the path without its suffix."""
    made = directory / name
    _step(
        "certificate", "create", "root.monoskope.cluster.local", f"{made}.crt", f"{made}.key",
        "--profile", "root-ca", "--no-password", "--insecure", "--not-after=87600h",
    )  # fmt: skip
    return made


def _step_bundle(directory: Path, *names: str) -> Path:
    bundle = directory / "bundle.crt"
    _step("certificate", "bundle", *(str(directory / f"{name}.crt") for name in names), str(bundle))
    return bundle


def _step(*arguments: str) -> None:
    subprocess.run([toolchain.ensure("step")["step"], *arguments], check=True, capture_output=True)


def _failed_request(api: Api, namespace: str, certificate: str) -> str:
    """Why the request of a Certificate failed, in its issuer's words."""
    path = f"{CERT_MANAGER}/namespaces/{namespace}/certificaterequests"

    def find() -> str | None:
        for each in api.request("GET", path)["items"]:
            if each["metadata"]["name"].startswith(certificate) and (told := _not_ready(each)):
                return told
        return None

    return wait_for(find, f"failed request of {certificate}")


def _not_ready(live: Mapping[str, Any]) -> str | None:
    for condition in live.get("status", {}).get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] == "False":
            return str(condition["message"])
    return None


def _assert_issued(api: Api, certificate: Document, *, roots: tuple[str, str]) -> None:
    """The Certificate is Ready, has what was asked for, and verifies under the stack's bundle."""
    namespace, name = certificate["metadata"]["namespace"], certificate["metadata"]["name"]
    wait_for(lambda: is_ready(cluster.certificates(api, namespace)[name]), f"Certificate {name}")
    chain = cluster.secret(api, namespace, certificate["spec"]["secretName"])["tls.crt"]
    bundle = cluster.config_map(api, *roots)["ca.crt"]
    assert not (complaint := openssl_complaint(chain, bundle)), complaint
    leaf = x509.load_pem_x509_certificate(chain.encode())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    asked = certificate["spec"]
    assert names.get_values_for_type(x509.DNSName) == asked["dnsNames"]
    assert names.get_values_for_type(x509.RFC822Name) == asked.get("emailAddresses", [])


def _asking(
    request: Document, user: str, group: str | None = None, *, key_file: Path | None = None
) -> Document:
    """The request with what ``openssl req -new -subj /O=GROUP/CN=USER`` makes."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = ((NameOID.ORGANIZATION_NAME, group), (NameOID.COMMON_NAME, user))
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts if value])
    made = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM)
    if key_file is not None:
        key_file.touch(mode=0o600)
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
    return request | {"spec": {**request["spec"], "request": base64.b64encode(pem).decode()}}
