"""One run of the engine: it shows no key, and it leaves no credential behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

from mtls_pki.engine.revealing import require_quiet
from mtls_pki.private_directory import private_directory

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
    with _orderly_end() as end, private_directory(temporary) as private:
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
            end.may_come()
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


class _End:
    """Makes a signal that would end this process on the spot unwind it instead.

    Not before it may come: a signal within the start of the engine would lose that process.
    """

    def __init__(self) -> None:
        self._may_come = False
        self._number: int | None = None

    def receive(self, number: int, _: FrameType | None) -> None:
        self._number = number
        if self._may_come:
            self.may_come()

    def may_come(self) -> None:
        """Unwind now if a signal has come, and from now on when one does.

        Raises:
            SystemExit: with the status by which shells report a program that a signal ended.
        """
        self._may_come = True
        if self._number is not None:
            raise SystemExit(128 + self._number)


@contextlib.contextmanager
def _orderly_end() -> Iterator[_End]:
    end = _End()
    replaced = {
        number: signal.signal(number, end.receive)
        # Only there can handlers be set.
        for number in (_ENDING if threading.current_thread() is threading.main_thread() else ())
        if signal.getsignal(number) is signal.SIG_DFL
    }
    try:
        yield end
    finally:
        for number, handler in replaced.items():
            signal.signal(number, handler)
