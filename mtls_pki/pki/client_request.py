"""Signing requests for client certificates of a Kubernetes API server.

The API server takes the user's name from the CN and its groups from each O of the subject
(Kubernetes, "Authenticating", X.509 client certificates). Whatever else a request asks for is left
out by the signer ``kubernetes.io/kube-apiserver-client``.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import public_key_sha256
from mtls_pki.pki.keys import load_private_key, signing_arguments
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.pki.requests import parse_request

# Users and groups of Kubernetes itself begin so; a person or a machine is none of them.
_RESERVED = "system:"
_NAME_PREFIX = "mtls-pki-"
_NAME_DIGITS = 32


@dataclass(frozen=True, kw_only=True)
class ClientRequest:
    """One request.

    Attributes:
        user: the name that the API server will know.
        groups: that the user is in, in the order of the request.
        key: SHA-256 of the SubjectPublicKeyInfo, hex.
        pem: the request.
    """

    user: str
    groups: tuple[str, ...]
    key: str
    pem: str

    @property
    def name(self) -> str:
        """The name of its object: one for each key, so asking twice is asking once."""
        return f"{_NAME_PREFIX}{self.key[:_NAME_DIGITS]}"


def client_request(pem: str, *, origin: str) -> ClientRequest:
    """Return what a request asks for.

    Args:
        pem: one ``CERTIFICATE REQUEST`` block.
        origin: where it comes from, to begin the error message with.

    Raises:
        PkiError: it cannot be read, is not signed by its key, or asks for what nobody is given.
    """
    request = parse_request(pem, origin=origin)
    user, groups, others = _names(request.subject)
    if others:
        raise PkiError(
            f"{origin}: its subject has {', '.join(others)}; write one CN (the user) and an O for "
            "each group, and nothing else"
        )
    if len(user) != 1 or not user[0].strip():
        raise PkiError(f"{origin}: its subject has {len(user)} CN; write one, the user's name")
    reserved = [each for each in (*user, *groups) if each.startswith(_RESERVED)]
    if reserved:
        raise PkiError(
            f"{origin}: {', '.join(reserved)}: names that begin with {_RESERVED} are those of "
            "Kubernetes itself (system:masters may do everything, whatever RBAC says); use a group "
            "of your own and bind it to a ClusterRole"
        )
    return ClientRequest(
        user=user[0], groups=tuple(groups), key=public_key_sha256(request.public_key()), pem=pem
    )


def make_client_request(*, key_pem: str, user: str, groups: tuple[str, ...]) -> str:
    """Return the request of a key that is held here, PEM; the same arguments give the same bytes.

    Raises:
        PkiError: the key cannot be used.
    """
    key = load_private_key(key_pem, origin="the client's key")
    names = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    names += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    request = builder.sign(key, **signing_arguments(key))
    return request.public_bytes(serialization.Encoding.PEM).decode()


def client_certificate(pem: str, *, key: str, origin: str) -> x509.Certificate:
    """Return the certificate that answers a request, which comes first in ``pem``.

    Args:
        pem: what the signer gave.
        key: SHA-256 of the SubjectPublicKeyInfo that it must certify, hex.
        origin: where it comes from, to begin the error message with.

    Raises:
        PkiError: it cannot be read, or certifies another key.
    """
    certificate = parse_certificates(pem, origin=origin)[0]
    found = public_key_sha256(certificate.public_key())
    if found != key:
        raise PkiError(
            f"{origin}: certifies another key (sha256:{found[:_NAME_DIGITS]}), not sha256:"
            f"{key[:_NAME_DIGITS]}; give the key that the request was made with"
        )
    return certificate


def key_identity(key_pem: str, *, origin: str) -> str:
    """Return the SHA-256 of the SubjectPublicKeyInfo of a private key, hex.

    Raises:
        PkiError: it is no usable key; nothing of it is in the message.
    """
    return public_key_sha256(load_private_key(key_pem, origin=origin).public_key())


def _names(subject: x509.Name) -> tuple[list[str], list[str], list[str]]:
    """Return the values of CN, those of O, and the short names of all else."""
    user, groups, others = [], [], []
    for attribute in subject:
        if attribute.oid == NameOID.COMMON_NAME:
            user.append(str(attribute.value))
        elif attribute.oid == NameOID.ORGANIZATION_NAME:
            groups.append(str(attribute.value))
        else:
            others.append(attribute.rfc4514_attribute_name)
    return user, groups, others
