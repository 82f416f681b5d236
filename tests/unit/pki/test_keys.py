"""Private keys: which are taken, and that a refusal never repeats one."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448

from mtls_pki.pki.chain import key_matches
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.keys import load_private_key, private_key_pem
from tests.unit.pki import material
from tests.unit.pki.material import KEY_KINDS, key_pem, parsed


def _encrypted() -> str:
    return (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
        .decode()
    )


def _damaged() -> str:
    lines = key_pem("g1").splitlines()
    return "\n".join([lines[0], lines[1][:-8], *lines[2:]])


def _ed448() -> str:
    key = ed448.Ed448PrivateKey.generate()
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


BAD_KEYS: dict[str, tuple[Callable[[], str], str]] = {
    "empty": (lambda: "", "is not a PEM private key; give PKCS#8, SEC1 or PKCS#1 PEM"),
    "damaged": (_damaged, "is not a PEM private key"),
    "encrypted": (_encrypted, "is encrypted; give it without a passphrase"),
    "certificate": (lambda: material.root("g1"), "is not a PEM private key"),
    "two": (lambda: key_pem("g1") + key_pem("g2"), "has 2 private keys; give exactly one"),
    "p224": (lambda: key_pem("weak", "p224"), "is EC secp224r1; use EC P-256"),
    "rsa1024": (lambda: key_pem("weak", "rsa1024"), "is RSA of 1024 bits; use EC P-256"),
    "ed448": (_ed448, "is of an unsupported kind; use EC P-256"),
}


@pytest.mark.parametrize("name", BAD_KEYS)
def test_a_key_that_cannot_be_used_is_refused_without_repeating_it(name: str) -> None:
    make, message = BAD_KEYS[name]
    pem = make()
    with pytest.raises(PkiError) as caught:
        load_private_key(pem, origin="the root's key")
    assert str(caught.value).startswith(f"the root's key {message}")
    # Neither cause nor context: cryptography's own errors could carry parts of the key.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    told = "".join(traceback.format_exception(caught.value))
    assert not [line for line in pem.splitlines() if len(line) > 8 and line in told]


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_key_matches_its_own_certificate_only(kind: str) -> None:
    root = parsed(material.root("g1", kind=kind))
    assert key_matches(root, key_pem("g1", kind))
    assert not key_matches(root, key_pem("g2", kind))
    assert not key_matches(root, key_pem("g1", "p384" if kind != "p384" else "p256"))


# Of prime256v1, as `openssl ecparam -genkey` writes them before the key.
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
@pytest.mark.parametrize("kind", ["p256", "rsa2048"])
def test_a_key_goes_on_alone_and_in_the_form_that_it_had(kind: str, form: str) -> None:
    alone = material.encoded(material.key("g1", kind), getattr(serialization.PrivateFormat, form))
    beside = f"\ufeffFußnote\n{material.root('g1')}{PARAMETERS}{alone.rstrip()}"
    assert private_key_pem(alone, origin="x") == alone
    assert private_key_pem(beside, origin="x") == alone


def test_what_does_not_belong_beside_a_key_is_refused() -> None:
    request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n"
    with pytest.raises(PkiError, match=r"^x: block 1 is no private key; leave it out$"):
        load_private_key(request + key_pem("g1"), origin="x")
