"""A small right configuration, and what tests change in it."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from mtls_pki.registry import extensions
from mtls_pki.settings.errors import Mistake, SettingsError
from mtls_pki.settings.load import load_settings
from mtls_pki.settings.model import Settings

REMOVED: Final = object()

G2 = {
    "role": "incoming",
    "commonName": "root-g2.example.org",
    "validFrom": "2026-12-01T00:00:00Z",
    "validFor": "87600h",
}
_MINIMAL: dict[str, Any] = {
    "trustDomain": "example.org",
    "clusters": {"dev": {"kubeconfig": "dev.kubeconfig"}},
    "anchors": {
        "g1": {
            "role": "issuing",
            "commonName": "root.example.org",
            "validFrom": "2026-11-01T00:00:00Z",
            "validFor": "87600h",
        }
    },
    "trust": {"namespaces": ["app"]},
    "services": {"web": {"namespace": "app"}},
}


def changed(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the small configuration with ``changes``: dotted path -> value, or REMOVED."""
    values = copy.deepcopy(_MINIMAL)
    for path, value in changes.items():
        *parents, last = path.split(".")
        section = values
        for parent in parents:
            section = section.setdefault(parent, {})
        if value is REMOVED:
            del section[last]
        else:
            section[last] = copy.deepcopy(value)
    return values


def load(
    changes: Mapping[str, Any] | None = None,
    *,
    directory: Path = Path(),
    secret: Collection[str] = (),
) -> Settings:
    """Load the small configuration with ``changes``."""
    return load_settings(
        changed(changes or {}),
        source="Pulumi.test.yaml",
        directory=directory,
        owner="mtls-pki/test",
        secret_keys=frozenset(secret),
        extensions=extensions(),
    )


def mistakes(
    changes: Mapping[str, Any], *, directory: Path = Path(), secret: Collection[str] = ()
) -> tuple[Mistake, ...]:
    """Return the mistakes in the small configuration with ``changes``; none if it is right."""
    try:
        load(changes, directory=directory, secret=secret)
    except SettingsError as error:
        return error.mistakes
    return ()


def told(
    changes: Mapping[str, Any], *, directory: Path = Path(), secret: Collection[str] = ()
) -> list[str]:
    """Return the same as lines of the message."""
    return [str(mistake) for mistake in mistakes(changes, directory=directory, secret=secret)]
