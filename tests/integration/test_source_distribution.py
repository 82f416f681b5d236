"""What a release publishes: a source distribution, and the wheel that is built from it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lab.project_copy import CHECKOUT, copy_tracked
from mtls_pki.version import VERSION

pytestmark = pytest.mark.xdist_group("wheel")

_STEM = f"mtls_pki-{VERSION}"


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As release.yml builds them, from the files that git knows and nothing else."""
    checkout = copy_tracked(tmp_path_factory.mktemp("checkout"))
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return checkout / "dist"


def _modules() -> set[str]:
    """The package's modules, the components behind their link included."""
    own = (CHECKOUT / "mtls_pki").rglob("*.py")
    components = (CHECKOUT / "components").glob("*.py")
    names = {str(path.relative_to(CHECKOUT)) for path in own}
    return names | {f"mtls_pki/components/{path.name}" for path in components}


def test_the_wheel_has_every_module_and_nothing_of_development(distributions: Path) -> None:
    with zipfile.ZipFile(distributions / f"{_STEM}-py3-none-any.whl") as wheel:
        names = {name for name in wheel.namelist() if name.endswith(".py")}
    assert names == _modules()


def test_the_source_distribution_holds_the_components_as_files(distributions: Path) -> None:
    with tarfile.open(distributions / f"{_STEM}.tar.gz") as archive:
        members = {member.name: member for member in archive.getmembers()}
    assert {f"{_STEM}/{name}" for name in _modules()} <= set(members)
    assert members[f"{_STEM}/mtls_pki/components"].isdir()
