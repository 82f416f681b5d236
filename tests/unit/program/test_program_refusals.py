"""Wrong configuration: one message with every mistake, and nothing is registered."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from mtls_pki.program import clusters
from mtls_pki.settings.model import Settings
from tests.unit.pki import material
from tests.unit.program.engine import Program, run_program
from tests.unit.settings.configuration import changed


def refusal(changes: dict[str, Any]) -> str:
    program = Program()
    with pytest.raises(pulumi.RunError) as caught:
        run_program(changed(changes), into=program)
    assert program.resources == []
    assert program.hooks == {}
    assert program.exports == {}
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_every_mistake_is_in_the_message_of_a_run_error() -> None:
    """RunError is what the engine prints without a traceback, with exit status 1."""
    assert refusal(
        {
            "clusters.dev": {},
            "anchors.g1.validFro": "2026-11-01T00:00:00Z",
            "services.web.duration": "30d",
        }
    ).splitlines() == [
        "Pulumi.test.yaml has 3 mistakes; nothing was touched:",
        "  anchors.g1.validFro: unknown key; did you mean validFrom?",
        "  services.web.duration: '30d': write 720h",
        "  clusters.dev: write `kubeconfig: PATH`, `context: NAME`, or both",
    ]


def test_a_key_in_clear_text_is_not_repeated() -> None:
    message = refusal(
        {
            "anchors.g1": {
                "role": "issuing",
                "certificate": "g1.pem",
                "issuingCa": {"certificate": "i1.pem", "privateKey": material.key_pem("i1")},
            }
        }
    )
    assert "a private key in clear text" in message
    assert "PRIVATE KEY-----" not in message
    for line in material.key_pem("i1").splitlines():
        assert line not in message


def test_values_that_are_no_objects_are_told_as_they_are() -> None:
    assert "anchors: write a mapping of keys" in refusal({"anchors": "[1"})


def test_nothing_is_registered_where_a_cluster_is_not_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(settings: Settings) -> None:
        raise pulumi.RunError(f"{', '.join(settings.clusters)}: not ready")

    monkeypatch.setattr(clusters, "require_clusters", refuse)
    assert refusal({}) == "dev: not ready"


def test_foreign_configuration_is_left_alone() -> None:
    """Keys of the engine and of providers share the file."""
    program = run_program(changed({}), foreign={"pulumi:tags": "{}", "kubernetes:context": "x"})
    assert program.exports["trustDomain"] == "example.org"
