"""Every kind of resource that a stack has in a Vault, shaped by the file ``wanted.json``.

Run by ``test_vault_policy.py``, which reads in the audit log what each change asks the server for.
``wanted.json`` holds ``issuers`` (names of issuing CAs) and ``revision`` (text that is part of
every resource that can be changed, so that another revision changes them all).
"""

from __future__ import annotations

import json
from pathlib import Path

import pulumi
import pulumi_vault as vault
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pulumi_vault import kubernetes, pkisecret

MOUNT, AUTH = "pki-mesh", "kubernetes-dev"
wanted = json.loads(Path("wanted.json").read_text(encoding="utf-8"))
issuers, revision = wanted["issuers"], wanted["revision"]
anchor_pem = Path("anchor.pem").read_text(encoding="utf-8")
anchor = x509.load_pem_x509_certificate(anchor_pem.encode())
key = serialization.load_pem_private_key(Path("anchor.key").read_bytes(), password=None)
assert isinstance(key, ec.EllipticCurvePrivateKey)

_CA_USAGE = x509.KeyUsage(
    digital_signature=False,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def certify(request_pem: str) -> str:
    """The certificate of an issuing CA; the same request gives the same bytes."""
    request = x509.load_pem_x509_csr(request_pem.encode())
    public = request.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(anchor.subject)
        .public_key(public)
        .serial_number(public.public_numbers().x >> 100)
        .not_valid_before(anchor.not_valid_before_utc)
        .not_valid_after(anchor.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_CA_USAGE, critical=True)
        .sign(key, hashes.SHA256(), ecdsa_deterministic=True)
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


provider = vault.Provider("vault", vault_version_override="1.18.5", skip_child_token=True)


def options(*needed: pulumi.Resource) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions(provider=provider, depends_on=list(needed))


mount = vault.Mount("mount", path=MOUNT, type="pki", description=revision, opts=options())
method = vault.AuthBackend(
    "method", type="kubernetes", path=AUTH, description=revision, opts=options()
)
config = kubernetes.AuthBackendConfig(
    "config",
    backend=AUTH,
    kubernetes_host=f"https://{revision}.example.com",
    kubernetes_ca_cert=anchor_pem,
    disable_local_ca_jwt=True,
    opts=options(method),
)
for name in issuers:
    request = pkisecret.SecretBackendIntermediateCertRequest(
        f"{name}-request",
        backend=MOUNT,
        type="internal",
        common_name=f"{name}.example.com",
        key_type="ec",
        key_bits=256,
        opts=options(mount),
    )
    imported = pkisecret.SecretBackendIntermediateSetSigned(
        f"{name}-certificate",
        backend=MOUNT,
        certificate=request.csr.apply(certify),
        opts=options(),
    )
    issuer = pkisecret.SecretBackendIssuer(
        name,
        backend=MOUNT,
        issuer_ref=imported.imported_issuers[0],
        issuer_name=name,
        issuing_certificates=[f"https://{revision}.example.com/{name}"],
        opts=options(),
    )
    role = pkisecret.SecretBackendRole(
        f"{name}-role",
        backend=MOUNT,
        name=f"{MOUNT}-{name}",
        issuer_ref=issuer.issuer_id,
        allowed_domains=[f"{revision}.example.com"],
        key_type="ec",
        key_bits=256,
        opts=options(),
    )
    policy = vault.Policy(
        f"{name}-policy",
        name=f"{MOUNT}-{name}",
        policy=f'# {revision}\npath "{MOUNT}/sign/{MOUNT}-{name}" {{ capabilities = ["update"] }}',
        opts=options(),
    )
    kubernetes.AuthBackendRole(
        f"{name}-login",
        backend=AUTH,
        role_name=name,
        bound_service_account_names=[name],
        bound_service_account_namespaces=["cert-manager"],
        audience=f"vault://{revision}",
        token_policies=[policy.name],
        opts=options(config, role),
    )
    if name == issuers[-1]:
        pkisecret.SecretBackendConfigIssuers(
            "default", backend=MOUNT, default=issuer.issuer_id, opts=options()
        )
