"""Signing requests for client certificates: what is read, and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mtls_pki.pki.client_request import (
    client_request,
    key_identity,
    make_client_request,
)
from mtls_pki.pki.errors import PkiError


def key_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


KEY = key_pem(ec.generate_private_key(ec.SECP256R1()))


def test_a_request_says_user_groups_and_key() -> None:
    pem = make_client_request(key_pem=KEY, user="jane", groups=("example:admins", "b"))
    found = client_request(pem, origin="jane.csr")
    assert (found.user, found.groups) == ("jane", ("example:admins", "b"))
    assert found.key == key_identity(KEY, origin="jane.key")
    assert found.name == f"mtls-pki-{found.key[:32]}"


def test_the_same_key_makes_the_same_bytes() -> None:
    made = {make_client_request(key_pem=KEY, user="jane", groups=()) for _ in range(3)}
    assert len(made) == 1


@pytest.mark.parametrize(
    ("user", "groups", "words"),
    [
        ("system:admin", (), "names that begin with system:"),
        ("jane", ("a", "system:masters"), "system:masters may do everything"),
        (" ", (), "1 CN; write one, the user's name"),
    ],
)
def test_names_that_nobody_is_given(user: str, groups: tuple[str, ...], words: str) -> None:
    pem = make_client_request(key_pem=KEY, user=user, groups=groups)
    with pytest.raises(PkiError, match=words):
        client_request(pem, origin="jane.csr")


def test_a_weak_key_is_refused_and_not_shown() -> None:
    weak = key_pem(ec.generate_private_key(ec.SECP224R1()))
    with pytest.raises(PkiError) as caught:
        key_identity(weak, origin="jane.key")
    assert "PRIVATE" not in str(caught.value)
