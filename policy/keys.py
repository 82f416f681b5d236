"""The rule on key algorithms and sizes: of CAs, of leaves, and of what Vault makes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mtls_pki.pki.key_algorithms import KEY_KINDS, name_of_key
from policy import objects
from policy.model import UNKNOWN, Finding, Parameters, Resource, about
from policy.requested import requested_leaf

_TLS_CURVES = {kind.tls["ecdsa_curve"]: kind.name for kind in KEY_KINDS.values() if kind.curve}
_ALLOWED = [kind.name for kind in KEY_KINDS.values() if kind.strong]
_STRANGE = "of a kind that the rule does not know"
# Key type of a Vault role whose users choose the kind of key.
_ANY = "any"

PARAMETERS = {
    "allowed": {
        "type": "array",
        "items": {"type": "string", "enum": [*_ALLOWED, _ANY]},
        "minItems": 1,
        "default": _ALLOWED,
        "description": "Algorithms that may be used. RSA-N allows longer RSA keys too; any lets "
        "a Vault role leave the choice to the signer.",
    }
}


def weak_keys(resource: Resource, parameters: Parameters) -> Iterator[Finding]:
    """Find keys of an algorithm or size that is not allowed."""
    if objects.is_installed_chart(resource):
        return
    for what, algorithm in _keys(resource):
        if not _is_allowed(algorithm, parameters["allowed"]):
            allowed = ", ".join(parameters["allowed"])
            yield about(resource, f"{what} is {algorithm}, allowed: {allowed}")


def _is_allowed(algorithm: str, allowed: list[str]) -> bool:
    if algorithm in allowed:
        return True
    smallest = min((int(n[4:]) for n in allowed if n.startswith("RSA-")), default=None)
    kind, _, bits = algorithm.partition("-")
    return kind == "RSA" and bits.isdecimal() and smallest is not None and int(bits) >= smallest


def _keys(resource: Resource) -> Iterator[tuple[str, str]]:
    """Yield the name and the algorithm of each key, if both are known."""
    algorithm = None
    match resource.object_type:
        case "tls:index/privateKey:PrivateKey":
            # The provider's own default is P-224.
            algorithm = _named(
                resource.at("algorithm"),
                curve=resource.at("ecdsaCurve") or "P224",
                bits=resource.at("rsaBits") or 2048,
            )
        case objects.CERTIFICATE:
            size = resource.at("spec", "privateKey", "size")
            algorithm = _named(
                resource.at("spec", "privateKey", "algorithm") or "RSA",
                curve=_curve(size or 256),
                bits=size or 2048,
            )
        case objects.VAULT_ROLE | objects.VAULT_ROOT | objects.VAULT_REQUEST:
            size = resource.at("keyBits")
            algorithm = _named(
                resource.at("keyType") or "rsa", curve=_curve(size or 256), bits=size or 2048
            )
    if algorithm is not None:
        yield "its key", algorithm
    request = requested_leaf(resource)
    if request is not None and request.key is not None:
        yield "the key of its request", name_of_key(request.key)
    for place, certificate in objects.certificates_in(resource):
        yield f"the key of the certificate in {place}", name_of_key(certificate.public_key())


def _named(algorithm: Any, *, curve: Any, bits: Any) -> str | None:
    """Return ``P-256``, ``RSA-2048``, ...; None for what is not known yet."""
    if algorithm is UNKNOWN:
        return None
    match str(algorithm).upper():
        case "ECDSA" | "EC":
            return None if curve is UNKNOWN else _TLS_CURVES.get(str(curve), _STRANGE)
        case "RSA":
            return None if bits is UNKNOWN else f"RSA-{_whole(bits)}"
        case "ED25519":
            return "Ed25519"
    return _ANY if algorithm == _ANY else _STRANGE


def _curve(size: Any) -> Any:
    return size if size is UNKNOWN else f"P{_whole(size)}"


def _whole(number: Any) -> Any:
    """Numbers come from the engine as floats."""
    return int(number) if isinstance(number, float) else number
