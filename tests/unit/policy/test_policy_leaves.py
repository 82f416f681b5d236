"""How long leaves live, what they are good for, and whose names they carry."""

from __future__ import annotations

from typing import Any

import pytest

from policy.model import UNKNOWN, Resource
from tests.unit.policy.world import certificate, found, kubernetes, role, said

LEAF_RULES = ("leaf-lifetime", "leaf-usages", "leaf-names", "leaf-is-no-ca")


@pytest.mark.parametrize("rule", LEAF_RULES)
@pytest.mark.parametrize(
    "given",
    [
        certificate(),
        certificate(duration=UNKNOWN, usages=UNKNOWN, dnsNames=UNKNOWN, isCA=UNKNOWN),
        certificate(dnsNames=[UNKNOWN, "web.shop.svc"], usages=["server auth", UNKNOWN]),
        role(),
        role(maxTtl=UNKNOWN, allowAnyName=UNKNOWN, allowWildcardCertificates=UNKNOWN),
        kubernetes("v1/ConfigMap", "notes"),
    ],
    ids=["leaf", "unknown", "partly unknown", "role", "unknown role", "other"],
)
def test_what_conforms_or_is_not_known_yet_is_left_alone(rule: str, given: Resource) -> None:
    assert found(rule, given) == []


@pytest.mark.parametrize("rule", LEAF_RULES)
def test_the_certificates_of_installed_charts_are_not_of_the_domain(rule: str) -> None:
    below = ("mtls-pki:index:CertManager", "dev-pki")
    spec = {"isCA": True, "dnsNames": ["*.trust-manager.svc"], "usages": ["any"]}
    own = kubernetes("cert-manager.io/v1/Certificate", "tm", below=below, spec=spec)
    assert found(rule, own) == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (certificate(duration="720h"), "spec.duration is 720h, allowed: 24h"),
        (certificate(duration=None), "cert-manager takes 2160h; allowed: 24h"),
        (certificate(duration="30d"), "'30d', which is no duration: write 720h"),
        (role(maxTtl="25h"), "maxTtl is 25h, allowed: 24h"),
        (role(maxTtl="90000"), "maxTtl is 90000, allowed: 24h"),
        (role(maxTtl=None), "Vault takes the mount's or its own, 768h; allowed: 24h"),
        (role(maxTtl="0"), "maxTtl is not set"),
    ],
)
def test_a_leaf_that_lives_too_long_is_named_with_its_life(given: Resource, problem: str) -> None:
    message = said("leaf-lifetime", given)
    assert problem in message
    assert message.endswith("What to do: shorten it, or raise the parameter maxDuration.")


def test_the_longest_life_is_a_parameter() -> None:
    assert found("leaf-lifetime", certificate(duration="72h"), maxDuration="72h") == []
    assert said("leaf-lifetime", certificate(duration="72h1s"), maxDuration="72h")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (certificate(usages=["server auth", "code signing"]), "spec.usages has code signing"),
        (certificate(usages=["server auth", "any"]), "spec.usages has any"),
        (certificate(usages=["server auth", "cert sign"]), "spec.usages has cert sign"),
        (certificate(usages=["digital signature"]), "neither server auth nor client auth"),
        (certificate(usages=None), "neither server auth nor client auth"),
        (role(codeSigningFlag=True), "codeSigningFlag lets its leaves be used for code signing"),
        (role(emailProtectionFlag=True), "be used for email protection"),
        (role(serverFlag=False, clientFlag=False), "its leaves have no purpose"),
    ],
)
def test_a_leaf_that_is_good_for_more_than_mtls_is_named(given: Resource, problem: str) -> None:
    assert problem in said("leaf-usages", given)


def test_more_usages_can_be_allowed() -> None:
    given = certificate(usages=["server auth", "code signing"])
    assert found("leaf-usages", given, allowed=["server auth", "code signing"]) == []


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (certificate(dnsNames=["*.shop.svc"]), "the name *.shop.svc is a wildcard"),
        (certificate(commonName="*.shop.svc"), "the name *.shop.svc is a wildcard"),
        (role(allowAnyName=True), "allowAnyName is true"),
        (role(allowGlobDomains=True), "allowGlobDomains is true"),
        (role(allowWildcardCertificates=True), "allowWildcardCertificates is not false"),
        (role(allowWildcardCertificates=None), "allowWildcardCertificates is not false"),
    ],
)
def test_names_that_are_not_bound_are_found(given: Resource, problem: str) -> None:
    assert problem in said("leaf-names", given)


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [("leaf-names", {"dnsNames": ["*.shop.svc"]}), ("leaf-is-no-ca", {"isCA": True})],
)
def test_namespaces_can_be_allowed(rule: str, wrong: dict[str, Any]) -> None:
    assert found(rule, certificate(**wrong), namespaces=["shop"]) == []
    assert said(rule, certificate(**wrong), namespaces=["payments"])


def test_vault_roles_can_be_allowed() -> None:
    assert found("leaf-names", role(allowAnyName=True), roles=["mesh"]) == []
    assert said("leaf-names", role(allowAnyName=True), roles=["other"])


def test_a_certificate_that_asks_for_a_ca_is_found_and_judged_as_nothing_else() -> None:
    given = certificate(isCA=True, usages=["cert sign"], duration="8760h")
    assert "Certificate shop/web in dev: spec.isCA is true" in said("leaf-is-no-ca", given)
    assert found("leaf-usages", given) + found("leaf-lifetime", given) == []
