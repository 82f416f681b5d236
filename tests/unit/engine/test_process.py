"""A run of the engine leaves nothing in the temporary directory, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mtls_pki.engine.process import run_engine
from mtls_pki.errors import UsageError

# Leaves a copy as pulumi-kubernetes does, and ends orderly when it is asked to.
ENGINE = """#!/bin/sh
echo key > "$TMPDIR/kubeconfig1"
echo "$TMPDIR"
trap 'echo unlocked; exit 7' INT TERM
if [ "$1" = wait ]; then echo ready > "$2"; while :; do sleep 0.05; done; fi
if [ "$1" = killed ]; then kill -KILL $$; fi
exit "$1"
"""
RUNNER = """
import os, signal, sys
from pathlib import Path
from mtls_pki.engine.process import run_engine
# Under nohup it is ignored, and would stay so.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
run_engine(
    sys.argv[2:], directory=None, environment=os.environ, temporary=Path(sys.argv[1]), output=None
)
"""


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    script = tmp_path / "pulumi"
    script.write_text(ENGINE)
    script.chmod(0o755)
    return script


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    place = tmp_path / "tmp"
    place.mkdir()
    return place


@pytest.mark.parametrize(("end", "status"), [("0", 0), ("1", 1), ("killed", -signal.SIGKILL)])
def test_nothing_is_left_whatever_the_engine_ends_with(
    engine: Path, temporary: Path, end: str, status: int
) -> None:
    done = run_engine([engine, end], directory=None, environment=os.environ, temporary=temporary)
    assert done.returncode == status
    assert Path(done.stdout.strip()).parent == temporary
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("number", "to_engine", "expected"),
    [
        (signal.SIGTERM, False, 128 + signal.SIGTERM),
        (signal.SIGHUP, False, 128 + signal.SIGHUP),
        # Ctrl-C goes to everything that the terminal runs.
        (signal.SIGINT, True, -signal.SIGINT),
    ],
)
def test_a_signal_ends_the_engine_orderly_and_nothing_is_left(
    engine: Path,
    temporary: Path,
    tmp_path: Path,
    number: signal.Signals,
    to_engine: bool,
    expected: int,
) -> None:
    ready = tmp_path / "ready"
    os.mkfifo(ready)
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER, temporary, engine, "wait", ready],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert ready.read_text() == "ready\n"
            (os.killpg if to_engine else os.kill)(process.pid, number)
            out, error = process.communicate(timeout=60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == expected, error
    assert out.endswith("unlocked\n")
    assert not list(temporary.iterdir())


def test_nothing_is_run_where_a_variable_would_show_keys(engine: Path, temporary: Path) -> None:
    with pytest.raises(UsageError, match="PULUMI_OPTION_VERBOSE"):
        run_engine(
            [engine, "0"],
            directory=None,
            environment={**os.environ, "PULUMI_OPTION_VERBOSE": "9"},
            temporary=temporary,
        )
    assert not list(temporary.iterdir())
