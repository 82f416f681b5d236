"""Names that follow from the settings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mtls_pki.backends.vault.names import issuer_name_of, name_in_mount
from mtls_pki.settings.model import ServiceSettings
from mtls_pki.settings.names import (
    issuer_name,
    issuing_ca_common_name,
    issuing_ca_not_before,
    issuing_generations,
    secret_name,
    service_dns_names,
    spiffe_id,
)
from tests.unit.pki import material
from tests.unit.settings.configuration import G2, load


@pytest.mark.parametrize(
    ("changes", "generations"),
    [
        ({}, ("g1",)),
        ({"anchors.g2": G2}, ("g1",)),
        ({"anchors.g2": G2, "services.web.anchor": "g2"}, ("g1", "g2")),
        ({"anchors.g2": G2 | {"role": "outgoing"}}, ("g1", "g2")),
        ({"anchors.g2": G2 | {"role": "compromised"}}, ("g1",)),
    ],
    ids=["issuing", "incoming", "canary", "outgoing", "compromised"],
)
def test_generations_with_issuers(changes: dict[str, Any], generations: tuple[str, ...]) -> None:
    assert issuing_generations(load(changes)) == generations


def test_a_brought_anchor_without_issuing_ca_has_no_issuer(tmp_path: Path) -> None:
    (tmp_path / "g2.pem").write_text(material.root("g2"))
    g2 = {"role": "outgoing", "certificate": "g2.pem"}
    assert issuing_generations(load({"anchors.g2": g2}, directory=tmp_path)) == ("g1",)


def test_issuers_are_named_by_the_generations_above_the_leaf() -> None:
    settings = load({"issuing": {"name": "m8-issuer", "intermediate": {"generation": "i7"}}})
    assert issuer_name(settings, "g1") == "m8-issuer-g1-i7"
    assert secret_name(settings, "g1") == "m8-issuer-g1-i7"


def test_the_secret_may_have_a_name_of_its_own() -> None:
    settings = load({"issuing": {"name": "m8-issuer", "secretName": "m8-anchor"}})
    assert secret_name(settings, "g1") == "m8-anchor-g1-i1"


def test_a_root_that_signs_leaves_itself_names_no_issuing_ca() -> None:
    settings = load({"issuing.direct": True})
    assert issuer_name(settings, "g1") == "mtls-ca-g1"


@pytest.mark.parametrize("direct", [False, True])
def test_a_brought_issuing_ca_names_itself(tmp_path: Path, direct: bool) -> None:
    root = material.root("g1")
    issuing = material.issuing("offline", root_pem=root, root_key=material.key_pem("g1"))
    (tmp_path / "g1.pem").write_text(root)
    (tmp_path / "ca.pem").write_text(issuing)
    settings = load(
        {
            "issuing.direct": direct,
            "anchors.g1": {
                "role": "issuing",
                "certificate": "g1.pem",
                "issuingCa": {
                    "generation": "offline3",
                    "certificate": "ca.pem",
                    "privateKey": material.key_pem("offline"),
                },
            },
        },
        directory=tmp_path,
        secret=["anchors"],
    )
    assert issuer_name(settings, "g1") == "mtls-ca-g1-offline3"


def test_subjects_of_issuing_cas_differ_by_generation() -> None:
    settings = load({"anchors.g2": G2})
    intermediate = settings.issuing.issuing_ca
    assert intermediate is not None
    subjects = [issuing_ca_common_name(settings, name, intermediate) for name in settings.anchors]
    assert subjects == ["issuing-g1-i1.example.org", "issuing-g2-i1.example.org"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (None, datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-10-01T00:00:00Z", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2027-10-01T00:00:00Z", datetime(2027, 10, 1, tzinfo=UTC)),
    ],
)
def test_an_issuing_ca_never_begins_before_its_root(own: str | None, expected: datetime) -> None:
    settings = load({"issuing.intermediate": {} if own is None else {"validFrom": own}})
    intermediate = settings.issuing.issuing_ca
    assert intermediate is not None
    assert issuing_ca_not_before(settings.anchors["g1"], intermediate) == expected


@pytest.mark.parametrize(
    ("service", "names"),
    [
        ({}, ("web.app.svc.k8s.test", "web.app.svc", "web.app")),
        ({"name": "front"}, ("front.app.svc.k8s.test", "front.app.svc", "front.app")),
        ({"dnsNames": ["only.example.org"]}, ("only.example.org",)),
        ({"dnsNames": []}, ()),
    ],
)
def test_dns_names(service: dict[str, Any], names: tuple[str, ...]) -> None:
    read = ServiceSettings.model_validate({"namespace": "app"} | service)
    assert service_dns_names("web", read, "k8s.test") == names


@pytest.mark.parametrize(
    ("service", "account"),
    [({}, "web"), ({"name": "front"}, "front"), ({"name": "front", "serviceAccount": "sa"}, "sa")],
)
def test_spiffe_ids_name_the_service_account(service: dict[str, Any], account: str) -> None:
    read = ServiceSettings.model_validate({"namespace": "app"} | service)
    assert spiffe_id("web", read, "example.org") == f"spiffe://example.org/ns/app/sa/{account}"


def test_a_certificate_in_a_vault_is_named_after_itself_and_its_issuing_ca() -> None:
    name = name_in_mount("g1-i1", "5f3a09c2" + "0" * 56)
    assert name == "g1-i1-5f3a09c2"
    assert issuer_name_of(name) == "g1-i1"
    assert [issuer_name_of(each) for each in ("", "theirs")] == ["", ""]
