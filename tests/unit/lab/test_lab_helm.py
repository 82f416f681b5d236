"""Rendering charts, with a stand-in for Helm that says how it was run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab import helm, toolchain
from lab.addons import CERT_MANAGER, TRUST_MANAGER, Addon
from lab.errors import LabError

FAKE_HELM = """#!/bin/sh
echo a > "$HOME/left-in-home"
printf '{"arguments": "%s", "values": %s}' "$*" "$(/bin/cat)" > "{record}"
/usr/bin/env > "{record}.environment"
/bin/cat "{answer}"
"""
RBAC = """---
# Source: demo/templates/rbac.yaml
kind: ClusterRole
metadata:
  name: demo
---
---
kind: Role
metadata:
  name: demo:leaderelection
"""


class FakeHelm:
    """The stand-in's answer and record."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / "helm"
        self._record, self._answer = directory / "record", directory / "answer"
        script = FAKE_HELM.replace("{record}", str(self._record))
        self.program.write_text(script.replace("{answer}", str(self._answer)))
        self.program.chmod(0o755)
        self._answer.write_text(RBAC)

    @property
    def run(self) -> dict[str, Any]:
        run: dict[str, Any] = json.loads(self._record.read_text())
        return run

    @property
    def environment(self) -> dict[str, str]:
        text = Path(f"{self._record}.environment").read_text()
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeHelm:
    made = FakeHelm(tmp_path)
    monkeypatch.setattr(toolchain, "ensure", lambda name: {name: made.program})
    return made


def render(chart: Path) -> tuple[Any, ...]:
    return helm.render(
        chart,
        release="demo",
        namespace="space",
        values={"a": {"b": True}},
        templates=("rbac.yaml", "webhook-rbac.yaml"),
    )


def test_the_objects_of_the_named_templates(fake: FakeHelm, tmp_path: Path) -> None:
    assert [each["kind"] for each in render(tmp_path)] == ["ClusterRole", "Role"]

    assert fake.run["values"] == {"a": {"b": True}}
    assert fake.run["arguments"].split() == [
        "template",
        "demo",
        str(tmp_path),
        "--namespace=space",
        "--values=-",
        "--show-only=templates/rbac.yaml",
        "--show-only=templates/webhook-rbac.yaml",
    ]


def test_nothing_of_the_user_is_read_or_written(
    fake: FakeHelm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in ("KUBECONFIG", "HELM_NAMESPACE", "HELM_PLUGINS", "HELM_REPOSITORY_CONFIG"):
        monkeypatch.setenv(name, str(home / "of-the-user"))

    render(tmp_path)

    assert list(home.iterdir()) == []
    given = {name: value for name, value in fake.environment.items() if name.isupper()}
    assert not [value for value in given.values() if str(home) in value]
    places = {given[f"HELM_{kind}_HOME"] for kind in ("CACHE", "CONFIG", "DATA")}
    assert len(places) == 1
    assert not any(Path(place).exists() for place in places)
    assert "KUBECONFIG" not in given


def test_what_helm_refuses_is_one_message(
    fake: FakeHelm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.program.write_text('#!/bin/sh\necho "Error: could not find template" >&2\nexit 1\n')
    with pytest.raises(LabError, match=r"cannot render the chart .*: Error: could not find templ"):
        render(tmp_path)


@pytest.mark.parametrize("addon", [CERT_MANAGER, TRUST_MANAGER], ids=lambda addon: addon.name)
def test_grants_leave_out_the_election_of_a_leader(
    addon: Addon, fake: FakeHelm, tmp_path: Path
) -> None:
    assert [each["metadata"]["name"] for each in addon.grants(tmp_path)] == ["demo"]
    assert fake.run["arguments"].startswith(f"template {addon.name} {tmp_path / 'chart'} ")
    assert "--namespace=cert-manager" in fake.run["arguments"]


def test_controllers_and_webhook_of_cert_manager_share_one_identity(
    fake: FakeHelm, tmp_path: Path
) -> None:
    CERT_MANAGER.grants(tmp_path)
    name = fake.run["values"]["webhook"]["serviceAccount"]["name"]
    assert name == CERT_MANAGER.service_account
