"""What the pages tell people to run exists; tests/integration/test_make.py runs README's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.project_copy import tracked_files

_ROOT = Path(__file__).parents[3]
_PAGES = sorted(
    [*_ROOT.glob("*.md"), _ROOT / "policy/README.md", *(_ROOT / "docs").rglob("*.md")],
)


def _ids(path: Path) -> str:
    return str(path.relative_to(_ROOT))


def _folders() -> list[str]:
    """The folders of the checkout that hold its own files, and none of a reader's project."""
    found = {path.name for path in _ROOT.iterdir() if path.is_dir() and "." not in path.name}
    return sorted(found - {"trust"})


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
    ignored = (_ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    for name in re.findall(rf"(?<![.\w/])((?:{'|'.join(_folders())})/[\w./-]+\w)", text):
        # What git ignores is made by a command.
        assert (_ROOT / name).exists() or f"{name}/" in ignored, name


def _commands(page: Path) -> list[str]:
    """Inline code and fenced shell blocks."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.S)
    return blocks + re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))


def test_no_module_of_the_command_is_run_by_itself_anywhere() -> None:
    """Of every file of the checkout but this one, and the tools' own sources."""
    found = [
        name
        for name in tracked_files()
        if (_ROOT / name).is_file()
        and Path(name) != Path(__file__).relative_to(_ROOT)
        and re.search(rb"python3? -m (rotation|ci|backup)\b", (_ROOT / name).read_bytes())
    ]
    assert found == []


def test_workflows_call_the_command_of_the_environment() -> None:
    for workflow in (*_ROOT.glob(".github/**/*.yml"), _ROOT / "docs/ci/gitlab-ci.yml"):
        for line in workflow.read_text().splitlines():
            if "mtls-pki ci " in line and not line.lstrip().startswith("#"):
                assert ".venv/bin/mtls-pki ci " in line, f"{workflow}: {line}"
