"""What was asked for against what a server holds."""

from __future__ import annotations

from typing import Any

import pytest

from mtls_pki.backends.vault.comparison import ISSUER_FIELDS, ROLE_FIELDS, differences

ASKED: dict[str, Any] = {
    "issuerRef": "6f1c",
    "allowedDomains": ["shop.svc", "app.svc"],
    "allowIpSans": False,
    "keyType": "ec",
    "keyBits": 256.0,
    "maxTtl": "86400",
    "noStore": True,
    "name": "pki-mesh-g1-i1",
}
# As OpenBao 2.7 answers.
HELD: dict[str, Any] = {
    "issuer_ref": "6f1c",
    "allowed_domains": ["app.svc", "shop.svc"],
    "allow_ip_sans": False,
    "key_type": "ec",
    "key_bits": 256,
    "max_ttl": 86400,
    "no_store": True,
    "ttl": 86400,
}


def test_the_same_in_another_spelling_is_the_same() -> None:
    assert list(differences(ASKED, HELD, ROLE_FIELDS)) == []
    usage = {"usage": "crl-signing,issuing-certificates", "manualChains": ["6f1c"]}
    held = {"usage": "issuing-certificates,crl-signing", "manual_chain": ["6f1c"]}
    assert list(differences(usage, held, ISSUER_FIELDS)) == []


def test_addresses_that_the_server_did_not_take_are_told() -> None:
    asked = {"crlDistributionPoints": ["https://h/crl"], "issuingCertificates": ["https://h/der"]}
    held = {"crl_distribution_points": [], "issuing_certificates": ["https://h/der"]}
    assert list(differences(asked, held, ISSUER_FIELDS)) == [
        "crl_distribution_points: asked for https://h/crl, held is "
    ]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"no_store": False}, "no_store: asked for True, held is False"),
        ({"issuer_ref": "default"}, "issuer_ref: asked for 6f1c, held is default"),
        ({"max_ttl": 0}, "max_ttl: asked for 86400, held is 0"),
        ({"key_bits": 224}, "key_bits: asked for 256.0, held is 224"),
        (
            {"allowed_domains": ["app.svc"]},
            "allowed_domains: asked for shop.svc, app.svc, held is app.svc",
        ),
        ({"allow_ip_sans": True}, "allow_ip_sans: asked for False, held is True"),
    ],
)
def test_what_is_held_otherwise_is_told(changed: dict[str, Any], told: str) -> None:
    assert list(differences(ASKED, {**HELD, **changed}, ROLE_FIELDS)) == [told]


def test_what_the_server_does_not_know_is_told() -> None:
    held = {key: value for key, value in HELD.items() if key != "no_store"}
    assert list(differences(ASKED, held, ROLE_FIELDS)) == [
        "no_store: asked for True, and the server does not know it"
    ]


def test_what_was_not_asked_for_is_not_compared() -> None:
    assert list(differences({}, {"allow_any_name": True}, ROLE_FIELDS)) == []
