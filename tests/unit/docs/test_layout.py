"""Imports point one way, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
# Package of mtls_pki -> what it may import of this project's own.
_ALLOWED = {
    "pki": set[str](),
    "rotation": {"exit_status", "pki"},
    "settings": {"errors", "pki", "rotation"},
    "clusters": {"errors", "exit_status", "pki", "rotation", "settings"},
    "components": {"pki", "rotation", "settings"},
    "backends": {"clusters", "components", "errors", "messages", "pki", "rotation", "settings"},
    "consumers": {"clusters", "components", "pki", "rotation", "settings"},
    "engine": {"errors", "pki", "rotation"},
    "pages": {"rotation"},
    "review": {"engine", "exit_status", "pages", "pki", "rotation"},
    "ci": {
        "backends",
        "clusters",
        "engine",
        "errors",
        "exit_status",
        "messages",
        "pages",
        "registry",
        "review",
        "rotation",
        "settings",
    },
    "backup": {"clusters", "errors", "settings"},
    "program": {
        "backends",
        "clusters",
        "components",
        "consumers",
        "pki",
        "registry",
        "rotation",
        "settings",
    },
}


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("package", sorted(_ALLOWED))
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    for path in sorted((_ROOT / "mtls_pki" / package).rglob("*.py")):
        own = {name.split(".")[1] for name in _imported(path) if name.startswith("mtls_pki.")}
        assert own - {package} <= _ALLOWED[package], path
        outside = {name.partition(".")[0] for name in _imported(path)}
        assert not outside & {"lab", "bench", "tests", "policy", "components"}, path


@pytest.mark.parametrize("package", ["pki", "rotation"])
def test_the_pure_packages_know_neither_pulumi_nor_clusters(package: str) -> None:
    for path in sorted((_ROOT / "mtls_pki" / package).rglob("*.py")):
        outside = {name.partition(".")[0] for name in _imported(path)}
        assert not outside & {"pulumi", "pulumi_kubernetes", "kubernetes", "requests"}, path
