"""The commands at the top of the README, on a checkout of their own."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from lab.project_copy import copy_tracked
from tests.integration.documented import rotation_lines, steady_lines
from tests.integration.support.cluster import wait_for

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("make")]

_ROOT = Path(__file__).parents[2]
Make = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that git knows, with this environment's interpreter and packages."""
    target = tmp_path_factory.mktemp("checkout")
    copy_tracked(target)
    (target / ".venv").symlink_to(_ROOT / ".venv")
    return target


@pytest.fixture(scope="module")
def make(checkout: Path) -> Iterator[Make]:
    """Runs ``make TARGET``; what it started is cleaned away at the end."""

    def run(target: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["make", target],
            cwd=checkout,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    run("clean")


def in_a_shell(checkout: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line where nothing is installed but the virtual environment."""
    return subprocess.run(
        ["bash", "-c", line],
        cwd=checkout,
        env={
            **{name: value for name, value in os.environ.items() if "PULUMI" not in name},
            "PATH": f"{checkout}/.venv/bin:/usr/bin:/bin",
            "PULUMI_SKIP_CONFIRMATIONS": "true",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def rotate_as_the_page_says(checkout: Path) -> None:
    """Run docs/rotation.md from its first line to its last, and wait where a person would."""
    stack_file = checkout / "Pulumi.dev.yaml"
    stack_file.write_text(stack_file.read_text().replace("holdDown: 2m", "holdDown: 5s"))
    by = f"{date.today() + timedelta(days=365)}"
    for line in rotation_lines():
        line = line.replace("2027-03-01", by)
        if line == "pulumi up":
            wait_for(
                lambda: in_a_shell(checkout, "mtls-pki check").returncode == 0, line, seconds=180
            )
        done = in_a_shell(checkout, f'eval "$(mtls-pki env)" && {line}')
        # `check` right after an edit says what is still waited for.
        assert done.returncode == 0 or line == "mtls-pki check", (
            f"{line}\n{done.stdout}{done.stderr}"
        )
    said = in_a_shell(checkout, "mtls-pki status").stdout
    assert "next: nothing needs to be done" in said
    assert "g2" in said
    assert "g1" not in said


def test_help_lists_every_target(make: Make, checkout: Path) -> None:
    targets = re.findall(r"^([a-z]+):.*##", (checkout / "Makefile").read_text(), flags=re.M)
    shown = make("help").stdout
    assert all(f"make {target}" in shown for target in targets)


def test_up_again_down_and_clean(make: Make, checkout: Path) -> None:
    first = make("up")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "root.monoskope.cluster.local" in first.stdout or "g1" in first.stdout
    assert "PRIVATE KEY" not in first.stdout + first.stderr

    again = make("up")
    assert again.returncode == 0, again.stdout + again.stderr
    assert re.search(r"\d+ unchanged", again.stdout)
    assert not re.search(r"\d+ (created|updated|deleted)", again.stdout)

    # As a newcomer's shell: no pulumi is installed, and this one is found.
    found = in_a_shell(checkout, 'eval "$(mtls-pki env)" && pulumi stack output trustDomain')
    assert found.stdout == "monoskope.cluster.local\n", found.stderr
    assert in_a_shell(checkout, "mtls-pki review --stack dev").returncode == 0
    for line in steady_lines():
        done = in_a_shell(checkout, f'eval "$(mtls-pki env)" && {line}')
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    rotate_as_the_page_says(checkout)

    assert make("down").returncode == 0
    records = list((checkout / ".lab" / "dev" / "pids").glob("*.json"))
    assert records == []

    assert make("clean").returncode == 0
    assert not (checkout / ".lab").exists()


def test_an_unknown_context_is_named(make: Make, tmp_path: Path) -> None:
    empty = tmp_path / "kubeconfig"
    empty.write_text("apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n")
    done = make("up", KUBE_CONTEXT="kind-dev", KUBECONFIG=str(empty))
    assert done.returncode != 0
    assert "KUBE_CONTEXT=kind-dev: no such context" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("target", ["up", "backup", "restore"])
def test_no_target_runs_the_engine_where_it_would_show_keys(
    make: Make, checkout: Path, target: str
) -> None:
    pids = checkout / ".lab" / "dev" / "pids"
    # Another test may have left the lab running.
    running = sorted(pids.glob("*"))
    done = make(target, PULUMI_OPTION_VERBOSE="9", PULUMI_OPTION_LOGTOSTDERR="true")
    assert done.returncode != 0
    assert "with PULUMI_OPTION_VERBOSE, PULUMI_OPTION_LOGTOSTDERR the engine shows" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(pids.glob("*")) == running


def test_backup_and_restore(make: Make, checkout: Path) -> None:
    given = {"MTLS_PKI_BACKUP_PASSPHRASE": "correct horse battery"}
    assert make("up").returncode == 0
    saved = make("backup", **given)
    assert saved.returncode == 0, saved.stdout + saved.stderr
    archive = checkout / "mtls-pki-dev.age"
    assert archive.exists()
    assert "is not overwritten" in make("backup", **given).stderr
    assert make("clean").returncode == 0
    assert not (checkout / ".lab").exists()
    restored = make("restore", **given)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert "restored stack dev" in restored.stdout
    again = make("up")
    assert not re.search(r"\d+ (created|updated|deleted)", again.stdout)
    assert "PRIVATE KEY" not in saved.stdout + saved.stderr + restored.stdout + restored.stderr
