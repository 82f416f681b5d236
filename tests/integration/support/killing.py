"""``pulumi up``, killed at a random point of its work or held still in the middle of it."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import psutil

from tests.integration.support.stack import Stack

_POLL_SECONDS = 0.002
_STEP_SECONDS = 0.3
_GONE_SECONDS = 20


def up_killed_after(stack: Stack, checkpoints: int, jitter: random.Random) -> int | None:
    """Start ``up`` and SIGKILL all its processes a moment after it has saved its state so often.

    The engine saves before and after each operation, so between any two checkpoints there is an
    operation in the air.

    Returns:
        the exit status of an ``up`` that ended before; None for one that was killed.
    """
    running = stack.start_up()
    seen = _saved(stack.state_file)
    left = checkpoints
    while left and running.poll() is None:
        time.sleep(_POLL_SECONDS)
        if (now := _saved(stack.state_file)) != seen:
            seen, left = now, left - 1
    with contextlib.suppress(TimeoutError):
        end = time.monotonic() + jitter.uniform(0, _STEP_SECONDS)
        while running.poll() is None and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
    killed = running.poll() is None
    kill_session(running.pid)
    running.wait()
    return None if killed else running.returncode


def _saved(state_file: Path) -> int:
    try:
        return state_file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def kill_session(leader: int) -> None:
    """SIGKILL every process of the session of ``leader``, and wait until none is left.

    The engine puts its plugins into process groups of their own; the session is what they share.
    """
    end = time.monotonic() + _GONE_SECONDS
    while members := _session(leader):
        assert time.monotonic() < end, f"still there: {members}"
        _send(members, signal.SIGKILL)
        time.sleep(0.02)


def kill_providers(leader: int) -> None:
    """SIGKILL the providers of the session of ``leader``, and nothing else."""
    for pid in _session(leader):
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if psutil.Process(pid).name().startswith("pulumi-resource"):
                os.kill(pid, signal.SIGKILL)


def suspend_session(leader: int) -> None:
    """Hold every process of the session of ``leader`` still, for :func:`kill_session` to end."""
    _send(_session(leader), signal.SIGSTOP)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _session(leader: int) -> list[int]:
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process.pid)
    return members
