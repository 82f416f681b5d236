"""The update of one stack after a merge."""

from __future__ import annotations

from pathlib import Path

from mtls_pki.ci import repository
from mtls_pki.ci.forge import Forge
from mtls_pki.ci.preview import context, described_tree
from mtls_pki.ci.stacks import known_stacks, stacks_of, touched_stacks
from mtls_pki.engine.cli import POLICY_PACK
from mtls_pki.engine.update import Update, update
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import say

# Of a job's log.
_PLAIN = ("--non-interactive", "--color", "never")


def deploy(stack: str, *, forge: Forge | None) -> ExitStatus:
    """Apply what is checked out, if it is what was previewed.

    Without a forge, in a person's shell, nothing records what was previewed, so this refuses.

    Returns:
        DONE if it was applied, ERROR if not; the engine has said why.

    Raises:
        CommandError: these files were not previewed, the preview was not green, or a newer commit
            is to be applied in place of this one; nothing was applied.
    """
    if forge is None:
        raise CommandError(
            "deploy checks what a forge recorded; by hand, run `pulumi up` and read it"
        )
    if changed := repository.uncommitted():
        raise CommandError(
            f"the working directory differs from its commit ({changed[0]}), so it is not what was "
            "previewed; deploy from a clean checkout"
        )
    head = repository.commit("HEAD")
    _require_previewed(stack, head, forge)
    _require_newest(stack, head, forge)
    # With a preview: only there are the rules on the whole stack judged before the change.
    options = ("--stack", stack, "--suppress-outputs", "--policy-pack", POLICY_PACK)
    status = update(Update(options=(*options, *_PLAIN)), say=say)
    return ExitStatus.DONE if status == 0 else ExitStatus.ERROR


def _require_newest(stack: str, head: str, forge: Forge) -> None:
    """Refuse what was merged before a change of the same stack.

    Runs may come in another order than their merges, and an old run may be started again. It would
    take the newer change back, and to the guard that is a step like any other.
    """
    changed = forge.changed_after(head)
    # A stack added later is not in this checkout.
    known = {*known_stacks(Path.cwd()), *stacks_of(changed or ())}
    if changed is None or stack in touched_stacks(changed, known):
        raise CommandError(
            f"commit {head}: a later merge touches stack {stack} too, and the run of the newest "
            "commit applies both; approve or start that run"
        )


def _require_previewed(stack: str, head: str, forge: Forge) -> None:
    tree = repository.tree("HEAD")
    previews = forge.previews_of(head, context(stack))
    remedy = (
        "bring the change up to date with its target branch, let the preview run, and merge again "
        "(docs/review-workflows.md: require branches to be up to date)"
    )
    if not previews:
        raise CommandError(f"commit {head}: stack {stack} was not previewed in a change; {remedy}")
    trees = {described_tree(status.description) for status in previews}
    if tree not in trees:
        raise CommandError(
            f"commit {head}: its files (tree {tree}) are not those that the preview of stack "
            f"{stack} saw (tree {', '.join(sorted(map(str, trees)))}); {remedy}"
        )
    if not any(each.passed and described_tree(each.description) == tree for each in previews):
        raise CommandError(f"commit {head}: the preview of stack {stack} was not green; {remedy}")
