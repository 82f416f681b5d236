"""The wheel by itself: what it holds, and that it works where there is no checkout."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from lab.project_copy import CHECKOUT as ROOT
from lab.project_copy import tracked_files
from mtls_pki.commands.table import COMMANDS
from mtls_pki.version import VERSION
from tests.wheel import build_wheel, install_alone

pytestmark = pytest.mark.xdist_group("wheel")

DECLARE = """\
from datetime import UTC, datetime

import pulumi

import mtls_pki.components
from mtls_pki.components import trust_anchor

declared = []


class Mocks(pulumi.runtime.Mocks):
    def call(self, args):
        return {}

    def new_resource(self, args):
        declared.append(args.typ)
        return f"{args.name}-id", dict(args.inputs)


pulumi.runtime.set_mocks(Mocks(), preview=True)
root = trust_anchor.CaProfile(
    common_name="root.example.org",
    not_before=datetime(2026, 11, 1, tzinfo=UTC),
    not_after=datetime(2036, 11, 1, tzinfo=UTC),
    path_length=1,
)


def program():
    source = trust_anchor.GeneratedAnchor(root=root, issuing_ca=None)
    trust_anchor.TrustAnchor("g1", trust_anchor.TrustAnchorArgs(source=source))


pulumi.runtime.test(program)()
print(mtls_pki.components.__file__)
print(" ".join(declared))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install_alone(wheel, tmp_path_factory.mktemp("empty") / "environment") / "bin"


def run(directory: Path, *command: str | Path) -> str:
    """Run a command outside of the checkout; return what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    ours = {
        f"mtls_pki/{name}" if name.startswith("components/") else name
        for name in tracked_files()
        if name.startswith(("mtls_pki/", "components/")) and (ROOT / name).is_file()
    }
    assert {"mtls_pki/components/trust_anchor.py", "mtls_pki/commands/init.py"} <= ours
    assert held == ours


def test_the_metadata_are_this_release(wheel: Path) -> None:
    assert wheel.name == f"mtls_pki-{VERSION}-py3-none-any.whl"


def test_components_declare_an_anchor(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "declare.py").write_text(DECLARE)
    place, declared = run(tmp_path, installed / "python", "declare.py").splitlines()
    assert Path(place).is_relative_to(installed.parent)
    assert "tls:index/privateKey:PrivateKey" in declared
    assert "mtls-pki:index:TrustAnchor" in declared


def test_nothing_of_the_checkout_can_be_imported(installed: Path, tmp_path: Path) -> None:
    code = (
        "import importlib.util as u; print([n for n in "
        "('lab', 'bench', 'tests', 'policy', 'components') if u.find_spec(n)])"
    )
    assert run(tmp_path, installed / "python", "-c", code) == "[]\n"


def test_the_command_lists_every_command(installed: Path, tmp_path: Path) -> None:
    out = run(tmp_path, installed / "mtls-pki", "--help")
    assert all(f"\n    {command.name} " in out for command in COMMANDS)
    assert run(tmp_path, installed / "mtls-pki", "--version") == f"mtls-pki {VERSION}\n"


def test_init_makes_a_project(installed: Path, tmp_path: Path) -> None:
    run(tmp_path, installed / "mtls-pki", "init", "trust")
    assert sorted(path.name for path in (tmp_path / "trust").iterdir()) == [
        ".gitignore",
        "Pulumi.dev.yaml",
        "Pulumi.yaml",
        "__main__.py",
        "requirements.txt",
    ]
    assert (tmp_path / "trust" / "requirements.txt").read_text() == f"mtls-pki=={VERSION}\n"


def test_no_module_is_named_after_nothing(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name for name in archive.namelist()}
    assert not names & {"engine.py", "utils.py", "helpers.py", "common.py", "commands.py"}
