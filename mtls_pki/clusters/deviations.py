"""Whether leaves are what their requests asked for.

A Vault decides by its role and not by the request: it cuts lifetimes and leaves out usages, and an
OpenBao drops parameters that it does not know. cert-manager accepts whatever certificate it gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from mtls_pki.clusters.recorded import decode_pem
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.pki.profile import extension, is_ca
from mtls_pki.pki.requests import parse_request
from mtls_pki.rotation.durations import DurationError, format_duration, parse_duration
from mtls_pki.rotation.evidence import Evidence

# A signer lets leaves begin a little before its own time, and rounds.
_TOLERANCE = timedelta(minutes=1)
# Errors for a request that the API server accepted and this program cannot read.
_UNREADABLE = (
    PkiError,
    DurationError,
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_IGNORED = "the server ignores what cert-manager asks it for"
_USAGES = {
    "server auth": x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH,
}


def leaves_unlike_asked(evidence: Evidence) -> tuple[str, ...]:
    """Return one sentence for each difference between a live leaf and what was asked for."""
    return tuple(
        f"cluster {leaf.cluster}: {leaf.kind} {leaf.namespace}/{leaf.name}: {what}"
        for leaf in evidence.leaves
        for what in leaf.unlike
    )


def differences(request: Mapping[str, Any], *, remedy_for_short: str) -> Iterator[str]:
    """Yield how the leaf in an answered CertificateRequest differs from what it asks for.

    Args:
        request: the object, with its status.
        remedy_for_short: what to do where the leaf lives shorter.
    """
    spec = request["spec"]
    try:
        leaf = parse_certificates(decode_pem(request["status"]["certificate"]), origin="leaf")[0]
        asked = parse_request(decode_pem(spec["request"]), origin="request")
        wanted, held = (_alternative_names(each.extensions) for each in (asked, leaf))
        duration = parse_duration(spec["duration"]) if spec.get("duration") else None
    except _UNREADABLE as error:
        yield f"cannot be compared with what was asked for ({error})"
        return
    yield from _names(wanted, held)
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if duration is not None and abs(lifetime - duration) > _TOLERANCE:
        yield (
            f"asked for {format_duration(duration)}, and got {format_duration(lifetime)}; "
            + (remedy_for_short if lifetime < duration else _IGNORED)
        )
    if is_ca(leaf) and not spec.get("isCA"):
        yield f"asked for a leaf, and got a CA; {_IGNORED}"
    purposes = extension(leaf, x509.ExtendedKeyUsage)
    granted = set(purposes.value) if purposes else set()
    usages = {usage for usage in spec.get("usages") or () if usage in _USAGES}
    for usage in sorted(each for each in usages if _USAGES[each] not in granted):
        yield f"asked for {usage}, and got a leaf without; the sign role does not grant it"


def _names(wanted: frozenset[x509.GeneralName], held: frozenset[x509.GeneralName]) -> Iterator[str]:
    if missing := sorted(str(name.value) for name in wanted - held):
        yield f"asked for {', '.join(missing)}, and got a leaf without; the sign role dropped it"
    if added := sorted(str(name.value) for name in held - wanted):
        yield f"did not ask for {', '.join(added)}, and got a leaf with it; {_IGNORED}"


def _alternative_names(extensions: x509.Extensions) -> frozenset[x509.GeneralName]:
    try:
        return frozenset(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return frozenset()
