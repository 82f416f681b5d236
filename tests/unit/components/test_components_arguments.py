"""From settings to arguments: what the program's rules rely on, and no Pulumi types beyond need."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mtls_pki.components import (
    ca_issuer,
    cert_manager,
    service_certificate,
    trust_anchor,
    trust_bundle,
)
from mtls_pki.components.cert_manager import merge_values
from mtls_pki.components.kubernetes_options import await_at_most, awaited, explained_by, owned
from mtls_pki.components.trust_anchor import BroughtAnchor, GeneratedAnchor
from mtls_pki.program.arguments import cert_manager_args, trust_anchor_args
from tests.unit.pki import material
from tests.unit.settings.configuration import load


def test_a_generated_anchor_has_the_configured_profile() -> None:
    source = trust_anchor_args(load(), "g1").source
    assert isinstance(source, GeneratedAnchor)
    assert source.root == trust_anchor.CaProfile(
        common_name="root.example.org",
        not_before=datetime(2026, 11, 1, tzinfo=UTC),
        not_after=datetime(2036, 10, 29, tzinfo=UTC),
        path_length=1,
    )
    assert source.issuing_ca == trust_anchor.CaProfile(
        common_name="issuing-g1-i1.example.org",
        not_before=datetime(2026, 11, 1, tzinfo=UTC),
        not_after=datetime(2027, 11, 1, tzinfo=UTC),
        path_length=0,
    )


def test_a_root_that_issues_directly_has_no_issuing_ca() -> None:
    source = trust_anchor_args(load({"issuing.direct": True}), "g1").source
    assert isinstance(source, GeneratedAnchor)
    assert source.issuing_ca is None


def test_a_brought_anchor_is_its_file(tmp_path: Path) -> None:
    (tmp_path / "g2.pem").write_text(material.root("g2"))
    g2 = {"role": "incoming", "certificate": "g2.pem"}
    settings = load({"anchors.g2": g2}, directory=tmp_path)
    assert trust_anchor_args(settings, "g2").source == BroughtAnchor(
        certificate_pem=material.root("g2")
    )


def test_trust_manager_is_installed_only_where_it_distributes() -> None:
    assert cert_manager_args(load()).trust_manager is None
    assert cert_manager_args(load({"trust.via": "trust-manager"})).trust_manager is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ca_issuer.CaIssuerArgs,
        cert_manager.CertManagerArgs,
        cert_manager.ChartSource,
        service_certificate.ServiceCertificateArgs,
        trust_anchor.BroughtAnchor,
        trust_anchor.CaProfile,
        trust_anchor.GeneratedAnchor,
        trust_anchor.SigningPair,
        trust_anchor.TrustAnchorArgs,
        trust_bundle.TrustBundleArgs,
    ],
)
def test_arguments_are_frozen_and_by_keyword(arguments: type) -> None:
    parameters = arguments.__dataclass_params__  # type: ignore[attr-defined]
    assert parameters.frozen
    assert all(field.kw_only for field in dataclasses.fields(arguments))


def test_helm_values_are_merged_by_key_and_nothing_is_changed_in_place() -> None:
    base = {"crds": {"enabled": True, "keep": True}, "list": [1, 2], "x": 1}
    over = {"crds": {"keep": False}, "list": [3], "x": {"y": 2}, "new": None}
    assert merge_values(base, over) == {
        "crds": {"enabled": True, "keep": False},
        "list": [3],
        "x": {"y": 2},
        "new": None,
    }
    assert base == {"crds": {"enabled": True, "keep": True}, "list": [1, 2], "x": 1}


def test_awaiting() -> None:
    assert awaited("Synced") == {**owned(), "pulumi.com/waitFor": "condition=Synced"}
    timeouts = await_at_most(timedelta(minutes=5))
    assert (timeouts.create, timeouts.update, timeouts.delete) == ("300s", "300s", None)
    assert explained_by(None) is None
