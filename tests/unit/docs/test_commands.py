"""What the pages tell people to run exists; tests/integration/test_make.py runs README's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[3]
_PAGES = sorted(
    [*_ROOT.glob("*.md"), _ROOT / "policy/README.md", *(_ROOT / "docs").rglob("*.md")],
)


def _ids(path: Path) -> str:
    return str(path.relative_to(_ROOT))


def _targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (_ROOT / "Makefile").read_text(), flags=re.M))


@pytest.mark.parametrize("page", _PAGES, ids=_ids)
def test_every_make_target_on_the_page_exists(page: Path) -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", "\n".join(_commands(page))))
    assert named <= _targets()


@pytest.mark.parametrize("page", _PAGES, ids=_ids)
def test_every_module_on_the_page_can_be_run(page: Path) -> None:
    for module in re.findall(r"python3? -m ([a-z_.]+)", "\n".join(_commands(page))):
        path = _ROOT / module.replace(".", "/")
        own = path.with_suffix(".py").exists() or (path / "__main__.py").exists()
        assert own or module in {"venv", "pip", "pytest"}, module


@pytest.mark.parametrize("page", _PAGES, ids=_ids)
def test_every_file_on_the_page_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(
        r"(?<![.\w/])((?:docs|deploy|lab|mtls_pki|components|policy|tests|\.github)"
        r"/[\w./-]+\w)",
        text,
    ):
        assert (_ROOT / name).exists(), name


def _commands(page: Path) -> list[str]:
    """Inline code and fenced shell blocks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.S)
    return blocks + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))
