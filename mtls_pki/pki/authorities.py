"""Checks of CA certificates that were made elsewhere; every mistake becomes a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from mtls_pki.pki.ca_facts import KNOWN_TO_MOST, CaFacts, strange_extensions
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.keys import SigningKey, belongs_to, load_private_key, public_key_mistake
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.pki.profile import authority_key_id, extension, path_length_of, subject_key_id
from mtls_pki.pki.signatures import check_signature

_SERVER_AND_CLIENT = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def check_root(pem: str) -> tuple[str, ...]:
    """Return every mistake in a trust anchor made elsewhere; none if it can be used.

    It must be exactly one certificate: self-signed, a critical CA:TRUE, keyCertSign, a subject key
    id, and a key of acceptable kind and size. Its dates are not looked at: there is no clock here.
    """
    try:
        root = parse_certificate(pem, origin="the trust anchor")
    except PkiError as error:
        return (str(error),)
    return tuple(_root_mistakes(root))


def verify_issuing_ca(issuing_pem: str, key_pem: str | None, root_pem: str) -> tuple[str, ...]:
    """Return every mistake in an issuing CA made elsewhere; none if it can be used.

    Args:
        issuing_pem: its certificate, exactly one.
        key_pem: its private key; None where it is not available, and so is not checked.
        root_pem: the trust anchor that signed it, exactly one.

    Before it says Ready, cert-manager does not check that key and certificate match, nor the path
    length, nor the anchor's signature. Verifiers do, at the first handshake.
    """
    mistakes: list[str] = []
    issuing = _parsed(issuing_pem, "the issuing CA", mistakes)
    root = _parsed(root_pem, "the trust anchor", mistakes)
    key: SigningKey | None = None
    try:
        if key_pem is not None:
            key = load_private_key(key_pem, origin="the issuing CA's key")
    except PkiError as error:
        mistakes.append(str(error))
    if issuing and key and not belongs_to(key, issuing):
        mistakes.append(
            "the private key does not belong to the issuing CA's certificate; give the key that "
            "its signing request was made with"
        )
    if issuing and root:
        if issuing.subject == root.subject and issuing.public_key() == root.public_key():
            return (*mistakes, "the issuing CA is the trust anchor itself; give the CA below it")
        mistakes += _ca_mistakes(issuing, "the issuing CA")
        mistakes += _place_mistakes(issuing, root)
    return tuple(mistakes)


def _parsed(pem: str, origin: str, mistakes: list[str]) -> x509.Certificate | None:
    try:
        return parse_certificate(pem, origin=origin)
    except PkiError as error:
        mistakes.append(str(error))
        return None


def _root_mistakes(root: x509.Certificate) -> Iterator[str]:
    own = check_signature(root, root)
    if not own.name:
        yield (
            f"the trust anchor is not self-signed but issued by {root.issuer.rfc4514_string()}; "
            "give the root at the top of its chain"
        )
    elif not own.signature:
        yield "the trust anchor's signature is not by its own key; give the self-signed root"
    elif not own.key_id:
        yield "the trust anchor's authority key id is not its own subject key id; make it again"
    yield from _ca_mistakes(root, "the trust anchor")


def _ca_mistakes(certificate: x509.Certificate, what: str) -> Iterator[str]:
    """Yield why strict verifiers would not accept the certificate as a CA (RFC 5280, 4.2.1)."""
    constraints = extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.value.ca:
        yield f"{what} is no CA; its basic constraints must say CA:TRUE"
    elif not constraints.critical:
        yield f"{what}'s basic constraints are not critical; RFC 5280 4.2.1.9 demands it of a CA"
    usage = extension(certificate, x509.KeyUsage)
    if usage is None or not usage.value.key_cert_sign:
        yield f"{what} may not sign certificates; its key usage must have keyCertSign"
    purposes = extension(certificate, x509.ExtendedKeyUsage)
    # OpenSSL does not take anyExtendedKeyUsage for the two (check_purpose_ssl_server).
    if purposes and not set(purposes.value) >= _SERVER_AND_CLIENT:
        yield (
            f"{what} has an extended key usage without server and client authentication, which "
            "binds every leaf below it; make it without extended key usage"
        )
    strange = [oid for oid in strange_extensions(certificate) if oid not in KNOWN_TO_MOST]
    if strange:
        yield (
            f"{what} has a critical extension for which verifiers refuse it: {', '.join(strange)}; "
            "make it without that, or not critical"
        )
    if certificate.serial_number <= 0:
        yield (
            f"{what}'s serial number is {certificate.serial_number}; RFC 5280 4.1.2.2 demands a "
            "positive one, and Go refuses to read others: make it again"
        )
    if not list(certificate.subject):
        yield f"{what} has an empty subject, which RFC 5280 4.1.2.6 forbids a CA; give it a name"
    if subject_key_id(certificate) is None:
        yield f"{what} has no subject key id, so nothing below it can name it; make it with one"
    weakness = public_key_mistake(certificate.public_key())
    if weakness:
        yield f"{what}'s key {weakness}"


# `step ca init` gives both the same lifetime, and signs the issuing CA a moment after the root
# (smallstep/cli, ca init). What ends first counts wherever an end is compared.
_MADE_TOGETHER = timedelta(minutes=5)


def _place_mistakes(issuing: x509.Certificate, root: x509.Certificate) -> Iterator[str]:
    """Yield each reason why the issuing CA does not verify under the root."""
    yield from _signer_mistakes(issuing, root)
    if issuing.subject == root.subject:
        yield "the issuing CA has the trust anchor's name; give it one of its own"
    if issuing.public_key() == root.public_key():
        yield "the issuing CA has the trust anchor's key; give it a key of its own"
    # It may have begun before a root that was renewed with the same key.
    if issuing.not_valid_after_utc <= root.not_valid_before_utc:
        yield (
            f"the issuing CA ends {issuing.not_valid_after_utc.isoformat()}, before the trust "
            f"anchor begins ({root.not_valid_before_utc.isoformat()}); have another one signed"
        )
    if issuing.not_valid_after_utc > root.not_valid_after_utc + _MADE_TOGETHER:
        yield (
            f"the issuing CA ends {issuing.not_valid_after_utc.isoformat()}, after the trust "
            f"anchor ({root.not_valid_after_utc.isoformat()}); have it signed with an earlier end"
        )
    room, wanted = path_length_of(root), path_length_of(issuing)
    if room == 0:
        yield "the trust anchor's path length 0 allows no CA below it; issue directly under it"
    elif room is not None and wanted is not None and wanted >= room:
        yield (
            f"the issuing CA's path length {wanted} does not fit below the trust anchor's {room}; "
            f"have it signed with {room - 1} or less"
        )


def _signer_mistakes(issuing: x509.Certificate, root: x509.Certificate) -> Iterator[str]:
    check = check_signature(issuing, root)
    if not check.name:
        yield (
            f"the issuing CA was issued by {issuing.issuer.rfc4514_string()}, but the trust anchor "
            f"is {root.subject.rfc4514_string()}; give the anchor that signed it"
        )
    if isinstance(issuing.signature_hash_algorithm, hashes.MD5 | hashes.SHA1):
        yield "the issuing CA is signed with MD5 or SHA-1; have it signed with SHA-256 or better"
    elif not check.signature:
        yield "the issuing CA's signature is not by the trust anchor's key; give the right anchor"
    if authority_key_id(issuing) is None:
        yield "the issuing CA has no authority key id; have it signed with one"
    elif authority_key_id(issuing) != subject_key_id(root):
        yield "the issuing CA's authority key id is not the trust anchor's subject key id"
    else:
        yield from _other_certificate_of_the_signer(issuing, root)


def _other_certificate_of_the_signer(
    issuing: x509.Certificate, root: x509.Certificate
) -> Iterator[str]:
    """Yield where the issuing CA names one certificate of its signer, and the root is another.

    OpenSSL refuses that (``X509_check_akid``), Go does not look at it.
    """
    named, held = CaFacts.of(issuing).authority_key, CaFacts.of(root)
    if named.serial not in (None, held.serial):
        yield (
            f"the issuing CA names its signer's certificate by serial number {named.serial:x}, but "
            f"the trust anchor's is {root.serial_number:x}, as after a renewal; have the issuing "
            "CA signed again without a serial number in its authority key id (OpenSSL: "
            "authorityKeyIdentifier = keyid), or bring the root with the number that it names"
        )
    elif named.issuer not in (None, held.issuer):
        yield (
            f"the issuing CA says that its signer was issued by {named.issuer.text}, but the trust "
            f"anchor was issued by {held.issuer.text}; have the issuing CA signed again with "
            "authorityKeyIdentifier = keyid"
        )
