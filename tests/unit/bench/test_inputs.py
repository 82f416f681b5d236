"""What is measured: configurations, copies of Certificates, stand-ins for clusters."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench import comparison, configuration, reading, synthetic
from lab.project_copy import copy_program
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.registry import extensions
from mtls_pki.settings.load import load_settings
from mtls_pki.settings.model import Settings
from tests.unit.evidence.api import served
from tests.unit.evidence.objects import fingerprint


def loaded_values(values: dict[str, Any]) -> Settings:
    return load_settings(
        values,
        source="bench",
        directory=Path(),
        owner="x/y",
        secret_keys=(),
        extensions=extensions(),
    )


def loaded(anchors: dict[str, str], count: int, kubeconfig: str = "k") -> Settings:
    values = configuration.settings(
        cluster="bench",
        kubeconfig=kubeconfig,
        anchors=anchors,
        count=count,
        hold_down=timedelta(seconds=30),
    )
    return load_settings(
        values,
        source="bench",
        directory=Path(),
        owner="x/y",
        secret_keys=(),
        extensions=extensions(),
    )


@pytest.mark.parametrize(
    "anchors",
    [{"g1": "issuing"}, {"g1": "issuing", "g2": "incoming"}, {"g1": "outgoing", "g2": "issuing"}],
)
def test_each_configuration_is_right(anchors: dict[str, str]) -> None:
    settings = loaded(anchors, 3)
    assert len(settings.services) == 3
    assert settings.trust.hold_down == timedelta(seconds=30)


def test_the_stacks_of_two_backends_share_no_name() -> None:
    def made(backend: str, issuing: dict[str, Any]) -> Settings:
        values = configuration.settings_of(
            backend,
            cluster="bench",
            kubeconfig="k",
            count=3,
            hold_down=timedelta(seconds=30),
            issuing=issuing,
        )
        return load_settings(
            values,
            source="bench",
            directory=Path(),
            owner="x/y",
            secret_keys=(),
            extensions=extensions(),
        )

    held = made("vault", {"vault": {"server": "https://127.0.0.1:8200"}})
    plain = made("ca", {})
    assert (held.backend_of("g1").name, plain.backend_of("g1").name) == ("vault", "ca")
    assert {len(held.services), len(plain.services)} == {3}
    assert {each.namespace for each in held.services.values()} == {"bench-stack-vault"}
    assert not set(held.trust.namespaces) & set(plain.trust.namespaces)
    assert held.trust.name != plain.trust.name
    assert held.issuing.name != plain.issuing.name


def test_keys_of_the_stack_file_carry_the_project() -> None:
    assert configuration.stack_file({"trust": 1}) == {"config": {"mtls-pki:trust": 1}}


def test_copies_are_the_declared_certificates_in_another_namespace() -> None:
    def resource(kind: str, name: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "one", "annotations": {"a": "b"}}
        inputs = {"apiVersion": "v", "kind": "Certificate", "metadata": metadata, "spec": {"x": 1}}
        return {"type": kind, "inputs": inputs}

    resources = [
        {"type": "pulumi:pulumi:Stack"},
        resource("kubernetes:cert-manager.io/v1:Certificate", "web"),
        resource("kubernetes:cert-manager.io/v1:ClusterIssuer", "issuer"),
    ]
    (copy,) = comparison.copies({"deployment": {"resources": resources}}, "two")
    assert copy == {
        "apiVersion": "v",
        "kind": "Certificate",
        "metadata": {"name": "web", "namespace": "two", "annotations": {"a": "b"}},
        "spec": {"x": 1},
    }


def test_kubectl_is_used_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison.shutil, "which", lambda name: f"/bin/{name}")
    assert comparison.method() == "kubectl apply --server-side"
    monkeypatch.setattr(comparison.shutil, "which", lambda name: None)
    assert "lab's client" in comparison.method()


def test_the_program_is_copied_whole(tmp_path: Path) -> None:
    copy_program(tmp_path / "program")
    assert (tmp_path / "program/Pulumi.yaml").exists()
    assert (tmp_path / "program/__main__.py").exists()
    assert (tmp_path / "program/.venv/bin/python").exists()


def test_the_stand_in_has_leaves_of_their_own_under_one_anchor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    with served(synthetic.api(7)) as api:
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(yaml.safe_dump(reading.kubeconfig(api.url)), encoding="utf-8")
        (cluster,) = collect_evidence(loaded({"g1": "issuing"}, 0, str(kubeconfig))).reachable
    assert len({leaf.name for leaf in cluster.leaves}) == 7
    assert {leaf.signers for leaf in cluster.leaves} == {frozenset({fingerprint("g1")})}
