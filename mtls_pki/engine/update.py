"""``pulumi up`` in two runs: a preview that is looked at, and the update that it showed.

Between the two it is known what the update does, so the engine can be told how to keep its state
meanwhile.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtls_pki.engine.checkpoints import first_targets, needs_checkpoints
from mtls_pki.engine.cli import attach_pulumi, run_pulumi
from mtls_pki.engine.digest import Step
from mtls_pki.engine.event_log import ENVIRONMENT, read_steps
from mtls_pki.private_directory import private_directory

SKIP = "PULUMI_SKIP_CHECKPOINTS"
"""Makes the engine write the state once, at the end (pulumi, sdk/go/common/env; experimental)."""

# Also where whoever runs this has it in the environment.
_EVERY, _ONCE = {SKIP: "false"}, {SKIP: "true"}
# Options of `up` that `preview` does not have (pulumi 3.259.0).
_OF_UPDATES = ("--continue-on-error",)
# With these the engine makes a preview of its own, or what is printed is for programs.
_WHOLE = ("--strict", "--json", "-j")
_CHOOSING = ("-t", "--target", "--target-replace", "--exclude", "--replace")
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Update:
    """What is asked for.

    Attributes:
        options: of `pulumi up`, without those below.
        confirm: asks a person, once the preview is shown, whether to go on; None: nobody is asked.
        skip_preview: nothing is previewed, so every checkpoint is written.
        every_checkpoint: the same, with a preview.
    """

    options: Sequence[str]
    confirm: Callable[[], bool] | None = None
    skip_preview: bool = False
    every_checkpoint: bool = False


def update(asked: Update, *, say: Callable[[str], None]) -> int:
    """Preview and update, and return the exit status of the engine.

    Args:
        asked: what is asked for.
        say: tells how the state is kept.

    Raises:
        CommandError: there is no ``pulumi``, or its event log cannot be read.
        UsageError: a variable is set with which the engine shows keys.
    """
    if asked.skip_preview or any(option in _WHOLE for option in asked.options):
        own = ["--yes"] if asked.confirm is None else []
        own += ["--skip-preview"] if asked.skip_preview else []
        return attach_pulumi("up", *asked.options, *own, environment=_EVERY)
    status, steps = _previewed(asked.options)
    if status != 0:
        return status
    if asked.confirm is not None and not asked.confirm():
        return 1
    for targets, environment in _updates(asked, steps, say):
        # The preview above has judged the policies on the whole stack.
        own = [*targets, "--yes", "--skip-preview"]
        status = attach_pulumi("up", *asked.options, *own, environment=environment)
        if status != 0:
            return status
    return 0


def _previewed(options: Sequence[str]) -> tuple[int, tuple[Step, ...]]:
    known = [option for option in options if option.partition("=")[0] not in _OF_UPDATES]
    # The log of events holds what the program registers.
    with private_directory(Path(tempfile.gettempdir())) as private:
        log = private.path / "events"
        status = attach_pulumi("preview", *known, "--event-log", str(log), environment=ENVIRONMENT)
        return status, read_steps(log) if status == 0 else ()


def _updates(
    asked: Update, steps: Sequence[Step], say: Callable[[str], None]
) -> list[tuple[list[str], Mapping[str, str]]]:
    """Return the updates to make, each with its targets and its environment; it says which."""
    if asked.every_checkpoint or not any(step.changes for step in steps):
        return [([], _EVERY)]
    reasons = needs_checkpoints(steps)
    first = [] if _chooses(asked.options) else first_targets(steps)
    shown = ", ".join(reasons[:_SHOWN])
    if len(reasons) > _SHOWN:
        shown += f", and {len(reasons) - _SHOWN} more"
    if reasons and not first:
        say(f"the state is written at every step: {shown}")
        return [([], _EVERY)]
    if not _is_known():
        say(f"the state is written at every step: this pulumi does not know {SKIP}")
        return [([], _EVERY)]
    if first:
        say(
            f"two updates: the first writes the state at every step ({shown}), the second "
            "once, for the Certificates"
        )
        targets = [part for urn in first for part in ("--target", urn)]
        return [(targets, _EVERY), ([], _ONCE)]
    say(
        "the state is written once, at the end: whatever changes here can be made again over itself"
    )
    return [([], _ONCE)]


def _chooses(options: Sequence[str]) -> bool:
    """Whether somebody says which resources take part."""
    return any(option.partition("=")[0] in _CHOOSING for option in options)


def _is_known() -> bool:
    done = run_pulumi("about", "env")
    return done.status == 0 and re.search(rf"^{SKIP}\b", done.output, re.MULTILINE) is not None
