"""Nothing outside of a backend's own folder decides by its name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_pki.backends.table import BACKENDS
from mtls_pki.consumers.table import CONSUMERS

_ROOT = Path(__file__).parents[3]
_NAMES = {*BACKENDS, *CONSUMERS}


def _compared(tree: ast.AST) -> Iterator[str]:
    """Yield each text that the code compares something with, also as a case or a member."""
    for node in ast.walk(tree):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        for side in sides:
            members = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            for member in members:
                if isinstance(member, ast.Constant) and isinstance(member.value, str):
                    yield member.value


def _files() -> list[Path]:
    folders = [_ROOT / "mtls_pki", _ROOT / "policy"]
    found = [path for folder in folders for path in folder.rglob("*.py")]
    own = {_ROOT / "mtls_pki/components", *(_ROOT / "mtls_pki/backends" / name for name in _NAMES)}
    return [path for path in found if not own.intersection(path.parents)]


def test_there_is_something_to_look_at() -> None:
    names = {path.name for path in _files()}
    assert {"run.py", "diagnosis.py", "names.py"} <= names
    assert len(_NAMES) >= 2


@pytest.mark.parametrize("path", _files(), ids=lambda path: str(path.relative_to(_ROOT)))
def test_no_name_of_a_backend_is_compared_with(path: Path) -> None:
    found = _NAMES.intersection(_compared(ast.parse(path.read_text(encoding="utf-8"))))
    # The key of a kubeconfig's or a Secret's CA is no backend.
    assert found == set()


@pytest.mark.parametrize(
    "code",
    ["x == 'vault'", "'ca' != x", "x in ('vault', 'y')", "match x:\n  case 'vault':\n    pass"],
)
def test_a_comparison_is_seen(code: str) -> None:
    assert _NAMES.intersection(_compared(ast.parse(code)))
