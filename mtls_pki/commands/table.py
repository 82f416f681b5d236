"""The table of commands: a new one is its file and its line here."""

from __future__ import annotations

from mtls_pki.commands import (
    access,
    add,
    aws_pca,
    backup,
    check,
    ci,
    drill,
    env,
    exporter,
    init,
    plan,
    promote,
    prune,
    reissue,
    restore,
    retire,
    review,
    status,
    up,
)
from mtls_pki.commands.command import Command

COMMANDS: tuple[Command, ...] = (
    status.COMMAND,
    up.COMMAND,
    check.COMMAND,
    plan.COMMAND,
    drill.COMMAND,
    exporter.COMMAND,
    add.COMMAND,
    aws_pca.COMMAND,
    promote.COMMAND,
    retire.COMMAND,
    reissue.COMMAND,
    prune.COMMAND,
    review.COMMAND,
    ci.COMMAND,
    backup.COMMAND,
    restore.COMMAND,
    access.COMMAND,
    init.COMMAND,
    env.COMMAND,
)
"""In the order in which ``--help`` lists them."""
