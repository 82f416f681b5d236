"""Private keys where none may be, and keys of a kind that nobody should use."""

from __future__ import annotations

import base64
import json
import re

import pytest
from cryptography.hazmat.primitives import serialization

from mtls_pki.pki.key_text import holds_private_key, without_private_keys
from policy.model import UNKNOWN, Resource
from tests.unit.pki import material
from tests.unit.policy.world import (
    KEY,
    bundle,
    certificate,
    config_map,
    exports,
    found,
    kubernetes,
    resource,
    role,
    said,
)

PEM = material.key_pem("secret")
BODY = "".join(PEM.splitlines()[1:-1])
SEC1 = material.encoded(material.key("secret"), serialization.PrivateFormat.TraditionalOpenSSL)
# A JSON Web Key; the scalar is made up.
JWK = json.dumps({"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43, "d": "Qq9_-" * 8})
SECRET_PART = re.compile(r"(?!A+$)[A-Za-z0-9+/_-]{24}")
ENCODED = base64.b64encode(PEM.encode()).decode()
PASSWORD_PROPERTY = {"aws:secret/version:Version": ["secretString"]}


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        SEC1,
        json.dumps({"key": PEM}),
        ENCODED,
        f"users:\n- user: {{client-key-data: {ENCODED}}}\n",
        BODY,
        *(base64.b64encode(f"{before}{PEM}".encode()).decode() for before in ("Bag", "Ba", "B")),
        base64.encodebytes(f"Bag Attributes: none\n{PEM}".encode()).decode(),
        json.dumps({"key": base64.encodebytes(PEM.encode()).decode()}),
        f'{{"key": "{BODY}"}}',
        base64.encodebytes(base64.b64decode(BODY)).decode(),
        json.dumps({"nested": JWK}),
        JWK,
    ],
    ids=[
        *("PKCS#8", "SEC 1", "JSON", "base64", "kubeconfig", "DER", "shifted", "by two", "by one"),
        *("wrapped", "wrapped in JSON", "DER in JSON", "wrapped DER", "JWK in JSON", "JWK"),
    ],
)
def test_a_private_key_is_seen_in_every_spelling(text: str) -> None:
    assert holds_private_key(text)
    left = without_private_keys(f"before {text} after", "[gone]")
    assert "[gone]" in left
    assert left.startswith("before ")
    # Nothing of it that is longer than chance is left.
    assert not [
        n
        for n in range(len(text) - 24)
        if SECRET_PART.fullmatch(text[n : n + 24]) and text[n : n + 24] in left
    ]


@pytest.mark.parametrize(
    "text",
    [
        material.root("g1"),
        base64.b64encode(material.root("g1").encode()).decode(),
        "the private key is in the safe",
        "A" * 80,
        json.dumps({"kty": "EC", "x": "A" * 43, "y": "A" * 43}),
        "a/long/path/to/somewhere/that/looks/like/base64",
        "",
    ],
    ids=[
        *("certificate", "certificate in base64", "prose", "base64 of nothing", "public JWK"),
        *("path", "empty"),
    ],
)
def test_what_is_no_private_key_is_left_alone(text: str) -> None:
    assert not holds_private_key(text)
    assert without_private_keys(text, "[gone]") == text


SECRET = kubernetes("v1/Secret", "mesh-ca", namespace="shop", stringData={"tls.key": PEM})


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (config_map("notes", data={"k": PEM}), "ConfigMap shop/notes in dev: .*data.k"),
        (config_map("notes", binaryData={"k": ENCODED}), "binaryData.k"),
        (
            kubernetes("apps/v1/Deployment", "web", spec={"env": [{"value": PEM}]}),
            r"Deployment web in dev: .*spec.env\[0\].value",
        ),
        (
            kubernetes("v1/Secret", "ca", metadata={"annotations": {"note": PEM}}),
            "metadata.annotations.note",
        ),
        (resource("pulumi:providers:kubernetes", "dev", {"kubeconfig": PEM}), "kubeconfig"),
        (resource("random:x/y:Z", "z", {"keepers": {"k": PEM}}), "Z z: .*keepers.k"),
    ],
    ids=["data", "binaryData", "env", "annotation", "kubeconfig", "other"],
)
def test_a_key_outside_of_a_secret_is_named_by_its_place_alone(given: Resource, place: str) -> None:
    message = said("private-key-in-clear", given)
    assert re.search(place, message)
    assert "What to do: remove it" in message
    assert BODY[:20] not in message
    assert ENCODED[:20] not in message


