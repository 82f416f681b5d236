"""A brought chain is refused if and only if OpenSSL, Go or GnuTLS refuses a leaf below it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mtls_pki.pki.certificates import Validity
from tests.chains.verifiers import VERIFIERS
from tests.unit.pki import material
from tests.unit.settings.configuration import told

HOST = "web.app.svc.cluster.local"
# `cryptography` refuses more than the others, and serves no TLS that people run.
JUDGES = ("openssl", "gnutls", "go")


def _names(*permitted: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(permitted, None)


def _without(*excluded: x509.GeneralName) -> x509.NameConstraints:
    return x509.NameConstraints(None, excluded)


def _directory(text: str) -> x509.DirectoryName:
    return x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]))


URI = x509.UniformResourceIdentifier
STATED: dict[str, tuple[x509.ExtensionType, bool]] = {
    "permits the domain": (_names(x509.DNSName("svc.cluster.local")), True),
    "permits below the domain": (_names(x509.DNSName(".svc.cluster.local")), True),
    "permits another domain": (_names(x509.DNSName("corp.example")), True),
    "permits another domain, not critical": (_names(x509.DNSName("corp.example")), False),
    "excludes the domain": (_without(x509.DNSName("svc.cluster.local")), True),
    "excludes another domain": (_without(x509.DNSName("corp.example")), True),
    "permits another host of URIs": (_names(URI("other.example")), True),
    "excludes the host of URIs": (_without(URI("example.org")), True),
    "permits another network": (_names(x509.IPAddress(ip_network("192.0.2.0/24"))), True),
    "permits the network": (_names(x509.IPAddress(ip_network("10.0.0.0/8"))), True),
    "excludes the network": (_without(x509.IPAddress(ip_network("10.0.0.0/8"))), True),
    "permits mailboxes": (_names(x509.RFC822Name("example.org")), True),
    "permits directory names": (_names(_directory("corp")), True),
    "any purpose": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False),
    "server purpose": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    "unknown critical": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), True),
    "unknown": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\5\0"), False),
    "policies": (
        x509.CertificatePolicies(
            [x509.PolicyInformation(x509.ObjectIdentifier("2.5.29.32.0"), None)]
        ),
        True,
    ),
    "inhibits any policy": (x509.InhibitAnyPolicy(0), True),
    "forbids mapping": (x509.PolicyConstraints(None, 0), True),
}


def _validity(days: int) -> Validity:
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    return Validity(begin, begin + timedelta(days=days))


def _ca(
    name: str, signer: tuple[str, x509.Certificate] | None, stated: Any, *, path_length: int
) -> str:
    own = material.key(name)
    extensions = material.ca_extensions(
        own, issuer=signer[1] if signer else None, path_length=path_length
    )
    if stated is not None:
        extensions["stated"] = stated
    return material.certificate(
        key=own,
        subject=name,
        issuer=signer[1].subject if signer else None,
        issuer_key=material.key(signer[0]) if signer else None,
        validity=_validity(400),
        extensions=list(extensions.values()),
        serial=7,
    )


def _leaf(issuing: str) -> str:
    own, issuer = material.key("leaf"), material.parsed(issuing)
    names = [
        x509.DNSName(HOST),
        URI("spiffe://example.org/ns/app/sa/web"),
        x509.IPAddress(ip_network("10.0.0.5/32").network_address),
    ]
    good = material.parsed(
        material.leaf(issuing, material.key("the issuing CA"), validity=_validity(5))
    )
    stated = [
        (each.value, each.critical)
        for each in good.extensions
        if not isinstance(each.value, x509.SubjectAlternativeName)
    ]
    return material.certificate(
        key=own,
        subject=None,
        issuer=issuer.subject,
        issuer_key=material.key("the issuing CA"),
        validity=_validity(5),
        extensions=[*stated, (x509.SubjectAlternativeName(names), True)],
        serial=9,
    )


@pytest.mark.parametrize("where", ["root", "issuing CA"])
@pytest.mark.parametrize("name", STATED)
def test_the_rules_agree_with_verifiers(name: str, where: str, tmp_path: Path) -> None:
    at_root, below = (STATED[name], None) if where == "root" else (None, STATED[name])
    root = _ca("the root", None, at_root, path_length=1)
    issuing = _ca("the issuing CA", ("the root", material.parsed(root)), below, path_length=0)
    (tmp_path / "root.pem").write_text(root)
    (tmp_path / "issuing.pem").write_text(issuing)
    anchor = {
        "role": "incoming",
        "certificate": "root.pem",
        "issuingCa": {"certificate": "issuing.pem"},
    }
    service = {"namespace": "app", "dnsNames": [HOST], "ipAddresses": ["10.0.0.5"]}
    lines = told({"anchors.g2": anchor, "services": {"web": service}}, directory=tmp_path)
    chain = _leaf(issuing) + issuing
    verdicts = {judge: VERIFIERS[judge](chain, root, HOST, None) for judge in JUDGES}
    refused = [judge for judge, verdict in verdicts.items() if not verdict.accepted]
    assert bool(lines) == bool(refused), f"{refused}: {lines}"
