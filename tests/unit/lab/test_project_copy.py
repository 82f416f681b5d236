"""A copy of the program runs its own code, and not that of the checkout which is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.project_copy import CHECKOUT, copy_program, copy_tracked, program_entries

# Imports every module below the package, and prints where each comes from.
_IMPORT_ALL = """
import importlib, pkgutil, sys
import mtls_pki
names = [each.name for each in pkgutil.walk_packages(mtls_pki.__path__, "mtls_pki.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
for name, module in sorted(sys.modules.items()):
    if name.partition(".")[0] in ("mtls_pki", "components", "policy", "lab", "tests"):
        print(name, module.__file__)
"""


def test_every_module_of_a_copy_is_the_copy_s_own(tmp_path: Path) -> None:
    copy = copy_program(tmp_path / "program")
    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert "mtls_pki.components.trust_anchor" in found
    assert "mtls_pki.program" in found
    assert [name for name, file in found.items() if not Path(file).is_relative_to(copy)] == []


def test_a_copy_has_the_stack_files_only_where_they_are_asked_for(tmp_path: Path) -> None:
    with_stacks = copy_program(tmp_path / "with", stack_files=True)
    without = copy_program(tmp_path / "without")
    assert {path.name for path in without.glob("Pulumi*")} == {"Pulumi.yaml"}
    assert {path.name for path in with_stacks.glob("Pulumi*")} == {
        path.name for path in CHECKOUT.glob("Pulumi*")
    }
    assert {path.name for path in without.iterdir()} == {*program_entries(), ".venv"}


def test_what_git_knows_is_copied_and_links_stay_links(tmp_path: Path) -> None:
    if not (CHECKOUT / ".git").exists():
        pytest.skip("this is no clone")
    copy_tracked(tmp_path, keep=lambda name: not name.startswith("tests/"))
    assert (tmp_path / "mtls_pki" / "components").readlink() == Path("../components")
    assert (tmp_path / "components" / "trust_anchor.py").is_file()
    assert not (tmp_path / "tests").exists()
    assert not (tmp_path / ".venv").exists()
