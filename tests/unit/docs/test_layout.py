"""Which part of the project may import which, read from the imports."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from lab.project_copy import CHECKOUT, PACKAGE, program_entries

# Packages and modules of mtls_pki, from the lowest to the highest, and the folders beside it: what
# each may import of the others.
_LEAVES = {"errors", "exit_status", "files", "messages", "private_directory", "version"}
_DOMAIN = {"pki", "rotation", "settings"}
_ALLOWED: dict[str, set[str]] = {
    **{leaf: set() for leaf in _LEAVES},
    "pki": set(),
    "rotation": {"exit_status", "pki"},
    "settings": {"errors", "exit_status", "files", "pki", "rotation"},
    "clusters": {"errors", "exit_status", "private_directory", "version", *_DOMAIN},
    "components": {"pki", "rotation"},
    "backends": {"clusters", "components", "errors", "files", "messages", *_DOMAIN},
    "consumers": {"clusters", "components", "errors", *_DOMAIN},
    "registry": {"backends", "clusters", "consumers", *_DOMAIN},
    "program": {
        "backends",
        "clusters",
        "components",
        "consumers",
        "engine",
        "private_directory",
        "registry",
        *_DOMAIN,
    },
    "pages": {"rotation", "version"},
    "watch": {"clusters", "rotation"},
    "engine": {"errors", "files", "private_directory", "rotation", "pki"},
    "review": {"engine", "errors", "exit_status", "pages", "pki", "rotation"},
    "ci": {"backends", "clusters", "engine", "pages", "registry", "review", *_LEAVES, *_DOMAIN},
    "backup": {"clusters", "engine", "errors", "files", "settings"},
    "commands": {
        "backends",
        "backup",
        "ci",
        "clusters",
        "engine",
        "pages",
        "registry",
        "review",
        "watch",
        *_LEAVES,
        *_DOMAIN,
    },
    "__init__": {"version"},
    "__main__": {"commands"},
    "__main__.py": {"program"},
    "policy": {"engine", "pki", "rotation"},
    "lab": {"commands", "engine", "exit_status", "pages", "registry", *_LEAVES, *_DOMAIN},
    # Its played API server is that of the unit tests.
    "bench": {"clusters", "engine", "exit_status", "lab", "registry", "tests", *_DOMAIN},
}
_STILL_UPWARD = {("engine", "backup"), ("engine", "ci")}
_PULUMI = {"components", "program", "policy"}


def _files() -> Iterator[tuple[str, Path]]:
    """Every module that is not a test, with the part of the project that it belongs to."""
    for folder in (PACKAGE, "components", "policy", "lab", "bench"):
        for path in sorted((CHECKOUT / folder).rglob("*.py")):
            within = path.relative_to(CHECKOUT / folder)
            # rglob does not follow the link to the components, which are at the top.
            part = within.parts[0].removesuffix(".py") if folder == PACKAGE else folder
            yield part, path
    yield "__main__.py", CHECKOUT / "__main__.py"


@cache
def _imported(path: Path) -> set[str]:
    """The full names that a module imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _parts(names: set[str]) -> set[str]:
    """The parts of this project among the imported names."""
    own = [name.split(".") for name in names]
    found = {name[1] for name in own if name[0] == PACKAGE}
    return found | {name[0] for name in own if name[0] in ("bench", "lab", "policy", "tests")}


FILES = list(_files())


def test_every_part_of_the_project_has_its_place() -> None:
    assert {part for part, _ in FILES} == set(_ALLOWED)


def test_the_arrows_form_no_circle() -> None:
    TopologicalSorter({part: allowed - {"tests"} for part, allowed in _ALLOWED.items()}).prepare()


@pytest.mark.parametrize("part", _ALLOWED)
def test_a_part_imports_only_what_lies_below_it(part: str) -> None:
    for path in (path for each, path in FILES if each == part):
        assert _parts(_imported(path)) - {part} <= _ALLOWED[part], path


def test_nothing_imports_a_component_from_the_top_so_no_class_exists_twice() -> None:
    assert (CHECKOUT / PACKAGE / "components").readlink() == Path("../components")
    tests = [("tests", path) for path in sorted((CHECKOUT / "tests").rglob("*.py"))]
    for _, path in [*FILES, *tests]:
        assert not {name for name in _imported(path) if name.split(".")[0] == "components"}, path


def test_pulumi_is_known_where_something_is_declared_and_nowhere_else() -> None:
    for part, path in FILES:
        declares = part in ("backends", "consumers") and path.name == "declare.py"
        if part not in _PULUMI and not declares:
            engine = {name for name in _imported(path) if name.startswith("pulumi")}
            assert not engine, path


def test_only_clusters_have_a_client_of_kubernetes() -> None:
    for part, path in FILES:
        if part not in ("clusters", "lab", "bench"):
            assert not {name for name in _imported(path) if name.startswith("kubernetes.")}, path


@pytest.mark.parametrize("part", ["pki", "rotation"])
def test_the_pure_packages_read_and_write_nothing(part: str) -> None:
    outside = {"hvac", "os", "pathlib", "requests", "socket", "subprocess", "urllib3"}
    for path in (path for each, path in FILES if each == part):
        assert not {name.split(".")[0] for name in _imported(path)} & outside, path


def test_every_package_of_the_checkout_is_checked_by_mypy_and_one_is_installed() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    found = {path.parent.name for path in CHECKOUT.glob("*/__init__.py")}
    # The components are checked as a part of the package that links to them.
    assert set(project["mypy"]["packages"]) == found - {"components"}
    assert project["setuptools"]["packages"]["find"]["include"] == [PACKAGE, f"{PACKAGE}.*"]


def test_a_copy_of_the_program_has_all_that_the_engine_imports() -> None:
    assert {"__main__.py", "components", PACKAGE} <= set(program_entries())
    entries = {name.split(".")[0] for name in _imported(CHECKOUT / "__main__.py")}
    assert entries <= set(program_entries())


@pytest.mark.parametrize("file", ["__main__.py", "mtls_pki/program/run.py"])
def test_the_picture_of_a_stack_fits_on_a_screen(file: str) -> None:
    assert len((CHECKOUT / file).read_text(encoding="utf-8").splitlines()) < 80
