"""Components by themselves, under the recording monitor."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pulumi
import pytest

from mtls_pki.backends.ca.declare import ca_issuer_args
from mtls_pki.backends.declare import IssuerPlace
from mtls_pki.components.ca_issuer import CaIssuer, CaIssuerArgs
from mtls_pki.components.trust_anchor import (
    BroughtAnchor,
    SigningPair,
    TrustAnchor,
    TrustAnchorArgs,
)
from mtls_pki.components.trust_bundle import TrustBundle, TrustBundleArgs
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.program.arguments import trust_anchor_args
from tests.unit.pki import material
from tests.unit.program.engine import Program, run_code
from tests.unit.settings.configuration import load


def bundle_of(
    *roots: str, via: Literal["configmap", "trust-manager"] = "configmap", **options: Any
) -> Program:
    def code() -> None:
        TrustBundle(
            "bundle",
            TrustBundleArgs(
                bundle_name="mesh-trust",
                keys=("ca.crt",),
                namespaces=("app", "db"),
                roots=roots,
                via=via,
                ready_timeout=timedelta(minutes=5),
            ),
            pulumi.ResourceOptions(**options),
        )

    return run_code(code)


def test_order_and_repetition_of_roots_do_not_matter() -> None:
    g1, g2 = material.root("g1"), material.root("g2")
    one = bundle_of(g1, g2).object("ConfigMap", "mesh-trust", namespace="app").inputs["data"]
    two = bundle_of(g2, g1, g2).object("ConfigMap", "mesh-trust", namespace="db").inputs["data"]
    assert one == two
    assert len(parse_certificates(one["ca.crt"], origin="bundle")) == 2


def test_options_of_a_component_stay_with_it() -> None:
    """Children get parent, provider and protection; the rest is not merged into them."""
    program = bundle_of(
        material.root("g1"), via="trust-manager", aliases=[pulumi.Alias(name="old")], protect=True
    )
    component, child = program.one("TrustBundle", "bundle"), program.object("Bundle", "mesh-trust")
    assert child.parent == component.urn
    assert component.protect
    assert child.protect
    assert not child.dependencies


def test_hooks_are_optional() -> None:
    for resource in bundle_of(material.root("g1")).of("ConfigMap"):
        assert resource.hooks == {}


def test_an_anchor_tells_the_fingerprint_of_its_key_not_of_its_certificate() -> None:
    """Renewing a root keeps its identity."""
    told = []
    for validity in (material.TEN_YEARS, material.ONE_YEAR):
        pem = material.root("g1", validity=validity)

        def code(pem: str = pem) -> None:
            args = TrustAnchorArgs(source=BroughtAnchor(certificate_pem=pem))
            assert TrustAnchor("g1", args).signing is None

        program = run_code(code)
        outputs = program.outputs_of(program.one("TrustAnchor", "g1"))
        assert outputs["certificatePem"] == pem
        told.append(outputs["fingerprint"])
    expected = spki_sha256(material.parsed(material.root("g1")))
    assert told == [expected, expected]


def test_an_anchor_without_issuing_ca_has_no_issuer() -> None:
    settings = load()

    def code() -> None:
        pem = material.root("g1")
        anchor = TrustAnchor("g1", TrustAnchorArgs(source=BroughtAnchor(certificate_pem=pem)))
        place = IssuerPlace(
            resource_name="dev-mtls-ca-g1",
            cluster="dev",
            generation="g1",
            name="mtls-ca-g1",
            secret_name="mtls-ca-g1",  # noqa: S106 a name
            namespace=None,
            on_failure=pulumi.ErrorHook("explain", lambda args: False),
            options=pulumi.ResourceOptions(),
        )
        ca_issuer_args(settings, anchor, place)

    with pytest.raises(ValueError, match="mtls-ca-g1: its anchor has no issuing CA here"):
        run_code(code)


def test_a_brought_key_is_secret_from_its_first_moment(tmp_path: Path) -> None:
    root = material.root("g1")
    issuing = material.issuing("i1", root_pem=root, root_key=material.key_pem("g1"))
    (tmp_path / "g1.pem").write_text(root)
    (tmp_path / "i1.pem").write_text(issuing)
    files = {"certificate": "i1.pem", "privateKey": material.key_pem("i1")}
    g1 = {"role": "issuing", "certificate": "g1.pem", "issuingCa": files}
    settings = load({"anchors.g1": g1}, directory=tmp_path, secret=["anchors"])
    secret: list[bool] = []

    async def note(key_pem: pulumi.Output[str]) -> None:
        secret.append(await key_pem.is_secret())

    def code() -> None:
        source = trust_anchor_args(settings, "g1").source
        assert isinstance(source, BroughtAnchor)
        assert source.issuing_ca_key_pem is not None
        pulumi.export("noted", pulumi.Output.from_input(note(source.issuing_ca_key_pem)))

    run_code(code)
    assert secret == [True]


def test_signing_material_is_secret_where_it_is_secret() -> None:
    """The chain of a generated anchor is public, so that a preview shows it; the key never is."""
    secret: dict[str, bool] = {}

    async def note(signing: SigningPair) -> None:
        secret["chain"] = await signing.chain_pem.is_secret()
        secret["key"] = await signing.key_pem.is_secret()

    def code() -> None:
        anchor = TrustAnchor("g1", trust_anchor_args(load(), "g1"))
        assert anchor.signing is not None
        pulumi.export("noted", pulumi.Output.from_input(note(anchor.signing)))

    run_code(code)
    assert secret == {"chain": False, "key": True}


@pytest.mark.parametrize(
    ("kind", "namespace"), [("Issuer", "app"), ("ClusterIssuer", None)], ids=["Issuer", "Cluster"]
)
def test_an_issuer_stands_beside_its_secret_or_in_no_namespace(
    kind: Literal["Issuer", "ClusterIssuer"], namespace: str | None
) -> None:
    def code() -> None:
        CaIssuer(
            "issuer",
            CaIssuerArgs(
                kind=kind,
                issuer_name="m8-root-ca-issuer",
                secret_name="m8-trust-anchor",  # noqa: S106 a name
                namespace="app",
                signing=SigningPair(
                    chain_pem=pulumi.Output.from_input(material.root("g1")),
                    key_pem=pulumi.Output.secret(material.key_pem("g1")),
                ),
                ready_timeout=timedelta(seconds=90),
            ),
        )

    program = run_code(code)
    issuer = program.object(kind, "m8-root-ca-issuer")
    assert issuer.metadata.get("namespace") == namespace
    assert issuer.timeouts == {"create": "90s", "update": "90s"}
    assert program.object("Secret", "m8-trust-anchor").metadata["namespace"] == "app"
    assert program.outputs_of(next(r for r in program.of("Issuer") if not r.custom)) == {
        "issuerName": "m8-root-ca-issuer",
        "kind": kind,
    }
