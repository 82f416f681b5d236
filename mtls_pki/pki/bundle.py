"""The trust bundle: the anchors that verifiers trust, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import der_sha256
from mtls_pki.pki.parsing import parse_certificate, parse_certificates, pem_of
from mtls_pki.pki.profile import is_ca
from mtls_pki.pki.signatures import is_self_signed


def render_bundle(roots: Iterable[str]) -> str:
    """Return the PEM bundle of ``roots``: no duplicates, ordered by the SHA-256 of their DER.

    That is trust-manager's own order, and it does not depend on the order of the configuration, so
    a bundle changes only when its members do.

    Args:
        roots: the PEM of one self-signed CA each.

    Raises:
        PkiError: there are no roots, or one of them is not a root; an intermediate in a trust
            bundle would stay trusted after its root is removed.
    """
    members = {
        _root(pem, origin=f"root {number} of the trust bundle")
        for number, pem in enumerate(roots, start=1)
    }
    if not members:
        raise PkiError(
            "the trust bundle would be empty, and every verifier would refuse every peer; "
            "keep at least one anchor in it"
        )
    return pem_of(_ordered(members))


def append_bundle(roots: Iterable[str]) -> str:
    """Return the PEM of ``roots``, the oldest first: a new one is appended and moves no other.

    For a reader that compares two bundles as texts: Istio below 1.30 takes a change only where the
    one contains the other (istio, pilot/pkg/bootstrap/istio_ca.go).

    Args:
        roots: the PEM of one self-signed CA each.

    Raises:
        PkiError: as `render_bundle`.
    """
    members = bundle_members(render_bundle(roots), origin="the trust bundle")
    by_age = sorted(members, key=lambda each: (each.not_valid_before_utc, der_sha256(each)))
    return pem_of(by_age)


def bundle_members(pem: str, *, origin: str) -> tuple[x509.Certificate, ...]:
    """Return what a live bundle holds, without duplicates, in the order of `render_bundle`.

    All its certificates are returned, roots or not, because verifiers trust all of them.

    Raises:
        PkiError: as `mtls_pki.pki.parsing.parse_certificates`.
    """
    return _ordered(set(parse_certificates(pem, origin=origin)))


def _root(pem: str, *, origin: str) -> x509.Certificate:
    certificate = parse_certificate(pem, origin=origin)
    if not is_ca(certificate) or not is_self_signed(certificate):
        raise PkiError(
            f"{origin}: {certificate.subject.rfc4514_string()} is no self-signed CA; "
            "give roots only"
        )
    return certificate


def _ordered(members: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    return tuple(sorted(members, key=der_sha256))
