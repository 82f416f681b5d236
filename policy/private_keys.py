"""Rules on private keys: where a key may be, and where it must never be.

The SDK gives secrets in clear text and without their mark. So these rules know the places where a
key belongs, and report every other place; `policy/state_file.py` reads the marks from a state.
"""

from __future__ import annotations

from collections.abc import Iterator

from mtls_pki.pki.key_text import key_places
from policy.model import Finding, Parameters, Resource, Stack, about

# Properties that exist to hold keys; the SDK or the provider always makes them secrets, whatever
# the program does.
_SECRET_PROPERTIES = {
    "kubernetes:core/v1:Secret": {"data", "stringData"},
    "kubernetes:core/v1:SecretPatch": {"data", "stringData"},
    "tls:index/certRequest:CertRequest": {"privateKeyPem"},
    "tls:index/locallySignedCert:LocallySignedCert": {"caPrivateKeyPem"},
    "tls:index/selfSignedCert:SelfSignedCert": {"privateKeyPem"},
    "vault:pkiSecret/secretBackendConfigCa:SecretBackendConfigCa": {"pemBundle"},
}

# Outputs that exist to hand out keys, and that the program makes secret: a machine's kubeconfig.
_SECRET_OUTPUTS = {"pulumi:pulumi:Stack": {"kubeconfigs"}}

PARAMETERS = {
    "secretProperties": {
        "type": "object",
        "default": {},
        "description": "Type token -> properties that are Pulumi secrets and may hold a key.",
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
    }
}


def keys_in_clear(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    """Find private keys in the inputs of anything but a Kubernetes Secret or a secret property."""
    allowed = _SECRET_PROPERTIES.get(resource.type, set())
    named = set(parameters["secretProperties"].get(resource.type, ()))
    checked = {name: v for name, v in resource.properties.items() if name not in allowed | named}
    for place in key_places(checked):
        yield about(resource, f"a private key is in {place}")


def keys_in_outputs(stack: Stack, _parameters: Parameters) -> Iterator[Finding]:
    """Find private keys in what the stack and its components hand out."""
    for resource in stack.resources:
        # Outputs of other resources come from providers, which mark their secrets.
        if resource.provider is None and not resource.type.startswith("pulumi:providers:"):
            allowed = _SECRET_OUTPUTS.get(resource.type, set())
            checked = {
                key: value for key, value in resource.properties.items() if key not in allowed
            }
            for place in key_places(checked):
                yield about(resource, f"a private key is in output {place}")
