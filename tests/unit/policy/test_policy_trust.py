"""Bundles, anchors, issuers and names: how the objects of a trust domain fit together."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from policy.model import UNKNOWN, Resource
from tests.unit.pki import material
from tests.unit.policy.world import (
    ANCHOR,
    KEY,
    bundle,
    certificate,
    config_map,
    exports,
    found,
    kubernetes,
    resource,
    said,
)

ROOT = material.root("g1")
OTHER = material.root("g2")
ISSUING = material.issuing("i1", root_pem=ROOT, root_key=material.key_pem("g1"))
LEAF = material.leaf(ISSUING, material.key("i1"))
MOUNT = "vault:index/mount:Mount"
NAME = "kubernetes.io/metadata.name"


def trust_manager(*namespaces: Any, sources: Any = None) -> Resource:
    matching = {"key": NAME, "operator": "In", "values": list(namespaces)}
    selector = {"matchExpressions": [matching]} if namespaces else {}
    spec = {
        "sources": [{"inLine": ROOT}] if sources is None else sources,
        "target": {"namespaceSelector": selector},
    }
    return kubernetes("trust.cert-manager.io/v1alpha1/Bundle", "mesh-trust", spec=spec)


def issuer(**spec: Any) -> Resource:
    return kubernetes("cert-manager.io/v1/Issuer", "ca", namespace="shop", spec=spec)


def ca_secret(chain: Any, name: str = "mesh-ca", namespace: str = "shop") -> Resource:
    return kubernetes("v1/Secret", name, namespace=namespace, stringData={"tls.crt": chain})


def step_ca(data: dict[str, str]) -> Resource:
    """What a step-ca of this project reads."""
    below = ("mtls-pki:index:StepCa", "dev-step-ca-g1-i1")
    return kubernetes(
        "v1/ConfigMap", "step-ca-g1-i1-certs", namespace="shop", below=below, data=data
    )


CA_ISSUER = issuer(ca={"secretName": "mesh-ca"})


# Bundles


@pytest.mark.parametrize(
    "given",
    [
        bundle(ROOT + OTHER),
        bundle(UNKNOWN),
        bundle("no certificate at all"),
        config_map("stage", data={"stage.json": "{}", "g1.pem": ROOT}),
        trust_manager("shop"),
        trust_manager(sources=UNKNOWN),
        ca_secret(ISSUING + ROOT),
        step_ca({"intermediate_ca.crt": ISSUING, "root_ca.crt": ROOT}),
    ],
    ids=["roots", "unknown", "empty", "stage", "Bundle", "unknown Bundle", "CA Secret", "step-ca"],
)
def test_roots_may_stand_in_a_bundle_and_chains_in_a_secret(given: Resource) -> None:
    assert found("bundle-roots-only", given) == []


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (bundle(ROOT + ISSUING), "data.ca.crt holds CN=i1.example.org, issued by"),
        (config_map("own", data={"x": LEAF}), "holds a certificate without a subject"),
        (
            config_map("own", binaryData={"x": base64.b64encode(ISSUING.encode()).decode()}),
            "binaryData.x holds CN=i1.example.org",
        ),
        (step_ca({"root_ca.crt": ISSUING}), "data.root_ca.crt holds CN=i1"),
        (
            config_map("own", data={"intermediate_ca.crt": ISSUING}),
            "data.intermediate_ca.crt holds CN=i1",
        ),
        (trust_manager(sources=[{"inLine": ISSUING}]), "spec.sources[0].inLine holds CN=i1"),
        (bundle(ROOT[:-40]), "data.ca.crt: block 1 has no END line"),
        (bundle(ROOT + material.key_pem("g1")), "block 2 is a private key"),
    ],
    ids=[
        *("intermediate", "leaf", "binaryData", "roots of a step-ca", "not of a step-ca"),
        *("Bundle", "damaged", "key"),
    ],
)
def test_what_is_no_root_is_found_in_every_bundle(given: Resource, place: str) -> None:
    message = said("bundle-roots-only", given)
    assert place in message
    assert material.key_pem("g1").splitlines()[1] not in message


@pytest.mark.parametrize(
    "given",
    [
        bundle(""),
        bundle("gone"),
        kubernetes("v1/ConfigMap", "mesh-trust", below=("mtls-pki:index:TrustBundle", "t")),
        trust_manager(sources=[]),
        trust_manager(sources=[{"inLine": ""}]),
    ],
    ids=["empty", "text", "no data", "no source", "empty source"],
)
def test_an_empty_bundle_is_found(given: Resource) -> None:
    assert "with none every verifier refuses every peer" in said("bundle-not-empty", given)


@pytest.mark.parametrize(
    "given",
    [
        bundle(ROOT),
        bundle(UNKNOWN),
        trust_manager(sources=[{"inLine": UNKNOWN}]),
        trust_manager(sources=UNKNOWN),
        trust_manager(sources=[UNKNOWN]),
        trust_manager(sources=[{"secret": {"name": "roots"}}]),
        config_map("notes", data={"text": "no bundle"}),
    ],
)
def test_a_bundle_that_holds_or_may_hold_something_is_left_alone(given: Resource) -> None:
    assert found("bundle-not-empty", given) == []


def test_a_namespace_without_the_bundle_is_named() -> None:
    message = said(
        "bundle-everywhere",
        bundle(ROOT, "shop"),
        certificate("web", "shop"),
        certificate("ledger", "payments"),
    )
    assert message.startswith(
        "namespace payments in dev: it has Certificate payments/ledger in dev and no trust bundle"
    )


def test_a_bundle_of_another_cluster_does_not_count() -> None:
    assert said("bundle-everywhere", bundle(ROOT, cluster="prod-us"), certificate())


def test_the_record_of_all_roots_is_no_bundle() -> None:
    record = config_map("stage", data={"stage.json": "{}", "g1.pem": ROOT})
    assert said("bundle-everywhere", record, certificate())


@pytest.mark.parametrize(
    "given",
    [
        bundle(ROOT, "shop"),
        bundle(UNKNOWN, "shop"),
        config_map("own-trust", data={"ca.crt": ROOT}),
        trust_manager("shop", "payments"),
        trust_manager(),
    ],
    ids=["bundle", "unknown", "own", "Bundle", "Bundle everywhere"],
)
def test_a_namespace_with_a_bundle_is_left_alone(given: Resource) -> None:
    assert found("bundle-everywhere", given, certificate()) == []


def test_a_root_that_only_one_bundle_of_many_holds_is_missing_in_the_others() -> None:
    message = said("bundle-everywhere", bundle(ROOT + OTHER, "shop"), bundle(ROOT, "payments"))
    assert "ConfigMap payments/mesh-trust in dev: it lacks CN=root-g2.example.org" in message
    across = said("bundle-everywhere", bundle(OTHER + ROOT), bundle(OTHER, cluster="prod-us"))
    assert "in prod-us: it lacks CN=root-g1.example.org" in across
    unknown = (bundle(ROOT, "shop"), bundle(UNKNOWN, "payments"))
    assert found("bundle-everywhere", *unknown) == []
    other_stack = config_map("own-trust", "payments", data={"ca.crt": OTHER})
    assert found("bundle-everywhere", bundle(ROOT, "shop"), other_stack) == []


def test_a_bundle_for_other_namespaces_does_not_count() -> None:
    assert said("bundle-everywhere", trust_manager("payments"), certificate())


# Anchors


def anchor_key(
    generation: str = "g1", *, name: str | None = None, protect: bool = False
) -> Resource:
    return resource(KEY, name or f"{generation}-key", below=(ANCHOR, generation), protect=protect)


def stage(role: Role) -> Resource:
    record = TrustStage(anchors={"g1": Anchor(role=role, fingerprint="ab" * 32)}).to_json()
    return config_map("mesh-trust-stage", data={"stage.json": record})


@pytest.mark.parametrize(
    "known_from", [exports(anchors={"g1": {"role": "issuing"}}), stage(Role.ISSUING)]
)
def test_an_issuing_anchor_without_protection_is_found(known_from: Resource) -> None:
    message = said("anchor-protected", known_from, anchor_key())
    assert message.startswith("PrivateKey g1-key: the key of anchor g1 is not protected while")


@pytest.mark.parametrize("role", ["incoming", "outgoing", "compromised"])
def test_an_anchor_that_does_not_issue_need_not_be_protected(role: str) -> None:
    assert found("anchor-protected", exports(anchors={"g1": {"role": role}}), anchor_key()) == []
    assert found("anchor-protected", stage(Role(role)), anchor_key()) == []


def test_the_export_says_what_comes_and_the_record_what_was() -> None:
    promoted = exports(anchors={"g1": {"role": "issuing", "fingerprint": UNKNOWN}})
    assert said("anchor-protected", stage(Role.INCOMING), promoted, anchor_key())


@pytest.mark.parametrize(
    "others",
    [(), (exports(anchors=UNKNOWN),), (config_map("s", data={"stage.json": "{}"}),)],
    ids=["nothing", "unknown", "damaged"],
)
def test_an_anchor_of_unknown_role_counts_as_issuing(others: tuple[Resource, ...]) -> None:
    assert "its role is not known" in said("anchor-protected", *others, anchor_key())


def test_other_keys_need_no_protection() -> None:
    issuing = exports(anchors={"g1": {"role": "issuing"}})
    protected = anchor_key(protect=True)
    below = anchor_key(name="g1-i1-key")
    foreign = resource(KEY, "g1-key")
    assert found("anchor-protected", issuing, protected, below, foreign) == []


def test_a_pki_mount_without_protection_is_found() -> None:
    mount = resource(MOUNT, "pki-mesh", {"type": "pki", "path": "pki-mesh"})
    assert "Mount pki-mesh: mount pki-mesh is not protected" in said("pki-mount-protected", mount)
    others = (
        resource(MOUNT, "pki", {"type": "pki"}, protect=True),
        resource(MOUNT, "kv", {"type": "kv"}),
        resource(MOUNT, "unknown", {"type": UNKNOWN}),
    )
    assert found("pki-mount-protected", *others) == []


# Issuers


@pytest.mark.parametrize(
    "reference",
    [
        {"name": "ca"},
        {"name": "ca", "kind": "Issuer", "group": "cert-manager.io"},
        {"name": UNKNOWN},
        UNKNOWN,
    ],
)
def test_an_issuer_of_this_stack_may_be_named(reference: Any) -> None:
    parts = (CA_ISSUER, ca_secret(UNKNOWN))
    assert found("issuer-of-domain", *parts, certificate(issuerRef=reference)) == []


@pytest.mark.parametrize(
    ("reference", "named"),
    [
        ({"name": "other"}, "Issuer/shop/other (cert-manager.io)"),
        ({"name": "ca", "kind": "ClusterIssuer"}, "ClusterIssuer/ca (cert-manager.io)"),
        ({"name": "ca", "group": "awspca.cert-manager.io"}, "(awspca.cert-manager.io)"),
    ],
)
def test_any_other_issuer_is_found(reference: dict[str, str], named: str) -> None:
    parts = (CA_ISSUER, ca_secret(UNKNOWN))
    message = said("issuer-of-domain", *parts, certificate(issuerRef=reference))
    assert f"its issuer {named}" in message or named in message


def test_an_issuer_of_another_namespace_is_another_issuer() -> None:
    elsewhere = kubernetes("cert-manager.io/v1/Issuer", "ca", namespace="payments")
    assert said("issuer-of-domain", elsewhere, certificate())


def test_an_issuer_that_is_declared_elsewhere_can_be_named() -> None:
    given = certificate(issuerRef={"name": "mesh", "kind": "ClusterIssuer"})
    assert found("issuer-of-domain", given, issuers=["ClusterIssuer/mesh"]) == []
    assert found("issuer-of-domain", certificate(), issuers=["Issuer/shop/ca"]) == []


@pytest.mark.parametrize("kind", ["selfSigned", "acme"])
def test_an_issuer_without_a_ca_of_the_domain_is_found(kind: str) -> None:
    assert f"it is a {kind} issuer" in said("issuer-of-domain", issuer(**{kind: {}}))


def test_a_ca_that_no_trusted_root_has_signed_is_found() -> None:
    parts = (CA_ISSUER, ca_secret(ISSUING + ROOT))
    message = said("issuer-of-domain", bundle(OTHER), *parts)
    assert "Issuer shop/ca in dev: its CA CN=i1.example.org was signed by none" in message
    assert found("issuer-of-domain", bundle(ROOT), *parts) == []
    assert found("issuer-of-domain", bundle(UNKNOWN), *parts) == []
    assert found("issuer-of-domain", bundle(OTHER), CA_ISSUER, ca_secret(UNKNOWN)) == []


def test_a_record_of_distrusted_roots_is_no_trust() -> None:
    record = config_map("stage", data={"stage.json": "{}", "g1.pem": ROOT})
    parts = (CA_ISSUER, ca_secret(ISSUING + ROOT), bundle(OTHER))
    assert said("issuer-of-domain", record, *parts)


def test_a_root_that_signs_leaves_itself_is_of_the_domain() -> None:
    assert found("issuer-of-domain", bundle(ROOT), CA_ISSUER, ca_secret(ROOT)) == []


@pytest.mark.parametrize(
    ("exported", "parameters"),
    [({"trustDomain": "example.org"}, {}), ({}, {"trustDomain": "example.org"})],
)
def test_a_spiffe_id_of_another_domain_is_found(
    exported: dict[str, str], parameters: dict[str, str]
) -> None:
    foreign = certificate(uris=["spiffe://example.com/ns/shop/sa/web"])
    message = said("identity-of-domain", exports(**exported), foreign, **parameters)
    assert "is of trust domain example.com, not example.org" in message
    own = certificate(uris=["spiffe://example.org/ns/shop/sa/web", UNKNOWN])
    assert found("identity-of-domain", exports(**exported), own, **parameters) == []


@pytest.mark.parametrize("second", ["spiffe://example.org/ns/shop/sa/admin", "https://a.example/x"])
def test_a_second_uri_beside_a_spiffe_id_is_found(second: str) -> None:
    leaf = certificate(uris=["spiffe://example.org/ns/shop/sa/web", second])
    told = said("identity-of-domain", exports(trustDomain="example.org"), leaf)
    assert f"{second}: a SPIFFE ID is the only URI of its leaf" in told
    plain = certificate(uris=["https://a.example/x", "https://a.example/y"])
    assert found("identity-of-domain", exports(trustDomain="example.org"), plain) == []


def test_a_spiffe_id_without_a_known_domain_cannot_be_judged_and_is_found() -> None:
    assert "cannot be judged" in said("identity-of-domain", exports(), certificate())
    assert found("identity-of-domain", exports(), certificate(uris=None)) == []


# Names


def anchor(name: str, pem: Any, fingerprint: Any = None, scope: str = "mtls-pki") -> Resource:
    given = {"certificatePem": pem, "fingerprint": fingerprint or name}
    return resource(ANCHOR, name, given, below=("pulumi:pulumi:Stack", scope))


def test_two_keys_under_one_subject_are_found() -> None:
    namesake = material.root("g2", common_name="root-g1.example.org")
    message = said("generation-names", anchor("g1", ROOT), anchor("g2", namesake))
    assert message.startswith("TrustAnchor g1 and TrustAnchor g2: CN=root-g1.example.org is the")


def test_an_issuing_ca_named_as_its_root_is_found() -> None:
    same = material.issuing(
        "i9",
        root_pem=ROOT,
        root_key=material.key_pem("g1"),
        common_name="issuing.example.org",
    )
    twin = material.issuing(
        "i8",
        root_pem=ROOT,
        root_key=material.key_pem("g1"),
        common_name="issuing.example.org",
    )
    assert said("generation-names", ca_secret(same), ca_secret(twin, name="twin"))


def test_one_key_and_one_name_for_two_anchors_are_found() -> None:
    shared = said("generation-names", anchor("g1", UNKNOWN, "ab"), anchor("g2", UNKNOWN, "ab"))
    assert "2 anchors have the same key ab" in shared
    twice = said(
        "generation-names", anchor("g1", UNKNOWN, "ab"), anchor("g1", UNKNOWN, "cd", scope="two")
    )
    assert "2 anchors have the same generation g1" in twice


def test_renewed_certificates_and_copies_of_a_chain_are_no_second_key() -> None:
    renewed = material.root("g1", validity=material.ONE_YEAR)
    parts = (
        anchor("g1", renewed),
        ca_secret(ISSUING + ROOT),
        ca_secret(ISSUING + ROOT, name="copy"),
        anchor("g2", UNKNOWN, UNKNOWN),
        anchor("g3", UNKNOWN, UNKNOWN),
    )
    assert found("generation-names", *parts) == []


# The way to Vault


@pytest.mark.parametrize(
    ("given", "place"),
    [
        (
            resource("pulumi:providers:vault", "vault", {"address": "http://u:pw@v.example:8200"}),
            "vault vault: address is no https URL",
        ),
        (
            issuer(vault={"server": "http://v.example:8200"}),
            "spec.vault.server is no https URL",
        ),
        (
            kubernetes(
                "cert-manager.io/v1/ClusterIssuer", "ca", spec={"vault": {"server": "v.example"}}
            ),
            "spec.vault.server is no https URL",
        ),
    ],
)
def test_vault_without_tls_is_found_and_no_credential_shown(given: Resource, place: str) -> None:
    message = said("vault-over-tls", given)
    assert place in message
    assert "pw" not in message


@pytest.mark.parametrize(
    "given",
    [
        resource("pulumi:providers:vault", "vault", {"address": "https://v.example"}),
        resource("pulumi:providers:vault", "vault", {"address": UNKNOWN}),
        issuer(vault={"server": "https://v.example"}),
        CA_ISSUER,
    ],
)
def test_vault_over_tls_is_left_alone(given: Resource) -> None:
    assert found("vault-over-tls", given) == []
