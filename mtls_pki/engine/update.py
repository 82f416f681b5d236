"""``pulumi up`` in two runs: a preview that is looked at, and the update that it showed.

Between the two it is known what the update does, so the engine can be told how to keep its state
meanwhile.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mtls_pki.engine.checkpoints import first_targets, needs_checkpoints
from mtls_pki.engine.cli import attach_pulumi, run_pulumi
from mtls_pki.engine.digest import Step
from mtls_pki.engine.event_log import ENVIRONMENT, read_steps
from mtls_pki.private_directory import private_directory

SKIP = "PULUMI_SKIP_CHECKPOINTS"
"""Makes the engine write the state once, at the end (pulumi, sdk/go/common/env; experimental)."""

# Also where whoever runs this has it in the environment.
_EVERY = {SKIP: "false"}
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
        confirmed: nobody is asked whether to go on.
        skip_preview: nothing is previewed, so every checkpoint is written.
        every_checkpoint: the same, with a preview.
    """

    options: Sequence[str]
    confirmed: bool
    skip_preview: bool = False
    every_checkpoint: bool = False


def update(asked: Update, *, confirm: Callable[[], bool], say: Callable[[str], None]) -> int:
    """Preview and update, and return the exit status of the engine.

    Args:
        asked: what is asked for.
        confirm: asks a person, once the preview is shown, whether to go on.
        say: tells how the state is kept.

    Raises:
        CommandError: there is no ``pulumi``, or its event log cannot be read.
        UsageError: a variable is set with which the engine shows keys.
    """
    if asked.skip_preview or any(option in _WHOLE for option in asked.options):
        own = ["--yes"] if asked.confirmed else []
        own += ["--skip-preview"] if asked.skip_preview else []
        return attach_pulumi("up", *asked.options, *own, environment=_EVERY)
    status, steps = _previewed(asked.options)
    if status != 0:
        return status
    if not asked.confirmed and not confirm():
        return 1
    # The preview above has judged the policies on the whole stack.
    apply = partial(attach_pulumi, "up", *asked.options, "--yes", "--skip-preview")
    first = [] if asked.every_checkpoint or _chooses(asked.options) else first_targets(steps)
    if first and _is_known():
        say(
            f"two updates: the first writes the state at every step ({_reasons(steps)}), the "
            "second once, for the Certificates"
        )
        targets = (part for urn in first for part in ("--target", urn))
        status = apply(*targets, environment=_EVERY)
        return status or apply(environment={SKIP: "true"})
    return apply(environment=_environment(asked, steps, say))


def _chooses(options: Sequence[str]) -> bool:
    """Whether somebody says which resources take part."""
    return any(option.partition("=")[0] in _CHOOSING for option in options)


def _previewed(options: Sequence[str]) -> tuple[int, tuple[Step, ...]]:
    known = [option for option in options if option.partition("=")[0] not in _OF_UPDATES]
    # The log of events holds what the program registers.
    with private_directory(Path(tempfile.gettempdir())) as private:
        log = private.path / "events"
        status = attach_pulumi("preview", *known, "--event-log", str(log), environment=ENVIRONMENT)
        return status, read_steps(log) if status == 0 else ()


def _environment(
    asked: Update, steps: Sequence[Step], say: Callable[[str], None]
) -> Mapping[str, str]:
    """Return what tells the engine how to keep its state; it says it too."""
    changing = sum(step.changes for step in steps)
    if asked.every_checkpoint or changing == 0:
        return _EVERY
    if needs_checkpoints(steps):
        say(f"the state is written at every step: {_reasons(steps)}")
        return _EVERY
    if not _is_known():
        say(f"the state is written at every step: this pulumi does not know {SKIP}")
        return _EVERY
    say(
        "the state is written once, at the end: whatever changes here can be made again over itself"
    )
    return {SKIP: "true"}


def _reasons(steps: Sequence[Step]) -> str:
    reasons = needs_checkpoints(steps)
    more = f", and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return f"{', '.join(reasons[:_SHOWN])}{more}"


def _is_known() -> bool:
    done = run_pulumi("about", "env")
    return done.status == 0 and re.search(rf"^{SKIP}\b", done.output, re.MULTILINE) is not None
