"""From a leaf to the anchor at the top of its chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryptography import x509

from mtls_pki.pki.authorities import check_root, verify_issuing_ca
from mtls_pki.pki.keys import belongs_to, load_private_key
from mtls_pki.pki.signatures import SignerCheck, check_signature, is_signed_by

__all__ = [
    "SignerCheck",
    "check_root",
    "check_signature",
    "key_matches",
    "signing_anchor",
    "signing_anchors",
    "verify_issuing_ca",
]


def signing_anchor(
    chain: tuple[x509.Certificate, ...], anchors: Iterable[x509.Certificate]
) -> x509.Certificate | None:
    """Return the nearest anchor that ``chain`` leads to, or None.

    Args:
        chain: the leaf, then the other certificates presented with it, in any order.
        anchors: the anchors to look for; if several are equally near, the first one counts.

    The result says who signed, not whether a verifier would accept the chain. Verifiers judge
    dates, path lengths and name constraints. A chain that has expired still leads to its anchor.
    """
    return next(_anchors_reached(chain, tuple(anchors)), None)


def signing_anchors(
    chain: tuple[x509.Certificate, ...], anchors: Iterable[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Return every anchor that ``chain`` leads to, nearest first.

    There is more than one where CAs are cross-signed: such a leaf is trusted as long as one of the
    anchors is.
    """
    return tuple(dict.fromkeys(_anchors_reached(chain, tuple(anchors))))


def key_matches(certificate: x509.Certificate, key_pem: str) -> bool:
    """Tell whether the private key belongs to the certificate.

    Raises:
        PkiError: ``key_pem`` is no private key that can be used.
    """
    return belongs_to(load_private_key(key_pem, origin="the key"), certificate)


def _anchors_reached(
    chain: tuple[x509.Certificate, ...], anchors: tuple[x509.Certificate, ...]
) -> Iterator[x509.Certificate]:
    """Yield anchors breadth first: those that signed the leaf, then those one CA further up."""
    level, unseen = chain[:1], chain[1:]
    while level:
        for certificate in level:
            for anchor in anchors:
                if is_signed_by(certificate, anchor):
                    yield anchor
        # Each presented certificate is visited once, so that a loop of cross-signed CAs ends.
        level = tuple(ca for ca in unseen if any(is_signed_by(below, ca) for below in level))
        unseen = tuple(ca for ca in unseen if ca not in level)
