"""Each mistake in a DNS name has a sentence of its own, with the name that is right."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.settings.host_names import host_name_mistake

MISTAKES = {
    "web.example.org.": "ends in a dot, which no certificate has; write web.example.org",
    "web_1.example.org": (
        "has an underscore, which no host's name has (RFC 1123 2.1); use the name of the Service, "
        "such as web-1.example.org"
    ),
    "bücher.example": "is not ASCII; write it in punycode: xn--bcher-kva.example",
    "*.Bücher.example": "is not ASCII; write it in punycode: *.xn--bcher-kva.example",
    "\u2603\u0338.example": (
        "has characters that no DNS name has, also not as punycode; use another name"
    ),
    "web.example.org:8443": (
        "has a port, and a certificate names hosts only; write web.example.org"
    ),
    "https://web.example.org/x": (
        "is a URL, and a certificate names hosts only; write web.example.org"
    ),
    f"{'a' * 64}.example": (
        f"has a label of 64 characters ({'a' * 20}...); 63 is the most (RFC 1035 2.3.4)"
    ),
    "10.0.0.5": "is an IP address, no DNS name; write it under ipAddresses",
    "[2001:db8::5]": "is an IP address, no DNS name; write it under ipAddresses",
    "fe80::1%eth0": "is an IP address, no DNS name; write it under ipAddresses",
    " web.example.org": "has blanks; write web.example.org",
    "Web.example.org": "has capital letters; write web.example.org",
    "web..example": "has an empty label; write one dot between two labels",
    "-web.example": "has a label with '-' at an end (-web); begin and end it otherwise",
    "web!.example": (
        "has other characters than a-z, 0-9, '-' and '.' (web!); write "
        "gateway.monoskope.svc.cluster.local"
    ),
    "web.*.example": (
        "has a wildcard that is not its whole first label; write *.DOMAIN, or list names"
    ),
    "*.example": (
        "is a wildcard before fewer than two labels, which no verifier matches; list names"
    ),
    ".".join(["abcdefg"] * 32): "is 255 characters long; 253 is the most (RFC 1035 2.3.4)",
}


@pytest.mark.parametrize("value", MISTAKES)
def test_a_mistake_has_a_sentence_of_its_own(value: str) -> None:
    assert host_name_mistake(value) == MISTAKES[value]


@pytest.mark.parametrize("value", ["web", "web.app.svc", "*.web.example", "1.example", "a-b.c"])
def test_a_name_that_is_right(value: str) -> None:
    assert host_name_mistake(value) is None


@given(st.text(max_size=80))
def test_what_is_taken_is_a_name_that_a_certificate_can_have(value: str) -> None:
    if host_name_mistake(value) is None:
        assert value == value.lower()
        assert x509.DNSName(value).value == value
