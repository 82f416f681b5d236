"""The rule on names: a name of a CA means one key, and so does a name of a generation."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.pki.profile import is_ca
from policy.anchors import TRUST_ANCHOR
from policy.model import Finding, Parameters, Resource, Stack
from policy.objects import SECRET, ca_chain


def repeated_names(stack: Stack, _parameters: Parameters) -> Iterator[Finding]:
    """Find subjects that belong to two keys, and anchors that share a name or a key."""
    holders: dict[str, dict[str, Resource]] = {}
    for holder, certificate in _authorities(stack):
        subject = certificate.subject.rfc4514_string()
        holders.setdefault(subject, {}).setdefault(spki_sha256(certificate), holder)
    for subject, by_key in holders.items():
        if len(by_key) > 1:
            yield _shared(list(by_key.values()), f"{subject} is the subject of {len(by_key)} keys")
    anchors = list(stack.of(TRUST_ANCHOR))
    for what, values in (
        ("generation", [anchor.name for anchor in anchors]),
        ("key", [anchor.text("fingerprint") for anchor in anchors]),
    ):
        for value in sorted({v for v in values if v and values.count(v) > 1}):
            same = [anchor for anchor, own in zip(anchors, values, strict=True) if own == value]
            yield _shared(same, f"{len(same)} anchors have the same {what} {value}")


def _authorities(stack: Stack) -> Iterator[tuple[Resource, x509.Certificate]]:
    """Yield each CA certificate of an anchor or a CA Secret, with the resource that holds it."""
    for anchor in stack.of(TRUST_ANCHOR):
        pem = anchor.text("certificatePem")
        if pem is not None:
            try:
                yield anchor, parse_certificates(pem, origin=anchor.label)[0]
            except PkiError:
                # The component itself refuses such a certificate when the program runs.
                continue
    for secret in stack.of(SECRET):
        for certificate in ca_chain(secret):
            if is_ca(certificate):
                yield secret, certificate


def _shared(resources: list[Resource], problem: str) -> Finding:
    return Finding(
        place=" and ".join(r.label for r in resources), problem=problem, urn=resources[-1].urn
    )
