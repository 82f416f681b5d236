"""Whatever stands in a property, no rule fails, and none shows a private key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from policy.model import UNKNOWN, Resource, ResourceRule, Stack, StackRule
from policy.rules import RULES
from tests.unit.pki import material
from tests.unit.policy.world import (
    ANCHOR,
    DURATION,
    IS_CA,
    KEY,
    bundle,
    certificate,
    cluster_bundle,
    config_map,
    exports,
    kubernetes,
    patch,
    request,
    resource,
    role,
    said,
    signing_request,
)

PEM = material.key_pem("secret")
ROOT = material.root("g1")
STAGE = TrustStage(anchors={"g1": Anchor(role=Role.ISSUING, fingerprint="ab" * 32)})
ODD: tuple[Any, ...] = (
    *(None, True, 3.5, "", "§", "http://[", "30d", PEM, UNKNOWN),
    *([], [None], [UNKNOWN], [{}], [PEM], {}, {"x": None}, {"x": PEM}),
)
DECLARED = (
    exports(trustDomain="example.org", anchors={"g1": {"role": "issuing"}}),
    resource("pulumi:providers:vault", "vault", {"address": "https://v.example.org"}),
    resource("vault:index/mount:Mount", "pki", {"type": "pki", "path": "pki"}, protect=True),
    role(backend="pki", ttl="1h", codeSigningFlag=False, keyUsages=["DigitalSignature"]),
    resource(ANCHOR, "g1", {"certificatePem": ROOT, "fingerprint": "ab" * 32}),
    resource(
        KEY,
        "g1-key",
        {"algorithm": "ECDSA", "ecdsaCurve": "P256", "rsaBits": 2048.0},
        below=(ANCHOR, "g1"),
        protect=True,
    ),
    bundle(ROOT),
    config_map("mesh-trust-stage", data={"stage.json": STAGE.to_json(), "g1.pem": ROOT}),
    kubernetes("v1/Secret", "mesh-ca", namespace="shop", stringData={"tls.crt": ROOT}),
    kubernetes(
        "cert-manager.io/v1/Issuer",
        "ca",
        namespace="shop",
        spec={
            "ca": {"secretName": "mesh-ca"},
            "vault": {"server": "https://v.example.org", "path": "pki/sign/mesh"},
        },
    ),
    kubernetes(
        "trust.cert-manager.io/v1alpha1/Bundle",
        "mesh",
        spec={
            "sources": [{"inLine": ROOT}],
            "target": {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "shop"},
                    "matchExpressions": [
                        {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["x"]}
                    ],
                }
            },
        },
    ),
    certificate(commonName="web", isCA=False),
    patch(certificate("patched", commonName="web", isCA=False)),
    request(isCA=False),
    signing_request(annotations={DURATION: "24h", IS_CA: "false"}),
    cluster_bundle(inLineCAs=ROOT, defaultCAs={"provider": "Disabled"}),
)


def _spoiled(value: Any) -> Iterator[Any]:
    """Yield copies of ``value`` with one part of it, or the whole, replaced by something odd."""
    yield from ODD
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from ({**value, key: other} for other in _spoiled(child))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in _spoiled(child))


def _messages(rule: ResourceRule | StackRule, spoiled: Resource) -> Iterator[str]:
    if isinstance(rule, ResourceRule):
        found = rule.find(spoiled, rule.defaults)
    else:
        others = (each for each in DECLARED if each.urn != spoiled.urn)
        found = rule.find(Stack(resources=(*others, spoiled)), rule.defaults)
    return map(rule.message, found)


def test_nothing_is_found_where_nothing_is_spoiled() -> None:
    assert [m for rule in RULES for m in _messages(rule, DECLARED[0])] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_any_value_is_judged_without_an_error_or_a_key(rule: ResourceRule | StackRule) -> None:
    for declared in DECLARED:
        for properties in _spoiled(declared.properties):
            if isinstance(properties, Mapping):
                for message in _messages(rule, replace(declared, properties=properties)):
                    assert PEM.splitlines()[1] not in message, declared.label


def test_a_key_in_a_place_that_a_rule_quotes_is_not_shown() -> None:
    message = said("leaf-lifetime", certificate(duration=PEM))
    assert message.startswith("a value that it names is a private key. What to do: shorten it")
