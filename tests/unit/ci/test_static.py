"""What a fork's change is told, from its files alone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mtls_pki.commands.main import main

PROJECT = Path(__file__).parents[3]
Commit = Callable[[str], str]


@pytest.fixture
def commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Commit:
    """A repository with the dev stack's file; call it to commit a file text, and get the SHA."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.yaml").write_text((PROJECT / "Pulumi.yaml").read_text())
    subprocess.run(("git", "init", "-q", "-b", "main"), check=True)

    def commit(text: str) -> str:
        (tmp_path / "Pulumi.dev.yaml").write_text(text)
        subprocess.run(("git", "add", "."), check=True)
        identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
        subprocess.run(("git", *identity, "commit", "-qm", "change"), check=True)
        done = subprocess.run(
            ("git", "rev-parse", "HEAD"), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    return commit


STEADY = (PROJECT / "Pulumi.dev.yaml").read_text()
ANCHOR = "      role: issuing\n      commonName: root.monoskope.cluster.local\n"
SECOND = """\
    g2:
      role: {role}
      commonName: root-g2.monoskope.cluster.local
      validFrom: "2026-11-20T00:00:00Z"
      validFor: 87600h
  mtls-pki:issuing:
"""


def with_second(role: str, first: str = "issuing") -> str:
    text = STEADY.replace("  mtls-pki:issuing:\n", SECOND.format(role=role))
    return text.replace(ANCHOR, ANCHOR.replace("issuing", first))


def test_a_step_of_the_table_is_nothing_to_object_to(
    commit: Commit, capsys: pytest.CaptureFixture[str]
) -> None:
    base = commit(STEADY)
    commit(with_second("incoming"))
    assert main(["ci", "stacks", "--base", base]) == 0
    assert capsys.readouterr().out == '["dev"]\n'
    assert main(["ci", "static", "--base", base]) == 0


def test_a_skipped_step_is_told(commit: Commit, capsys: pytest.CaptureFixture[str]) -> None:
    base = commit(STEADY)
    commit(with_second("issuing", first="outgoing"))
    assert main(["ci", "static", "--base", base]) == 3
    out = capsys.readouterr().out
    assert "Pulumi.dev.yaml: " in out
    assert "added-and-issuing" in out


def test_every_mistake_of_the_file_is_told(
    commit: Commit, capsys: pytest.CaptureFixture[str]
) -> None:
    base = commit(STEADY)
    commit(STEADY.replace("validFor: 87600h", "validFor: 10y").replace("holdDown: 2m", "hold: 2m"))
    assert main(["ci", "static", "--base", base]) == 3
    out = capsys.readouterr().out
    assert "anchors.g1.validFor" in out
    assert "trust.hold" in out


def test_a_stack_whose_file_was_wrong_before_has_no_step_to_judge(commit: Commit) -> None:
    base = commit(STEADY.replace("holdDown: 2m", "hold: 2m"))
    commit(STEADY)
    assert main(["ci", "static", "--base", base]) == 0


def test_a_commit_that_git_does_not_know_is_named(
    commit: Commit, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(STEADY)
    assert main(["ci", "stacks", "--base", "0" * 40]) == 1
    assert "fetch the whole history" in capsys.readouterr().err


def test_no_worktree_stays_behind(commit: Commit) -> None:
    base = commit(STEADY)
    commit(with_second("incoming"))
    main(["ci", "static", "--base", base])
    listed = subprocess.run(
        ("git", "worktree", "list"), check=True, capture_output=True, text=True
    ).stdout
    assert len(listed.splitlines()) == 1


def test_a_kubeconfig_is_written_once_and_for_nobody_else(
    commit: Commit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    commit(STEADY)
    assert main(["ci", "kubeconfig", "--stack", "dev"]) == 1
    assert "$KUBECONFIG_TEXT is not set" in capsys.readouterr().err
    monkeypatch.setenv("KUBECONFIG_TEXT", "apiVersion: v1\n")
    assert main(["ci", "kubeconfig", "--stack", "dev"]) == 0
    place = tmp_path / ".lab" / "dev" / "kubeconfig"
    assert place.read_text() == "apiVersion: v1\n"
    assert place.stat().st_mode & 0o777 == 0o600
    assert main(["ci", "kubeconfig", "--stack", "dev"]) == 1
    assert "is there already" in capsys.readouterr().err
