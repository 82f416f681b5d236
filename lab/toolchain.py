"""The programs that development and tests need, built from source where they are not built yet.

A real Pulumi engine and a real Kubernetes control plane come from module registries alone:
``lab/tools`` holds their build definitions, and this module builds what is missing with Go into a
cache outside the checkout. Each is built once for each content of its definition.

    python -m lab.toolchain pulumi kube-apiserver
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lab import toolchain_cache
from lab.toolchain_build import ToolchainError, build
from lab.toolchain_cache import Slot
from lab.toolchain_go import prerequisites
from lab.toolchain_pace import learn, pace, told
from lab.toolchain_progress import Progress
from lab.toolchain_table import BINARIES, FOUNDATION, PLUGINS, TOOLS

__all__ = ["FOUNDATION", "ToolchainError", "ensure", "install_plugins", "share"]


def ensure(*names: str, progress: Progress | None = None) -> dict[str, Path]:
    """Build what is missing of the binaries ``names``.

    Args:
        names: binaries such as ``kube-apiserver``; ``FOUNDATION`` has those of the environment.
        progress: shows what is being built, on standard error by default. It shows nothing where
            nothing is missing.

    Returns:
        the absolute path of each binary, by name, in the order of ``names``.

    Raises:
        ToolchainError: a name is unknown, Go or disk space is missing, or a build failed.
    """
    slots = {name: _slot(name) for name in names}
    missing = {slot.key: slot for slot in slots.values() if not slot.built}
    order = {tool.name: position for position, tool in enumerate(TOOLS)}
    todo = sorted(missing.values(), key=lambda slot: order[slot.tool.name])
    if todo:
        _build(todo, progress or Progress())
    return {name: slot.binary(name) for name, slot in slots.items()}


def share(name: str) -> Path:
    """The directory of the manifests that belong to binary ``name``, built first if it is missing.

    cert-manager and trust-manager have ``crds/`` (YAML files, one definition each) and ``chart/``
    (their Helm chart), both of the version of the binary.

    Raises:
        ToolchainError: as ``ensure``.
    """
    ensure(name)
    return _slot(name).share


def install_plugins(pulumi_home: Path) -> None:
    """Make the resource plugins built here those of ``pulumi_home`` (``PULUMI_HOME``).

    What is missing is built: the engine asks for the plugin of every SDK that is installed. A
    plugin on ``PATH`` would do, but the engine warns of it on every run. The place is that
    of ``pulumi plugin install``: ``plugins/resource-NAME-vVERSION/pulumi-resource-NAME``. The file
    is a link into the cache, so that a rebuilt plugin takes the place of the old one.

    Raises:
        ToolchainError: as ``ensure``.
        OSError: ``pulumi_home`` cannot be written.
    """
    binaries = ensure(*(plugin.binary for plugin in PLUGINS))
    for plugin in PLUGINS:
        link = pulumi_home / "plugins" / f"resource-{plugin.name}-v{plugin.version}" / plugin.binary
        target = binaries[plugin.binary]
        if link.is_symlink() and link.readlink() == target:
            continue
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def _slot(name: str) -> Slot:
    tool = BINARIES.get(name)
    if tool is None:
        raise ToolchainError(f"there is no tool {name!r}: choose from {', '.join(BINARIES)}")
    return toolchain_cache.slot(tool, cache=toolchain_cache.root())


def _build(slots: Sequence[Slot], progress: Progress) -> None:
    go = prerequisites(slots)
    with _terminable():
        for number, slot in enumerate(slots, 1):
            label = f"[{number}/{len(slots)}] {', '.join(slot.tool.binaries)}"
            here = pace(slot.cache)
            left = sum(each.tool.seconds for each in slots[number - 1 :]) * here
            hint = f"about {told(slot.tool.seconds * here)} here, once"
            if number < len(slots):
                hint += f"; all that is missing about {told(left)}"
            begun = time.monotonic()
            with progress.step(label, hint) as update:
                try:
                    build(slot, go=go, update=update)
                    learn(slot.cache, slot.tool, time.monotonic() - begun)
                except OSError as error:
                    raise ToolchainError(
                        f"{slot.tool.name} could not be built: {error}; "
                        "$MTLS_PKI_TOOL_CACHE names another directory for the tools"
                    ) from error


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end a build as Ctrl-C does, so that no compiler is left running."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.toolchain",
        description="Build the programs that development and tests need, and say where they are.",
        epilog="Without a name: those of the development environment "
        f"({', '.join(FOUNDATION)}). They are kept in $MTLS_PKI_TOOL_CACHE "
        "(default: ~/.cache/mtls-pki-tools) and built once.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="binary to build if missing")
    parser.add_argument("--all", action="store_true", help="build everything in the table")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list what there is; build nothing")
    what.add_argument("--path", action="store_true", help="print the paths alone, one a line")
    options = parser.parse_args(arguments)
    names = tuple(BINARIES) if options.all else tuple(options.names) or FOUNDATION
    try:
        if options.list:
            for name in options.names or BINARIES:
                slot = _slot(name)
                print(f"{name:28}{slot.binary(name) if slot.built else 'not built'}")
            return 0
        for name, path in ensure(*names).items():
            print(path if options.path else f"{name:28}{path}")
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
