"""Ways around a rule that are none: the same wish in another form, spelling or place."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from policy.model import UNKNOWN, Resource
from tests.unit.pki import material
from tests.unit.policy.world import (
    DURATION,
    IS_CA,
    bundle,
    certificate,
    cluster_bundle,
    config_map,
    exports,
    found,
    kubernetes,
    patch,
    pkcs10,
    request,
    resource,
    role,
    said,
    signing_request,
)

ROOT, OTHER = material.root("g1"), material.root("g2")
ISSUING = material.issuing("i1", root_pem=ROOT, root_key=material.key_pem("g1"))
DOMAIN = exports(trustDomain="example.org")


def issuer(kind: str = "Issuer", **spec: Any) -> Resource:
    place = {"namespace": "shop"} if kind == "Issuer" else {}
    return kubernetes(f"cert-manager.io/v1/{kind}", "ca", spec=spec, **place)


def ca_secret(chain: Any = ISSUING, namespace: Any = "shop", name: Any = "mesh-ca") -> Resource:
    metadata = {"name": name, "namespace": namespace}
    return kubernetes("v1/Secret", "ca", metadata=metadata, stringData={"tls.crt": chain})


CA_ISSUER = issuer(ca={"secretName": "mesh-ca"})
LEAF_RULES = ("leaf-lifetime", "leaf-usages", "leaf-names", "leaf-is-no-ca", "key-algorithm")


@pytest.mark.parametrize("rule", [*LEAF_RULES, "issuer-of-domain", "identity-of-domain"])
@pytest.mark.parametrize(
    "given",
    [
        request(),
        request(request=UNKNOWN, duration=UNKNOWN, usages=UNKNOWN, isCA=UNKNOWN),
        request("no base64"),
        signing_request(),
        signing_request(expirationSeconds=UNKNOWN, usages=UNKNOWN, request=UNKNOWN),
        signing_request(annotations={DURATION: UNKNOWN, IS_CA: UNKNOWN}),
        signing_request(signerName="kubernetes.io/kube-apiserver-client", expirationSeconds=None),
        patch(certificate(duration=None, usages=None, issuerRef=None)),
        patch(config_map("mesh-trust", metadata={"labels": {"a": "b"}})),
    ],
    ids=[
        *("request", "unknown", "damaged", "CSR", "unknown CSR", "unknown annotations"),
        *("other signer", "patch", "patch of a bundle"),
    ],
)
def test_a_request_that_conforms_or_is_not_known_is_left_alone(rule: str, given: Resource) -> None:
    assert found(rule, DOMAIN, CA_ISSUER, ca_secret(), bundle(ROOT), given) == []


@pytest.mark.parametrize(
    ("rule", "given", "problem"),
    [
        ("leaf-lifetime", request(duration="720h"), "spec.duration is 720h"),
        ("leaf-lifetime", request(duration=None), "cert-manager takes 2160h"),
        ("leaf-usages", request(usages=["server auth", "any"]), "spec.usages has any"),
        ("leaf-usages", request(usages=None), "neither server auth nor client auth"),
        ("leaf-names", request(pkcs10(None, "*.shop.svc")), "the name *.shop.svc is a wildcard"),
        ("leaf-is-no-ca", request(isCA=True), "spec.isCA is true"),
        ("key-algorithm", request(pkcs10(ec.SECP224R1())), "the key of its request is P-224"),
        ("issuer-of-domain", request(issuerRef={"name": "other"}), "its issuer Issuer/shop/other"),
        (
            "identity-of-domain",
            request(pkcs10(None, "spiffe://example.com/x")),
            "is of trust domain example.com",
        ),
        ("leaf-lifetime", signing_request(expirationSeconds=90_000), "is 90000s, allowed: 24h"),
        ("leaf-lifetime", signing_request(expirationSeconds=None), "cert-manager takes 2160h"),
        ("leaf-lifetime", signing_request(annotations={DURATION: "8760h"}), "is 8760h, allowed"),
        (
            "leaf-usages",
            signing_request(usages=["client auth", "code signing"]),
            "spec.usages has code signing",
        ),
        ("leaf-is-no-ca", signing_request(annotations={IS_CA: "true"}), "request-is-ca] is true"),
        ("leaf-names", signing_request(pkcs10(None, "*.x.svc")), "the name *.x.svc"),
        (
            "issuer-of-domain",
            signing_request(signerName="issuers.cert-manager.io/other.ca"),
            "its issuer Issuer/other/ca",
        ),
        (
            "issuer-of-domain",
            signing_request(signerName="clusterissuers.cert-manager.io/c.d"),
            "its issuer ClusterIssuer/c.d",
        ),
        ("leaf-names", certificate(dnsNames=["w*.shop.svc"]), "the name w*.shop.svc"),
        ("leaf-names", certificate(literalSubject="CN=*.shop.svc"), "CN=*.shop.svc is a wildcard"),
        ("leaf-is-no-ca", patch(certificate(isCA=True)), "CertificatePatch shop/web"),
        ("leaf-lifetime", patch(certificate(duration="720h")), "CertificatePatch shop/web"),
        ("bundle-roots-only", patch(bundle(ROOT + ISSUING)), "ConfigMapPatch shop/mesh-trust"),
        ("vault-over-tls", patch(issuer(vault={"server": "http://v"})), "spec.vault.server"),
    ],
)
def test_another_form_of_the_same_wish_is_found(rule: str, given: Resource, problem: str) -> None:
    others = (DOMAIN, CA_ISSUER, ca_secret(), bundle(ROOT))
    assert problem in said(rule, *others, given)


@pytest.mark.parametrize(
    ("rule", "given", "problem"),
    [
        ("bundle-roots-only", cluster_bundle(inLineCAs=ISSUING), "spec.inLineCAs holds CN=i1"),
        ("bundle-not-empty", cluster_bundle(), "neither spec.inLineCAs nor another source"),
        ("bundle-not-empty", cluster_bundle(inLineCAs=""), "neither spec.inLineCAs"),
        (
            "bundle-not-empty",
            cluster_bundle(defaultCAs={"provider": "Disabled"}),
            "neither spec.inLineCAs",
        ),
        (
            "bundle-roots-only",
            bundle(ROOT + ISSUING.replace("BEGIN CERT", "BEGIN TRUSTED CERT")),
            "a block -----BEGIN TRUSTED CERTIFICATE-----",
        ),
        (
            "bundle-roots-only",
            config_map("own", data={"x": ISSUING.replace("BEGIN CERT", "BEGIN X509 CERT")}),
            "a block -----BEGIN X509 CERTIFICATE-----",
        ),
    ],
)
def test_another_spelling_of_a_bundle_is_judged_as_one(
    rule: str, given: Resource, problem: str
) -> None:
    assert problem in said(rule, given)


@pytest.mark.parametrize(
    "given",
    [
        cluster_bundle(inLineCAs=ROOT),
        cluster_bundle(inLineCAs=UNKNOWN),
        cluster_bundle(sourceRefs=[{"kind": "ConfigMap", "name": "roots", "key": "*"}]),
        cluster_bundle(defaultCAs={"provider": "System"}),
    ],
)
def test_a_cluster_bundle_of_roots_is_left_alone(given: Resource) -> None:
    rules = ("bundle-roots-only", "bundle-not-empty", "bundle-everywhere")
    assert [finding for rule in rules for finding in found(rule, given, certificate())] == []


def test_some_other_certificate_in_a_namespace_is_not_the_bundle() -> None:
    parts = (bundle(ROOT, "shop"), certificate("ledger", "payments"))
    unrelated = config_map("webhook-ca", "payments", data={"ca.crt": OTHER})
    assert said("bundle-everywhere", *parts, unrelated).startswith("namespace payments in dev")
    copy = config_map("own-copy", "payments", data={"ca.crt": OTHER + ROOT})
    assert found("bundle-everywhere", *parts, copy) == []


def test_a_root_beside_the_trust_bundles_makes_no_ca_one_of_the_domain() -> None:
    planted = config_map("anything", data={"x": ROOT})
    parts = (CA_ISSUER, ca_secret(ISSUING + ROOT), planted)
    assert "was signed by none of the roots" in said("issuer-of-domain", bundle(OTHER), *parts)
    assert found("issuer-of-domain", *parts) == []


@pytest.mark.parametrize("kind", ["Issuer", "ClusterIssuer"])
def test_a_ca_that_nobody_here_has_declared_is_found(kind: str) -> None:
    given = issuer(kind, ca={"secretName": "made-by-hand"})
    message = said("issuer-of-domain", bundle(ROOT), ca_secret(), given)
    assert "its CA Secret made-by-hand is not declared by this stack" in message
    name = "ClusterIssuer/ca" if kind == "ClusterIssuer" else "Issuer/shop/ca"
    assert found("issuer-of-domain", given, issuers=[name]) == []


def test_touching_what_belongs_to_others_does_not_declare_it() -> None:
    foreign = patch(issuer(ca=None))
    message = said("issuer-of-domain", foreign, certificate())
    assert "its issuer Issuer/shop/ca (cert-manager.io) is not declared" in message
    metadata = {"name": "mesh-ca", "namespace": "shop", "labels": {"a": "b"}}
    labelled = patch(kubernetes("v1/Secret", "ca", metadata=metadata))
    hollow = kubernetes("v1/Secret", "ca", metadata=metadata, data={"tls.key": UNKNOWN})
    for secret in (labelled, hollow):
        assert "is not declared by this stack" in said("issuer-of-domain", CA_ISSUER, secret)
    unknown = kubernetes("v1/Secret", "ca", metadata=metadata, data=UNKNOWN)
    assert found("issuer-of-domain", CA_ISSUER, unknown) == []


@pytest.mark.parametrize(
    ("kind", "secret", "there"),
    [
        ("Issuer", ca_secret(namespace="payments"), False),
        ("Issuer", ca_secret(namespace=UNKNOWN), True),
        ("Issuer", ca_secret(name=UNKNOWN), True),
        ("ClusterIssuer", ca_secret(namespace="cert-manager"), True),
    ],
)
def test_a_secret_counts_where_the_issuer_may_find_it(
    kind: str, secret: Resource, there: bool
) -> None:
    given = issuer(kind, ca={"secretName": "mesh-ca"})
    assert (found("issuer-of-domain", bundle(ROOT), secret, given) == []) is there


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("pki/sign/mesh", True),
        ("pki/issuer/g1/sign/mesh", True),
        ("pki/sign/other", False),
        ("elsewhere/sign/mesh", False),
        ("pki/sign-verbatim/mesh", False),
        (UNKNOWN, True),
    ],
)
def test_a_vault_issuer_signs_by_a_role_of_this_stack(path: Any, own: bool) -> None:
    given = issuer(vault={"server": "https://v.example", "path": path})
    assert (found("issuer-of-domain", role(backend="pki"), given) == []) is own
    if not own:
        message = said("issuer-of-domain", given)
        assert f"it asks a Vault to sign at {path}, which is no role of this stack" in message
        assert found("issuer-of-domain", given, issuers=["Issuer/shop/ca"]) == []
    assert found("issuer-of-domain", role(backend=UNKNOWN), given) == []


@pytest.mark.parametrize(
    ("patterns", "problem"),
    [
        (["*"], "* lets it sign for any trust domain"),
        (["spiffe:*"], "spiffe:* lets it sign for any trust domain"),
        (["spiffe://*"], "is of trust domain *, not example.org"),
        (["spiffe://example.com/ns/*"], "is of trust domain example.com"),
        (["spiffe://example.org*"], "is of trust domain example.org*"),
    ],
)
def test_a_role_that_signs_for_another_trust_domain_is_found(
    patterns: list[str], problem: str
) -> None:
    findings = found("identity-of-domain", DOMAIN, role(allowedUriSans=patterns))
    assert problem in " ".join(finding.problem for finding in findings)
    own = role(allowedUriSans=["spiffe://example.org/ns/shop/sa/*", "https://x.example/*", UNKNOWN])
    assert found("identity-of-domain", DOMAIN, own) == []


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"keyUsages": ["DigitalSignature", "CertSign"]}, "keyUsages has CertSign"),
        ({"extKeyUsages": ["ExtKeyUsageAny"]}, "extKeyUsages has ExtKeyUsageAny"),
        ({"extKeyUsages": ["CodeSigning"]}, "extKeyUsages has CodeSigning"),
        ({"extKeyUsageOids": ["2.5.29.37.0"]}, "extKeyUsageOids gives its leaves more purposes"),
    ],
)
def test_a_role_whose_leaves_are_good_for_more_is_found(
    settings: dict[str, Any], problem: str
) -> None:
    assert problem in said("leaf-usages", role(**settings))
    usual = {"keyUsages": ["DigitalSignature", "KeyEncipherment"], "extKeyUsages": ["ServerAuth"]}
    assert found("leaf-usages", role(**usual, extKeyUsageOids=[])) == []


@pytest.mark.parametrize("value", [True, "true"])
def test_a_vault_whose_certificate_is_not_checked_is_found(value: Any) -> None:
    address = {"address": "https://v.example"}
    provider = "pulumi:providers:vault"
    given = resource(provider, "vault", {**address, "skipTlsVerify": value})
    assert "skipTlsVerify is true" in said("vault-over-tls", given)
    checked = resource(provider, "vault", {**address, "skipTlsVerify": "false"})
    assert found("vault-over-tls", checked) == []
