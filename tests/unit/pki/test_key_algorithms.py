"""The table of key algorithms: what every reader of it is told."""

from __future__ import annotations

from typing import get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from mtls_pki.pki.key_algorithms import (
    DEFAULT_KEY,
    KEY_KINDS,
    STRONG_KEYS,
    KeyAlgorithm,
    KeyKind,
    kind_of_curve,
    name_of_key,
)
from mtls_pki.pki.keys import SigningKey, public_key_mistake, signing_arguments

# As the tls provider, cert-manager and Vault document them.
SPELLED = {
    "P-224": (("ECDSA", "P224", None), {"algorithm": "ECDSA", "size": 224}, ("ec", 224)),
    "P-256": (("ECDSA", "P256", None), {"algorithm": "ECDSA", "size": 256}, ("ec", 256)),
    "P-384": (("ECDSA", "P384", None), {"algorithm": "ECDSA", "size": 384}, ("ec", 384)),
    "P-521": (("ECDSA", "P521", None), {"algorithm": "ECDSA", "size": 521}, ("ec", 521)),
    "RSA-2048": (("RSA", None, 2048), {"algorithm": "RSA", "size": 2048}, ("rsa", 2048)),
    "RSA-3072": (("RSA", None, 3072), {"algorithm": "RSA", "size": 3072}, ("rsa", 3072)),
    "RSA-4096": (("RSA", None, 4096), {"algorithm": "RSA", "size": 4096}, ("rsa", 4096)),
    "Ed25519": (("ED25519", None, None), {"algorithm": "Ed25519"}, ("ed25519", 0)),
}


def _key(kind: KeyKind) -> SigningKey:
    if kind.curve is not None:
        (curve,) = [c for c in vars(ec).values() if getattr(c, "name", None) == kind.curve]
        return ec.generate_private_key(curve())
    if kind.family == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=kind.bits)
    return ed25519.Ed25519PrivateKey.generate()


def test_the_table_spells_every_kind_for_every_reader() -> None:
    told = {
        name: (tuple(kind.tls.values()), kind.cert_manager, kind.vault)
        for name, kind in KEY_KINDS.items()
    }
    assert told == SPELLED


def test_a_stack_file_may_ask_for_strong_kinds_only() -> None:
    offered = get_args(KeyAlgorithm)
    assert DEFAULT_KEY in offered
    assert all(KEY_KINDS[name].strong for name in offered)


@pytest.mark.parametrize("name", KEY_KINDS)
def test_a_key_of_the_kind_is_named_so_signs_and_is_taken_where_it_is_strong(name: str) -> None:
    kind = KEY_KINDS[name]
    key = _key(kind)
    assert name_of_key(key.public_key()) == name
    assert signing_arguments(key)["algorithm"] == kind.digest
    mistake = public_key_mistake(key.public_key())
    assert (mistake is None) == kind.strong
    if mistake is not None:
        assert mistake.endswith(f"use {STRONG_KEYS}")


def test_only_rsa_has_key_encipherment() -> None:
    having = {kind.family for kind in KEY_KINDS.values() if kind.key_encipherment}
    assert having == {"RSA"}


def test_what_is_not_in_the_table_is_named_by_what_it_is() -> None:
    strange = ec.generate_private_key(ec.SECP256K1()).public_key()
    assert kind_of_curve(strange.curve) is None
    assert name_of_key(strange) == "secp256k1"
    long = rsa.generate_private_key(public_exponent=65537, key_size=2056).public_key()
    assert name_of_key(long) == "RSA-2056"
    assert "448" in name_of_key(ed448.Ed448PrivateKey.generate().public_key())
