"""Imports point one way, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
# Package -> what it may import of this project's own.
_ALLOWED = {
    "pki": set[str](),
    "rotation": {"pki"},
    "settings": {"pki", "rotation"},
    "clusters": {"pki", "rotation", "settings"},
    "components": {"pki", "rotation", "settings"},
    "vaults": {"pki", "rotation", "settings"},
    "cli": {"pki", "rotation", "settings", "clusters", "vaults"},
    "ci": {"settings", "rotation", "cli", "vaults"},
    "backup": {"settings", "clusters", "cli"},
    "policy": {"pki", "rotation"},
    "lab": set[str](),
}
# `python -m rotation` is the command line's name, not part of the pure package.
_ENTRIES = {Path("rotation/__main__.py")}


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", sorted(_ALLOWED))
def test_a_package_imports_only_what_lies_below_it(package: str) -> None:
    own = set(_ALLOWED) | {"bench", "tests"}
    for path in sorted((_ROOT / package).rglob("*.py")):
        if path.relative_to(_ROOT) not in _ENTRIES:
            assert (_imported(path) & own) - {package} <= _ALLOWED[package], path


@pytest.mark.parametrize("package", ["pki", "rotation"])
def test_the_pure_packages_know_neither_pulumi_nor_clusters(package: str) -> None:
    for path in sorted((_ROOT / package).rglob("*.py")):
        assert not _imported(path) & {"pulumi", "pulumi_kubernetes", "kubernetes", "requests"}, path
