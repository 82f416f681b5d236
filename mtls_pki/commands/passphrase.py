"""The passphrase of a backup: asked for, or from the environment, and never an argument."""

from __future__ import annotations

import getpass
import os
import sys

from mtls_pki.errors import CommandError

VARIABLE = "MTLS_PKI_BACKUP_PASSPHRASE"
"""Holds the passphrase where nobody can be asked; an argument could be read by others."""

SOURCE = f"The passphrase is asked for, or taken from ${VARIABLE}."
"""For the help of what needs one."""


def passphrase(*, twice: bool) -> str:
    """Return the passphrase; ``twice`` has it typed twice, so that no slip makes a useless file.

    Raises:
        CommandError: nobody can be asked, or the two differ.
    """
    # Taken out, so that no program which this one starts inherits it.
    given = os.environ.pop(VARIABLE, None)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise CommandError(f"nobody can be asked for the passphrase; set ${VARIABLE}")
    first = getpass.getpass("Passphrase of the backup: ")
    if twice and getpass.getpass("Once more: ") != first:
        raise CommandError("the two passphrases differ; try again")
    return first
