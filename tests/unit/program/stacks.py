"""Configurations of whole stacks, and the certificates that they bring."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from tests.unit.pki import material
from tests.unit.settings.configuration import G2

_REPOSITORY = Path(__file__).parents[3]
ISSUING_G2 = {"anchors.g1.role": "outgoing", "anchors.g2": G2 | {"role": "issuing"}}
COMPROMISED_G1 = {
    "anchors.g1": {
        "role": "compromised",
        "commonName": "root.example.org",
        "validFrom": "2026-11-01T00:00:00Z",
        "validFor": "87600h",
        "fingerprint": "ab" * 32,
        "acceptOutage": True,
    },
    "anchors.g2": G2 | {"role": "issuing"},
}
TWO_CLUSTERS = {
    "eu": {"context": "prod-eu", "clusterDomain": "eu.local"},
    "us": {"kubeconfig": "us.kubeconfig", "context": "prod-us"},
}


def dev_stack() -> dict[str, Any]:
    """Return ``Pulumi.dev.yaml`` as the engine hands it to the program."""
    text = (_REPOSITORY / "Pulumi.dev.yaml").read_text()
    values = {
        key.removeprefix("mtls-pki:"): value
        for key, value in yaml.safe_load(text)["config"].items()
        if key.startswith("mtls-pki:")
    }
    decoded = json.loads(json.dumps(values, default=_rfc3339))
    assert isinstance(decoded, dict)
    return decoded


def _rfc3339(value: object) -> str:
    assert isinstance(value, datetime)
    return value.isoformat().replace("+00:00", "Z")


def bring(directory: Path, generation: str, *, issuing_ca: bool) -> dict[str, Any]:
    """Write a root (and an issuing CA) made elsewhere; return the anchor's configuration."""
    root = material.root(generation)
    (directory / f"{generation}.pem").write_text(root)
    anchor: dict[str, Any] = {"certificate": f"{generation}.pem"}
    if issuing_ca:
        name = f"{generation}-offline"
        signed = material.issuing(name, root_pem=root, root_key=material.key_pem(generation))
        (directory / f"{name}.pem").write_text(signed)
        anchor["issuingCa"] = {
            "generation": "offline",
            "certificate": f"{name}.pem",
            "privateKey": material.key_pem(name),
        }
    return anchor
