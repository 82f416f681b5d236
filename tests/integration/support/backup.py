"""``mtls-pki backup``, run beside a stack as a user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from tests.integration.support.stack import Stack

PASSPHRASE = "correct horse battery"  # noqa: S105 of the tests alone


def backup(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    given = {"MTLS_PKI_BACKUP_PASSPHRASE": PASSPHRASE, **stack.environment}
    done = subprocess.run(
        [sys.executable, "-m", "mtls_pki", *arguments, "--stack", stack.name],
        cwd=stack.project,
        env={**os.environ, **stack.engine.environment(given)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    stack.printed.append(done.stdout + done.stderr)
    return done


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(words, done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1


def same_key(one: dict[str, str], other: dict[str, str]) -> bool:
    """Compare without a difference that pytest would print."""
    return one == other
