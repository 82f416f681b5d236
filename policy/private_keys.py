"""Rules on private keys: where one may stand, and where never.

The SDK hands secrets out in clear text and without their mark. So these rules know the places where
a key belongs, and report every other place; `policy/state_file.py` reads the marks from a state.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_der_private_key

from policy.model import Finding, Parameters, Resource, Stack, about

KUBERNETES_SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 a type token

# PKCS#8, SEC 1, PKCS#1 and OpenSSH, also within a larger text such as a JSON document.
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
# "-----BEGIN " in base64, as in binaryData or in the credentials of a kubeconfig.
_ENCODED_PEM = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/]+")
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]{43,}={0,2}\s*")
# Properties that their provider's schema makes a secret, whatever the program says.
_SECRET_PROPERTIES = {
    "tls:index/privateKey:PrivateKey": {
        "privateKeyPem",
        "privateKeyPemPkcs8",
        "privateKeyOpenssh",
    },
    "vault:pkiSecret/secretBackendConfigCa:SecretBackendConfigCa": {"pemBundle"},
}

PARAMETERS = {
    "secretProperties": {
        "type": "object",
        "default": {},
        "description": "Type token -> properties that are Pulumi secrets and may hold a key.",
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
    }
}


def holds_private_key(text: str) -> bool:
    """Tell whether a private key stands in ``text``: PEM, PEM in base64, or DER in base64."""
    if _PEM.search(text):
        return True
    if any(_PEM.search(_decoded(found[0])) for found in _ENCODED_PEM.finditer(text)):
        return True
    return bool(_BASE64.fullmatch(text)) and _is_der_key(text)


def key_places(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every text in ``value`` that holds a private key: ``data.tls.key``."""
    if isinstance(value, str):
        if holds_private_key(value):
            yield path
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from key_places(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from key_places(child, f"{path}[{index}]")


def keys_in_clear(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    """Find private keys in the inputs of anything but a Kubernetes Secret or a secret property."""
    allowed = (
        {"data", "stringData"}
        if resource.type == KUBERNETES_SECRET
        else _SECRET_PROPERTIES.get(resource.type, set())
        | set(parameters["secretProperties"].get(resource.type, ()))
    )
    checked = {name: v for name, v in resource.properties.items() if name not in allowed}
    for place in key_places(checked):
        yield about(resource, f"a private key stands in {place}")


def keys_in_outputs(stack: Stack, _parameters: Parameters) -> Iterator[Finding]:
    """Find private keys in what the stack and its components hand out."""
    for resource in stack.resources:
        # Outputs of other resources are their providers' business, which mark their secrets.
        if resource.provider is None and not resource.type.startswith("pulumi:providers:"):
            for place in key_places(resource.properties):
                yield about(resource, f"a private key stands in output {place}")


def _decoded(text: str) -> str:
    whole = text[: len(text) // 4 * 4]
    return base64.b64decode(whole).decode("ascii", errors="replace")


def _is_der_key(text: str) -> bool:
    try:
        load_der_private_key(base64.b64decode("".join(text.split()), validate=True), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm, binascii.Error):
        return False
    return True
