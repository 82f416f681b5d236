"""One run of the engine: it shows no key, and it leaves no credential behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from mtls_pki.engine.private_directory import private_directory
from mtls_pki.engine.revealing import require_quiet

_ENDING = (signal.SIGTERM, signal.SIGHUP)


def run_engine(
    command: Sequence[str | Path],
    *,
    directory: Path | None,
    environment: Mapping[str, str],
    temporary: Path,
    given: str | None = "",
    output: int | None = subprocess.PIPE,
    errors: int | None = subprocess.PIPE,
) -> subprocess.CompletedProcess[str]:
    """Run ``command`` to its end, with a temporary directory that is gone afterwards.

    Ctrl-C, SIGTERM and SIGHUP end it after the engine, which may still have a lock to give back.

    Args:
        command: the engine and its arguments.
        directory: where it runs; None for the working directory.
        environment: all of it.
        temporary: where its own temporary directory is made.
        given: its standard input, which ends after that; None for that of this process.
        output: its standard output, as `subprocess.Popen` takes it.
        errors: its standard error, likewise.

    Raises:
        UsageError: a variable is set with which the engine shows keys; nothing was run.
        OSError: the command or the directory cannot be made to work.
    """
    arguments = [str(argument) for argument in command]
    require_quiet(environment)
    with _ending_orderly(), private_directory(temporary) as private:
        process = subprocess.Popen(
            arguments,
            cwd=directory,
            env={**environment, "TMPDIR": str(private.path)},
            stdin=None if given is None else subprocess.PIPE,
            stdout=output,
            stderr=errors,
            encoding="utf-8",
            errors="replace",
            pass_fds=(private.lock,),
        )
        try:
            out, said = process.communicate(given)
        except SystemExit:
            process.terminate()
            _outlast(process)
            raise
        except BaseException:
            # The terminal has sent Ctrl-C to the engine too; a second one ends it at once.
            _outlast(process)
            raise
    return subprocess.CompletedProcess(arguments, process.returncode, out, said)


def _outlast(process: subprocess.Popen[str]) -> None:
    while process.returncode is None:
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            process.communicate()


@contextlib.contextmanager
def _ending_orderly() -> Iterator[None]:
    """Make signals that would end this process on the spot unwind it instead."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    replaced = {
        number: signal.signal(number, _end)
        for number in _ENDING
        if signal.getsignal(number) is signal.SIG_DFL
    }
    try:
        yield
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)


def _end(number: int, _: FrameType | None) -> None:
    # As shells report a program that a signal ended.
    raise SystemExit(128 + number)
