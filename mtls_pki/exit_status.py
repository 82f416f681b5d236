"""What ``mtls-pki`` ends with: the one table of exit statuses, which ``--help`` prints.

docs/operations.md repeats it; a test compares them.
"""

from __future__ import annotations

import enum


class ExitStatus(enum.IntEnum):
    """One exit status.

    2 is fixed by argparse. 130 is 128 and the number of SIGINT, as shells report a program that
    Ctrl-C ended.
    """

    DONE = 0
    ERROR = 1
    WRONG_COMMAND_LINE = 2
    BLOCKED = 3
    EVIDENCE_MISSING = 4
    PREVIEW_FAILED = 5
    BROKEN_NOW = 6
    INTERRUPTED = 130


MEANING = {
    ExitStatus.DONE: "done; for check, review and ci preview: the change is safe",
    ExitStatus.ERROR: "an error, said in one message on standard error; for reissue also: some did "
    "not come back",
    ExitStatus.WRONG_COMMAND_LINE: "the command line is wrong, or a variable is set with which the "
    "engine shows keys",
    ExitStatus.BLOCKED: "check, review: the change is blocked; ci preview: the same; ci static: "
    "the files are wrong; ci drift: something differs; drill: somebody broke, or waited in vain",
    ExitStatus.EVIDENCE_MISSING: "check, review, status, plan: evidence is missing because a "
    "cluster could not be read",
    ExitStatus.PREVIEW_FAILED: "review: the preview failed, and not because the change is blocked; "
    "the page says why",
    ExitStatus.BROKEN_NOW: "check: the change is safe, but something is broken now",
    ExitStatus.INTERRUPTED: "interrupted by Ctrl-C; reissue goes on when it is run again",
}
"""What each exit status means, on one line."""


def exit_status_text() -> str:
    """Return the whole table as the end of a ``--help``."""
    lines = (f"  {status.value:<5}{MEANING[status]}\n" for status in ExitStatus)
    return f"exit status:\n{''.join(lines)}"
