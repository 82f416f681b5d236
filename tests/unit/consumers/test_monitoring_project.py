"""The files that the exporter's pod gets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from mtls_pki.consumers.monitoring.project import project_files
from mtls_pki.registry import extensions
from mtls_pki.settings.model import Settings
from mtls_pki.settings.stack_file.reading import open_stack_file
from tests.unit.pki import material

STACK = """
config:
  shop:trustDomain: example.org
  shop:clusters:
    eu: {kubeconfig: /home/somebody/eu, context: admin, clusterDomain: eu.local}
    us: {context: us}
  shop:anchors:
    g1:
      role: issuing
      certificate: trust/g1.pem
      issuingCa: {certificate: trust/i1.pem, privateKey: {secure: v1:AAAA:BBBB}}
    g2:
      role: incoming
      commonName: root-g2.example.org
      validFrom: "2026-12-01T00:00:00Z"
      validFor: 87600h
  shop:trust: {namespaces: [app]}
  shop:services:
    web: {namespace: app, commonName: "0777"}
  shop:consumers:
    monitoring: {cluster: eu, service: web, image: "example.org/mtls-pki:1", kubeconfigs: others}
encryptionsalt: v1:salt
"""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust/g1.pem").write_text(material.root("g1"))
    issuing = material.issuing("i1", root_pem=material.root("g1"), root_key=material.key_pem("g1"))
    (tmp_path / "trust/i1.pem").write_text(issuing)
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (tmp_path / "Pulumi.prod.yaml").write_text(STACK)
    opened = open_stack_file(tmp_path, "prod", os.environ, extensions())
    return project_files(
        opened.settings(),
        opened.values(),
        project="shop",
        stack="prod",
        cluster="eu",
        kubeconfigs="/clusters",
    )


def settings(directory: Path, files: dict[str, str]) -> Settings:
    for name, text in files.items():
        (directory / name).write_text(text)
    return open_stack_file(directory, None, {}, extensions()).settings()


def plain(settings: Settings) -> dict[str, Any]:
    return settings.model_dump(exclude={"clusters", "anchors"})


def test_the_pod_reads_the_same_settings(files: dict[str, str], tmp_path: Path) -> None:
    pod = tmp_path / "pod"
    pod.mkdir()
    found = settings(pod, files)
    own = open_stack_file(tmp_path, "prod", {}, extensions()).settings()
    assert plain(found) == plain(own)
    assert found.owner == own.owner
    for generation, anchor in own.anchors.items():
        assert found.anchors[generation].role is anchor.role
        if anchor.certificate is not None:
            brought = found.anchors[generation].certificate
            assert brought is not None
            assert brought.pem == anchor.certificate.pem
    assert found.clusters["eu"].cluster_domain == "eu.local"


def test_it_reaches_clusters_by_what_the_pod_has(files: dict[str, str], tmp_path: Path) -> None:
    pod = tmp_path / "pod"
    pod.mkdir()
    found = settings(pod, files)
    assert found.clusters["us"].kubeconfig == "/clusters/us"
    assert {each.context for each in found.clusters.values()} == {None}
    own = found.clusters["eu"].kubeconfig
    assert own is not None
    assert own.split("/")[-1] in files


def test_no_secret_and_no_path_of_this_machine_leaves(files: dict[str, str]) -> None:
    whole = "\n".join(files.values())
    for text in ("BBBB", "v1:salt", "/home/somebody", "PRIVATE KEY", "trust/g1.pem"):
        assert text not in whole
