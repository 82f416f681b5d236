"""The check of a change that needs no cluster, no state and no secret; forks get only this one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtls_pki.ci import repository
from mtls_pki.errors import CommandError
from mtls_pki.registry import extensions
from mtls_pki.rotation.transitions import structural_refusals
from mtls_pki.settings.model import Settings
from mtls_pki.settings.stack_file.reading import open_stack_file
from mtls_pki.settings.trust_domain import configured_stage


def mistakes(stacks: Sequence[str], base: str) -> tuple[str, ...]:
    """Return what is wrong with the files of ``stacks``, and with the step from ``base`` to them.

    This can only find a step that is not in the table of transitions. Whether the clusters are
    ready for a step is for the guard to judge, from evidence.

    Raises:
        CommandError: git does not know ``base``.
    """
    found = []
    with repository.checked_out(base) as before:
        for stack in stacks:
            try:
                new = _settings(Path.cwd(), stack)
            except CommandError as error:
                found.append(str(error))
                continue
            found += [f"Pulumi.{stack}.yaml: {each}" for each in _refusals(before, stack, new)]
    return tuple(found)


def _settings(directory: Path, stack: str) -> Settings:
    return open_stack_file(directory, stack, {}, extensions()).settings()


def _refusals(before: Path, stack: str, new: Settings) -> list[str]:
    try:
        old = configured_stage(_settings(before, stack), {})
    except CommandError:
        # A new stack, or one whose file was wrong before: there is no step to judge.
        return []
    return [
        f"{refusal.rule.sentence} ({'; '.join(refusal.seen)}): {refusal.remedy} "
        f"[{refusal.rule.identifier}]"
        for refusal in structural_refusals(old, configured_stage(new, {}))
    ]
