"""The rights that the stack declares for its exporter are those that deploy/ ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mtls_pki.components.evidence_reader import cluster_rules, record_rules

SHIPPED = Path(__file__).parents[3] / "deploy/rbac-evidence.yaml"


def shipped(kind: str) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(SHIPPED.read_text())
    (rules,) = (each["rules"] for each in documents if each["kind"] == kind)
    found: list[dict[str, Any]] = rules
    return found


def test_the_rights_are_those_of_the_manifest() -> None:
    assert cluster_rules(["mesh-trust"]) == shipped("ClusterRole")
    assert record_rules("mesh-trust-stage") == shipped("Role")
