"""The key of a provisioner, as step-ca and any other reader of JOSE take it."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.jose import provisioner_key, thumbprint


def pem(curve: ec.EllipticCurve | None = None) -> str:
    key = ec.generate_private_key(curve or ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def opened(encrypted: str, password: str) -> dict[str, str]:
    algorithms = ["PBES2-HS256+A128KW", "A256GCM"]
    found = jwe.decrypt_compact(
        encrypted, OctKey.import_key(password.encode()), algorithms=algorithms
    )
    content: dict[str, str] = json.loads(found.plaintext or b"")
    return content


def test_the_thumbprint_is_that_of_the_example_of_step_issuer() -> None:
    assert (
        thumbprint(
            {
                "kty": "EC",
                "crv": "P-256",
                "x": "Pi8WGmlN7zduPRhom9pYeVd48n_Pby3GopsEdkDPVdA",
                "y": "dvPWbf-CofXpBSW4uzEOPU5mEqfzi0QSjmLBnYc7nnA",
            }
        )
        == "MXxpNphrheA80gO5uUbGZ7_RdaXU8KrmKT0fVL181L8"
    )


def test_another_implementation_opens_it_with_the_password_and_with_no_other() -> None:
    key_pem = pem()
    made = provisioner_key(key_pem)
    private = ECKey.import_key(key_pem)
    content = opened(made.encrypted, made.password)
    assert content["d"] == private.as_dict(private=True)["d"]
    assert made.kid == content["kid"] == private.thumbprint()
    assert content.items() >= made.public.items()
    assert "d" not in made.public
    with pytest.raises(JoseError):
        opened(made.encrypted, provisioner_key(pem()).password)


def test_one_key_makes_the_same_bytes_and_another_one_others() -> None:
    key_pem = pem()
    assert provisioner_key(key_pem) == provisioner_key(key_pem)
    one, other = provisioner_key(key_pem), provisioner_key(pem())
    # No salt, wrapped key or nonce of one is one of the other.
    assert not set(one.encrypted.split(".")) & set(other.encrypted.split("."))
    assert len(one.password) == len(other.password) == 43
    assert one.password != other.password


def test_neither_key_nor_password_is_in_a_representation() -> None:
    made = provisioner_key(pem())
    assert repr(made) == f"ProvisionerKey({made.kid})"


@pytest.mark.parametrize("text", ["", "no key", pem(ec.SECP384R1())])
def test_what_is_no_such_key_is_refused(text: str) -> None:
    with pytest.raises(PkiError, match="the key of the provisioner is no"):
        provisioner_key(text)
