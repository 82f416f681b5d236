"""Certificate signing requests, for an issuing CA whose root is kept offline."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from mtls_pki.pki import names
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.keys import load_private_key, public_key_mistake, signing_arguments
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.pki.profile import ca_key_usage


def certificate_signing_request(
    *,
    key_pem: str,
    common_name: str,
    path_length: int = 0,
    permitted_dns_domains: tuple[str, ...] = (),
) -> str:
    """Return the PEM of a PKCS#10 request for an issuing CA, deterministic like the certificates.

    It asks for what `pki.certificates.issuing_certificate` would state. So ``openssl x509 -req
    -copy_extensions copyall`` can sign it. A signer that uses a profile of its own (``step
    certificate sign --profile intermediate-ca``) ignores what it asks for.

    Args:
        key_pem: the issuing CA's own private key; it stays here.
        common_name: unique, and not the root's.
        path_length: how many CAs may follow below it in a row.
        permitted_dns_domains: DNS domains it may issue for; empty is no constraint.

    Raises:
        PkiError: an argument cannot be used.
    """
    if path_length < 0:
        raise PkiError(f"path length {path_length} is negative; write 0 or more")
    key = load_private_key(key_pem, origin="the issuing CA's key")
    builder = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(names.subject(common_name))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(ca_key_usage(), critical=True)
    )
    domains = names.permitted_domains(permitted_dns_domains)
    if domains:
        constraints = x509.NameConstraints([x509.DNSName(domain) for domain in domains], None)
        builder = builder.add_extension(constraints, critical=True)
    request = builder.sign(key, **signing_arguments(key))
    return request.public_bytes(serialization.Encoding.PEM).decode()


def check_answer(certificate_pem: str, *, request_pem: str) -> str:
    """Return the certificate that answers a request, if it certifies the key that made it.

    Args:
        certificate_pem: what the signer gave back, exactly one certificate.
        request_pem: what was given to the signer.

    Raises:
        PkiError: one of them cannot be read, or they have different keys.
    """
    request = parse_request(request_pem, origin="the issuing CA's signing request")
    certificate = parse_certificate(certificate_pem, origin="the signed issuing CA")
    if certificate.public_key() != request.public_key():
        raise PkiError(
            f"the signed issuing CA ({certificate.subject.rfc4514_string()}) does not certify the "
            "key of this stack's signing request; have the request that the stack exports "
            "(`pulumi stack output certificateSigningRequests`) signed, and give what comes back"
        )
    return certificate_pem


def parse_request(pem: str, *, origin: str) -> x509.CertificateSigningRequest:
    """Return the request in ``pem``, whose signature proves that its maker holds the key.

    Args:
        pem: one ``CERTIFICATE REQUEST`` block.
        origin: where the text comes from, to begin the error message with.

    Raises:
        PkiError: it is not a request, its signature does not verify, or its key is too weak.
    """
    request = None
    verifies = False
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        verifies = request.is_signature_valid
    except ValueError:
        pass
    if request is None:
        raise PkiError(f"{origin}: is no PEM CERTIFICATE REQUEST; give one")
    if not verifies:
        raise PkiError(f"{origin}: the signature does not verify; make the request again")
    weakness = public_key_mistake(request.public_key())
    if weakness:
        raise PkiError(f"{origin}: its key {weakness}")
    return request
