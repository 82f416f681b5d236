"""The update of one stack after a merge."""

from __future__ import annotations

import sys

from ci import engine, repository
from ci.errors import CiError
from ci.forge import Forge
from ci.preview import context, described_tree


def deploy(stack: str, *, forge: Forge | None) -> int:
    """Apply what is checked out, if it is what was previewed.

    Without a forge, in a person's shell, nothing tells what was previewed: `pulumi up` asks then.

    Returns:
        0 if it was applied, 1 if not; the engine has said why.

    Raises:
        CiError: these files were not previewed, or the preview was not green; nothing was applied.
    """
    if forge is None:
        raise CiError("deploy checks what a forge recorded; by hand, run `pulumi up` and read it")
    if changed := repository.uncommitted():
        raise CiError(
            f"the working directory differs from its commit ({changed[0]}), so it is not what was "
            "previewed; deploy from a clean checkout"
        )
    _require_previewed(stack, forge)
    done = engine.pulumi(
        "up", "--stack", stack, "--yes", "--skip-preview", "--suppress-outputs",
        "--policy-pack", engine.POLICY_PACK,
    )  # fmt: skip
    sys.stdout.write(done.output)
    return 0 if done.status == 0 else 1


def _require_previewed(stack: str, forge: Forge) -> None:
    head, tree = repository.commit("HEAD"), repository.tree("HEAD")
    previews = forge.previews_of(head, context(stack))
    remedy = (
        "bring the change up to date with its target branch, let the preview run, and merge again "
        "(docs/review-workflows.md: require branches to be up to date)"
    )
    if not previews:
        raise CiError(f"commit {head}: stack {stack} was not previewed in a change; {remedy}")
    trees = {described_tree(status.description) for status in previews}
    if tree not in trees:
        raise CiError(
            f"commit {head}: its files (tree {tree}) are not those that the preview of stack "
            f"{stack} saw (tree {', '.join(sorted(map(str, trees)))}); {remedy}"
        )
    if not any(each.passed and described_tree(each.description) == tree for each in previews):
        raise CiError(f"commit {head}: the preview of stack {stack} was not green; {remedy}")
