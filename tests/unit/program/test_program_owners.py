"""Every object says whose it is, and what is renamed is not made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mtls_pki.clusters import former_names
from mtls_pki.components.kubernetes_options import WAITING
from tests.unit.program.engine import Declared, Program, run_program
from tests.unit.settings.configuration import changed

ANNOTATIONS = ("mtls-pki/owner", "mtls-pki/trust-domain", "mtls-pki/urn")
EVERYTHING = {"trust.createNamespaces": True, "issuing.stable": True}


def run(changes: Mapping[str, Any]) -> Program:
    return run_program(changed({**EVERYTHING, **changes}))


def objects(program: Program) -> list[Declared]:
    return [each for each in program.resources if each.type.startswith("kubernetes:")]


@pytest.mark.parametrize("via", ["configmap", "trust-manager"])
@pytest.mark.parametrize("backend", [{}, {"issuing.kind": "Issuer"}])
def test_every_object_of_a_cluster_names_its_owner(via: str, backend: dict[str, Any]) -> None:
    found = objects(run({"trust.via": via, **backend}))
    assert {"Namespace", "Secret", "Certificate", "ConfigMap"} <= {each.kind for each in found}
    for each in found:
        assert {key: each.marks[key] for key in ANNOTATIONS} == {
            "mtls-pki/owner": "mtls-pki/test",
            "mtls-pki/trust-domain": "example.org",
            "mtls-pki/urn": f"{each.type}::{each.name}",
        }


def test_what_an_earlier_release_made_goes_without() -> None:
    for each in objects(run({})):
        ignored = set(each.ignore_changes)
        if each.kind == "Namespace":
            assert ignored == {"metadata.annotations"}
            continue
        expected = {f'metadata.annotations["{key}"]' for key in ANNOTATIONS}
        if each.name.endswith("-gate"):
            expected.add('metadata.annotations["mtls-pki/cluster-names"]')
        if each.kind == "Certificate":
            expected |= set(WAITING)
        assert ignored == expected, each.name


def test_namespaces_stay_when_their_line_goes() -> None:
    (namespace,) = run({}).of("Namespace")
    assert namespace.retain_on_delete
    assert namespace.aliases == ("dev-app",)


def identities(program: Program) -> dict[tuple[str, str, str], str]:
    return {
        (each.kind, each.metadata.get("namespace", ""), each.metadata["name"]): each.urn
        for each in objects(program)
    }


def test_the_key_of_a_service_is_no_part_of_its_certificates_identity() -> None:
    before = identities(run({}))
    after = identities(run({"services": {"frontend": {"namespace": "app", "name": "web"}}}))
    assert after == before


@pytest.mark.parametrize(
    ("services", "aliases"),
    [
        ({"web": {"namespace": "app"}}, ("dev-web",)),
        ({"front": {"namespace": "app", "name": "web"}}, ("dev-front", "dev-web")),
        (
            {
                "front": {"namespace": "app", "name": "web"},
                "web": {"namespace": "app", "name": "x"},
            },
            ("dev-front",),
        ),
    ],
)
def test_a_certificate_is_known_by_the_names_of_an_earlier_release(
    services: dict[str, Any], aliases: tuple[str, ...]
) -> None:
    assert run({"services": services}).one("Certificate", "dev/app/web").aliases == aliases


def test_a_ca_secret_stays_when_its_issuer_gets_another_name() -> None:
    before = identities(run({"issuing.secretName": "trust-ca"}))
    after = identities(run({"issuing.secretName": "trust-ca", "issuing.name": "mesh-issuer"}))
    secret = ("Secret", "cert-manager", "trust-ca-g1-i1")
    assert after[secret] == before[secret]
    assert ("ClusterIssuer", "", "mesh-issuer-g1-i1") in after


def rename(monkeypatch: pytest.MonkeyPatch, *former: str) -> None:
    monkeypatch.setattr(former_names, "_of", lambda *_: former)


def test_everything_of_a_renamed_cluster_is_known_by_its_former_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = run({"clusters": {"dev": {"context": "x"}}})
    rename(monkeypatch, "eu", "dev")
    after = run({"clusters": {"lab": {"context": "x"}}})
    known = {
        (each.kind, name)
        for each in after.resources
        for name in (each.name, *each.aliases)
        if each.cluster == "lab"
    }
    missing = {(each.kind, each.name) for each in before.resources} - known
    # The stack, anchors and their keys belong to no cluster.
    assert {name for _, name in missing} <= {"mtls-pki-test", "g1", "g1-key", "g1-i1-key", "tls"}
    provider = after.one("kubernetes", "lab")
    assert provider.aliases == ("eu", "dev")
    assert provider.ignore_changes == ("clusterIdentifier",)
    gate = after.object("ConfigMap", "mesh-trust-stage")
    assert gate.marks["mtls-pki/cluster-names"] == "lab eu dev"
    assert 'metadata.annotations["mtls-pki/cluster-names"]' not in gate.ignore_changes


def test_a_cluster_that_cannot_be_read_has_only_the_former_name_that_is_written() -> None:
    program = run({"clusters": {"lab": {"kubeconfig": "/nowhere", "formerly": "dev"}}})
    assert program.one("kubernetes", "lab").aliases == ("dev",)
