"""Whether leaves are what their requests asked for.

A Vault decides by its role and not by the request: it cuts lifetimes, leaves usages out, and an
OpenBao drops parameters that it does not know. cert-manager takes what comes back.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from cryptography import x509

from clusters.connection import Cluster, cluster_address
from clusters.evidence_issuers import API, IssuerReference, stack_issuers
from pki.errors import PkiError
from pki.parsing import parse_certificates
from pki.profile import extension
from pki.requests import parse_request
from rotation.durations import DurationError, format_duration, parse_duration
from settings.model import Settings

# A signer begins leaves a little before its own time, and rounds.
_TOLERANCE = timedelta(minutes=1)
_USAGES = {
    "server auth": x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,
    "client auth": x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH,
}


def leaves_unlike_asked(settings: Settings) -> tuple[str, ...]:
    """Return one sentence for each leaf of a Vault's issuers that is not what was asked for.

    Raises:
        ClusterError: a cluster cannot be read.
    """
    issuers = {
        reference
        for reference, generation in stack_issuers(settings).items()
        if settings.backend_of(generation) == "vault"
    }
    found: list[str] = []
    for name in settings.clusters if issuers else ():
        cluster = Cluster(cluster_address(settings, name))

        def of_request(live: Mapping[str, Any], name: str = name) -> list[str]:
            metadata = live["metadata"]
            reference = IssuerReference.of(live["spec"]["issuerRef"], metadata["namespace"])
            if reference not in issuers:
                return []
            place = f"cluster {name}: CertificateRequest {metadata['namespace']}/{metadata['name']}"
            return [f"{place}: {what}" for what in _differences(live)]

        for lines in cluster.list_all(f"{API}/certificaterequests", of_request):
            found += lines
    return tuple(found)


def _differences(request: Mapping[str, Any]) -> Iterator[str]:
    spec, encoded = request["spec"], request.get("status", {}).get("certificate")
    if not encoded:
        return
    try:
        leaf = parse_certificates(_text(encoded), origin="the leaf")[0]
        asked = parse_request(_text(spec["request"]), origin="the request")
        duration = parse_duration(spec["duration"]) if spec.get("duration") else None
    except (PkiError, DurationError, ValueError) as error:
        yield f"cannot be compared ({error})"
        return
    yield from _names(asked, leaf)
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    if duration is not None and lifetime < duration - _TOLERANCE:
        yield (
            f"asked for {format_duration(duration)}, and got {format_duration(lifetime)}; raise "
            "issuing.vault.maxTtl, or ask for less"
        )
    purposes = extension(leaf, x509.ExtendedKeyUsage)
    granted = set(purposes.value) if purposes else set()
    wanted = {usage for usage in spec.get("usages", ()) if usage in _USAGES}
    for usage in sorted(each for each in wanted if _USAGES[each] not in granted):
        yield f"asked for {usage}, and got a leaf without; the sign role does not grant it"


def _names(asked: x509.CertificateSigningRequest, leaf: x509.Certificate) -> Iterator[str]:
    try:
        wanted = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    held = extension(leaf, x509.SubjectAlternativeName)
    missing = [str(name.value) for name in wanted if held is None or name not in held.value]
    if missing:
        yield f"asked for {', '.join(missing)}, and got a leaf without; the sign role dropped it"


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode("ascii")
