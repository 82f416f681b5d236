"""The entry point of ``mtls-pki``: runs one command, and says what it ends with."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from mtls_pki.commands.parser import parse
from mtls_pki.errors import CommandError, UsageError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import complain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        arguments: without the program's name; None for those of this process.
    """
    try:
        try:
            return _run(arguments)
        finally:
            # Now and not at the end of the process, where a reader that is gone is a traceback.
            sys.stdout.flush()
    except UsageError as error:
        complain(str(error))
        return ExitStatus.WRONG_COMMAND_LINE
    except CommandError as error:
        complain(str(error))
    except KeyboardInterrupt:
        complain("interrupted")
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has seen enough; nothing may be flushed to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.ERROR


def _run(arguments: Sequence[str] | None) -> ExitStatus:
    try:
        options = parse(arguments)
    except SystemExit as end:
        # argparse has said everything: help, version, or what is wrong with the command line.
        return ExitStatus(int(end.code or 0))
    status: ExitStatus = options.run(options)
    return status
