"""The policy pack on a stack, in every mode in which a user runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.integration.support.project import PROJECT
from tests.integration.support.stack import Run, Stack

PACK = PROJECT / "policy"
WITH_PACK = ("--policy-pack", str(PACK))
_FINDING = re.compile(r"^\s+- \[(mandatory|advisory)\]\s+([a-z-]+)\s", flags=re.M)


def findings(output: str) -> list[str]:
    """The rules that a run of the CLI reports, as often as it reports them."""
    assert "mtls-pki@v" in output, f"the pack did not run:\n{output}"
    return [rule for _, rule in _FINDING.findall(output)]


def export_state(stack: Stack) -> Path:
    """Write the stack's state as ``pulumi stack export`` does; its secrets stay encrypted."""
    file = stack.directory / "state.json"
    stack.must("stack", "export", "--stack", stack.name, "--file", str(file))
    return file


def analyze(stack: Stack, state: Path) -> Run:
    """``pulumi policy analyze`` on a state file."""
    return stack.command("policy", "analyze", *WITH_PACK, "--file", str(state))


def judge_state(state: Path) -> subprocess.CompletedProcess[str]:
    """``python -m policy.state_file``."""
    return subprocess.run(
        [sys.executable, "-m", "policy.state_file", str(state)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def assert_no_finding(stack: Stack) -> None:
    """The applied stack keeps every rule in a preview, in an update and in its state."""
    state = export_state(stack)
    for run in (
        stack.preview(*WITH_PACK),
        stack.try_up(*WITH_PACK),
        stack.command("policy", "analyze", *WITH_PACK, "--stack", stack.name),
        analyze(stack, state),
    ):
        assert run.status == 0, run.output
        assert findings(run.output) == []
        assert "can't run policy" not in run.output
    judged = judge_state(state)
    assert judged.returncode == 0, judged.stdout
