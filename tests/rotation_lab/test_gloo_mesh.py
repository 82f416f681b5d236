"""A mesh whose CA Gloo makes below the anchor, through a rotation: a real istiod.

Gloo's own server is not public. What it does is taken from the public source of its first release
(gloo-mesh, pkg/certificates): it signs by the first certificate of ``root-cert.pem`` and hands the
whole text on.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.consumers.istio.section import IstioSettings
from mtls_pki.consumers.istio.values import values
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.settings.model import Settings
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.chains import openssl_complaint
from tests.integration.support.readers import shipped_reader
from tests.rotation_lab import istiod
from tests.rotation_lab.domain import HOLD_DOWN_SECONDS, Domain
from tests.rotation_lab.istiod import Istiod

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-gloo-mesh"),
    pytest.mark.timeout(900),
]

NAME = "gloomesh"
NAMESPACE = "gloo-of-mesh"
# One cluster is both, as Gloo allows.
WORKLOAD = MANAGEMENT = NAME
TTL_SECONDS = 20
CACERTS = f"/api/v1/namespaces/{istiod.NAMESPACE}/secrets/cacerts"


@pytest.fixture(scope="module")
def plane(lab: Lab) -> Iterator[ControlPlane]:
    """One of its own: an istiod writes into every namespace of its cluster."""
    with lab.during(NAME, with_=("node",)) as plane:
        yield plane


@pytest.fixture(scope="module")
def domain(make_stack: MakeStack, plane: ControlPlane) -> Domain:
    gloo = {
        "management": MANAGEMENT,
        "workloads": [WORKLOAD],
        "namespace": NAMESPACE,
        "release": "v1",
        "meshRoot": {"workloadCertTtl": f"{TTL_SECONDS}s"},
    }
    domain = Domain(
        NAME,
        make_stack(NAME),
        (plane,),
        trust={
            "name": f"{NAME}-trust",
            "namespaces": [NAME, NAMESPACE, istiod.NAMESPACE],
            "createNamespaces": True,
            "holdDown": f"{HOLD_DOWN_SECONDS}s",
        },
        consumers={"gloo": gloo},
    )
    domain.anchors["g1"]["pathLength"] = 2
    domain.apply()
    return domain


@pytest.fixture(scope="module")
def mesh(domain: Domain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Istiod]:
    gloo_signs(domain)
    own = values(
        IstioSettings(workloadCertTtl=f"{TTL_SECONDS}s"),
        trust_domain=domain.values["trustDomain"],
        cluster=WORKLOAD,
    )
    plane = domain.planes[WORKLOAD]
    istiod.prepare(plane, own)
    process = Istiod(plane, tmp_path_factory.mktemp(NAME), own["pilot"]["env"], own["meshConfig"])
    with process:
        taken(domain, 2)
        yield process


def gloo_signs(domain: Domain) -> None:
    """Make the CA of the mesh anew, as Gloo's server and its agent do together."""
    with domain.api(MANAGEMENT) as api:
        data = api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/secrets/mesh-root")["data"]
    roots, key_pem = (base64.b64decode(data[name]) for name in ("root-cert.pem", "key.pem"))
    signing = x509.load_pem_x509_certificates(roots)[0]
    signing_key = serialization.load_pem_private_key(key_pem, password=None)
    assert isinstance(signing_key, ec.EllipticCurvePrivateKey)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name.from_rfc4514_string("O=gloo-mesh"))
        .issuer_name(signing.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=2))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=False,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(signing_key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    own_key = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    files = {
        "ca-cert.pem": signed,
        "ca-key.pem": own_key,
        "cert-chain.pem": signed + roots,
        "root-cert.pem": roots,
        "key.pem": b"",
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "cacerts", "namespace": istiod.NAMESPACE},
        "data": {name: base64.b64encode(value).decode() for name, value in files.items()},
    }
    with domain.api(WORKLOAD) as api:
        api.apply_text(CACERTS, json.dumps(secret))


def roots_of(api: Api) -> str:
    """What istiod hands out."""
    return next(iter(istiod.handed_out(api).values()))


def taken(domain: Domain, number: int) -> None:
    with domain.api(WORKLOAD) as api:
        istiod.wait_until_taken(api, number, seconds=120)


def first_root(domain: Domain) -> str:
    with domain.api(WORKLOAD) as api:
        return parse_certificates(roots_of(api), origin="roots")[0].subject.rfc4514_string()


def require_verified(domain: Domain, chain: str) -> None:
    """Assert that a workload is known in the mesh, and outside of it by the anchors alone."""
    with domain.api(WORKLOAD) as api:
        assert istiod.verified(chain, roots_of(api))
    assert istiod.verified(chain, domain.bundle())


def require_read_with_the_shipped_rights(domain: Domain, directory: Path) -> None:
    """Assert that whoever has what deploy/ ships sees the mesh, and reads no Secret for it."""
    with domain.edited():
        for name, plane in domain.planes.items():
            reader = shipped_reader(
                plane,
                directory / name,
                *("gloo", "istio"),
                bundle=domain.bundle_name,
                namespaces={"gloo-mesh": NAMESPACE},
            )
            domain.values["clusters"][name] = {"kubeconfig": str(reader)}
        settings = domain.settings()
        evidence = cluster.wait_for(lambda: readable(settings), "rights")
    (leaf,) = (each for each in evidence.leaves if each.kind == "workload certificates")
    assert leaf.problem is None
    places = {each.place.name for each in evidence.bundles}
    assert {"relay-certificates", "istio-ca-root-cert"} <= places


def readable(settings: Settings) -> Evidence | None:
    evidence = collect_evidence(settings, sources=sources_of(settings))
    return None if evidence.unreachable else evidence


def test_a_rotation_of_a_mesh_whose_ca_gloo_makes(
    domain: Domain, mesh: Istiod, tmp_path: Path
) -> None:
    trust_domain = domain.values["trustDomain"]
    before, _ = mesh.sign("web", trust_domain)
    require_verified(domain, before)
    require_read_with_the_shipped_rights(domain, tmp_path)

    domain.add("g2")
    domain.anchors["g2"]["pathLength"] = 2
    domain.apply()
    domain.hold_down()
    with domain.edited():
        domain.promote()
        said = domain.refused(
            domain.preview(), "ConfigMap istio-ca-root-cert[root-cert.pem]: does not hold g2"
        )
    assert "delete the Secret cacerts" in said
    gloo_signs(domain)
    taken(domain, 3)
    require_verified(domain, before)
    domain.hold_down()

    domain.promote()
    domain.apply()
    domain.hold_down()
    with domain.edited():
        domain.retire()
        said = domain.refused(domain.preview(), "workload certificates istiod: chains to g1")
    assert "Gloo signs anew" in said
    gloo_signs(domain)
    taken(domain, 4)
    assert first_root(domain).startswith("CN=mesh-g2-m1.")
    after, _ = mesh.sign("web", trust_domain)
    require_verified(domain, before)
    require_verified(domain, after)

    domain.retire()
    cluster.wait_for(
        lambda: domain.preview().status == 0,
        "end of the last certificate under g1",
        seconds=HOLD_DOWN_SECONDS + TTL_SECONDS + 90,
    )
    domain.apply()
    gloo_signs(domain)
    taken(domain, 2)
    require_verified(domain, after)
    # A negative control: what was signed under g1 is refused now, in the mesh and outside of it.
    with domain.api(WORKLOAD) as api:
        assert not istiod.verified(before, roots_of(api))
    assert openssl_complaint(before, domain.bundle(), "-no_check_time")