def test_a_key_in_a_kubernetes_secret_is_where_it_belongs() -> None:
    assert found("private-key-in-clear", SECRET) == []
    live = kubernetes("v1/Secret", "mesh-ca", data={"tls.key": ENCODED})
    assert found("private-key-in-clear", live) == []


def test_a_property_that_is_a_pulumi_secret_can_be_named() -> None:
    given = resource("aws:secret/version:Version", "v", {"secretString": PEM})
    assert said("private-key-in-clear", given)
    assert not found("private-key-in-clear", given, secretProperties=PASSWORD_PROPERTY)


def test_an_exported_key_is_found_and_not_shown() -> None:
    message = said("private-key-in-outputs", exports(ca={"key": PEM}))
    assert "Stack mtls-pki-dev: a private key is in output ca.key" in message
    assert BODY[:20] not in message
    component = resource("mtls-pki:index:TrustAnchor", "g1", {"key": PEM})
    assert said("private-key-in-outputs", component)


def test_outputs_of_a_provider_are_left_to_it() -> None:
    key = resource(KEY, "g1-key", {"privateKeyPem": PEM}, provider="tls")
    assert found("private-key-in-outputs", key, exports(note=UNKNOWN)) == []


@pytest.mark.parametrize(
    ("given", "algorithm"),
    [
        (resource(KEY, "k", {"algorithm": "ECDSA"}), "P-224"),
        (resource(KEY, "k", {"algorithm": "ECDSA", "ecdsaCurve": "P224"}), "P-224"),
        (resource(KEY, "k", {"algorithm": "RSA", "rsaBits": 1024.0}), "RSA-1024"),
        (certificate(privateKey={"algorithm": "RSA", "size": 1024.0}), "RSA-1024"),
        (role(keyType="any", keyBits=0.0), "any"),
        (role(keyType="ec", keyBits=224.0), "P-224"),
        (
            resource(
                "vault:pkiSecret/secretBackendRootCert:SecretBackendRootCert",
                "r",
                {"keyType": "rsa", "keyBits": 1024.0},
            ),
            "RSA-1024",
        ),
        (bundle(material.root("weak", kind="p521")), "P-521"),
    ],
    ids=["default", "P224", "RSA", "leaf", "any", "role", "root in Vault", "root"],
)
def test_a_key_that_is_not_allowed_is_named_with_its_algorithm(
    given: Resource, algorithm: str
) -> None:
    message = said("key-algorithm", given, allowed=["P-256", "RSA-2048"])
    assert f"is {algorithm}, allowed: P-256, RSA-2048" in message


@pytest.mark.parametrize(
    "given",
    [
        resource(KEY, "k", {"algorithm": "ECDSA", "ecdsaCurve": "P256"}),
        resource(KEY, "k", {"algorithm": "RSA"}),
        resource(KEY, "k", {"algorithm": "RSA", "rsaBits": 8192.0}),
        resource(KEY, "k", {"algorithm": "ED25519"}),
        resource(KEY, "k", {"algorithm": UNKNOWN}),
        resource(KEY, "k", {"algorithm": "ECDSA", "ecdsaCurve": UNKNOWN}),
        certificate(),
        certificate(privateKey=None),
        certificate(privateKey=UNKNOWN),
        role(),
        role(keyType="ed25519", keyBits=0.0),
        bundle(material.root("g1", kind="rsa2048")),
        bundle(UNKNOWN),
    ],
)
def test_good_keys_and_keys_not_known_yet_are_left_alone(given: Resource) -> None:
    assert found("key-algorithm", given) == []


def test_a_longer_rsa_key_than_the_shortest_allowed_is_allowed() -> None:
    key = resource(KEY, "k", {"algorithm": "RSA", "rsaBits": 3072.0})
    assert found("key-algorithm", key, allowed=["RSA-2048"]) == []
    assert said("key-algorithm", key, allowed=["RSA-4096"])
    assert said("key-algorithm", key, allowed=["P-256"])
