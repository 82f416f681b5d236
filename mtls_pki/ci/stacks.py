"""Which stacks a change touches."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

# What no stack runs. Everything else counts as code, which all stacks run: an unnecessary preview
# costs a minute, but a missing one lets a change of trust pass without a review.
_HARMLESS_DIRECTORIES = frozenset({".github", "bench", "docs", "lab", "tests"})
_STACK_FILE = re.compile(r"Pulumi\.(?P<stack>[^/]+)\.yaml")
_HARMLESS_NAMES = frozenset({".gitignore", ".pre-commit-config.yaml", "LICENSE", "Makefile"})


def known_stacks(directory: Path) -> tuple[str, ...]:
    """Return the stacks of the project in ``directory``: one for each ``Pulumi.<stack>.yaml``."""
    return stacks_of(path.name for path in directory.glob("Pulumi.*.yaml"))


def stacks_of(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the stacks whose files are among ``paths``."""
    found = (_STACK_FILE.fullmatch(path) for path in paths)
    return tuple(sorted({each["stack"] for each in found if each}))


def touched_stacks(changed: Iterable[str], stacks: Iterable[str]) -> tuple[str, ...]:
    """Return those of ``stacks`` that a change of the paths ``changed`` touches, in their order.

    ``Pulumi.<stack>.yaml`` and ``trust/<stack>/`` touch that stack. Documents and tests touch none.
    Everything else touches all stacks.
    """
    known = tuple(stacks)
    touched: set[str] = set()
    for name in changed:
        touched |= _touched_by(PurePosixPath(name), known)
    return tuple(stack for stack in known if stack in touched)


def _touched_by(path: PurePosixPath, stacks: tuple[str, ...]) -> set[str]:
    head = path.parts[0]
    own = {stack for stack in stacks if path.name == f"Pulumi.{stack}.yaml" and path.name == head}
    if len(path.parts) > 2 and head == "trust":
        own |= {stack for stack in stacks if path.parts[1] == stack}
    harmless = head in _HARMLESS_DIRECTORIES or path.name in _HARMLESS_NAMES or path.suffix == ".md"
    return own or (set() if harmless else set(stacks))
