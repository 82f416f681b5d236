"""What the package imports is what it declares, and both are what the tests ran."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement

from lab.project_copy import CHECKOUT as ROOT
from lab.project_copy import tracked_files

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normal(name: str) -> str:
    """A distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> dict[str, Requirement]:
    """The declared dependencies by name, those of the extras too."""
    extras = PROJECT["optional-dependencies"].values()
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    return {normal(each.name): each for each in map(Requirement, texts)}


def imported(path: Path) -> set[str]:
    """The first names of everything that a file imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def needed() -> set[str]:
    """The distributions that the package imports."""
    files = [
        ROOT / name
        for name in tracked_files()
        if name.startswith(("mtls_pki/", "components/")) and name.endswith(".py")
    ]
    names = set().union(*map(imported, files)) - set(sys.stdlib_module_names) - {"mtls_pki"}
    known = packages_distributions()
    return {normal(known[name][0]) for name in names}


def pins(file: str) -> dict[str, str]:
    """What a requirements file pins: name -> version."""
    found = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / file).read_text(), flags=re.M)
    return {normal(name): version for name, version in found}


def test_every_import_is_declared() -> None:
    assert needed() - set(declared()) == set()


def test_everything_declared_is_imported() -> None:
    assert set(declared()) - needed() == set()


def test_the_tests_ran_with_versions_that_the_package_allows() -> None:
    pinned = pins("requirements.txt")
    for name, requirement in declared().items():
        assert requirement.specifier.contains(pinned[name]), name


def test_the_wheel_is_built_by_a_version_that_the_project_allows() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    (requirement,) = map(Requirement, build["requires"])
    assert requirement.specifier.contains(pins("requirements-dev.txt")[normal(requirement.name)])
