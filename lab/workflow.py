"""``make up``, ``down``, ``clean``, ``backup``, ``restore``: the dev stack and its keys."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

from lab.cli import main as lab_command
from lab.errors import LabError
from lab.files import write_private
from lab.paths import Paths
from lab.pulumi_cli import Engine, open_engine, refuse_shown_keys

STACK = "dev"
_PROJECT = Path(__file__).resolve().parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one step; the exit status is 0 if it succeeded."""
    parser = argparse.ArgumentParser(prog="python -m lab.workflow", description=__doc__)
    steps: dict[str, tuple[Callable[[argparse.Namespace], None], str]] = {
        "up": (_up, "start the lab (or use $KUBE_CONTEXT), apply the dev stack, show it"),
        "down": (_down, "stop what `up` started; data and state stay"),
        "clean": (_clean, "stop it and remove the environment's data and state"),
        "backup": (_backup, "save the stack's keys into a new encrypted file"),
        "restore": (_restore, "bring them back into an empty stack, and apply it"),
    }
    commands = parser.add_subparsers(required=True, metavar="STEP")
    for name, (run, help_text) in steps.items():
        step = commands.add_parser(name, help=help_text)
        step.add_argument("--directory", type=Path, default=_PROJECT / ".lab", help="default: .lab")
        if run in (_backup, _restore):
            step.add_argument("--file", type=Path, required=True, help="the archive")
        if run is _restore:
            step.add_argument("--rebuilt", metavar="CLUSTER", help="it was built again")
        step.set_defaults(run=run)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except LabError as error:
        print(f"make: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make: interrupted; the same command again goes on from here", file=sys.stderr)
        return 130
    return 0


def _start(directory: Path) -> Engine:
    """Start the lab, or take the cluster of ``$KUBE_CONTEXT``, and select the stack."""
    refuse_shown_keys()
    context = os.environ.get("KUBE_CONTEXT")
    if context:
        kubeconfig = Paths(root=directory, name=STACK).kubeconfig
        write_private(kubeconfig, context_alone(context))
        print(f"using the cluster of context {context}")
    elif lab_command(["up", STACK, "--directory", str(directory)]) != 0:
        raise LabError("the lab did not start; see its output above")
    engine = open_engine(_PROJECT, directory)
    engine.select_stack(STACK)
    if directory == _PROJECT / ".lab":
        engine.write_record()
    return engine


def _up(options: argparse.Namespace) -> None:
    started = time.monotonic()
    engine = _start(options.directory)
    _run(engine, "up", "--yes", "--suppress-outputs")
    _show(engine)
    print(f"\nup in {time.monotonic() - started:.0f} s. Try next:")
    for command, what in (
        ("make test", "everything that CI runs"),
        ("$EDITOR Pulumi.dev.yaml && make up", "add a service, or a generation g2"),
        ('eval "$(.venv/bin/mtls-pki env)"', "`pulumi` in this shell, with this stack"),
        ("make backup", "save its keys into an encrypted file"),
        ("make down", "stop the lab; `make up` brings it back as it was"),
    ):
        print(f"  {command:<36} {what}")


def _show(engine: Engine) -> None:
    command = [sys.executable, "-m", "mtls_pki", "status", "--stack", STACK]
    subprocess.run(command, cwd=engine.project, check=False)


def _down(options: argparse.Namespace) -> None:
    if not os.environ.get("KUBE_CONTEXT"):
        lab_command(["down", "--directory", str(options.directory)])


def _backup(options: argparse.Namespace) -> None:
    engine = open_engine(_PROJECT, options.directory)
    engine.select_stack(STACK)
    _run(engine, "backup", str(options.file.absolute()))


def _restore(options: argparse.Namespace) -> None:
    engine = _start(options.directory)
    rebuilt = options.rebuilt
    if rebuilt is None and "KUBE_CONTEXT" not in os.environ:
        rebuilt = STACK  # The lab's own cluster, which `make clean` has removed.
    options_of_it = ["--rebuilt", rebuilt] if rebuilt else []
    _run(engine, "restore", str(options.file.absolute()), *options_of_it)
    # --run-program reads the clusters that the stack file names, not those that the state knew.
    engine.call(
        "up", "--stack", STACK, "--yes", "--refresh", "--run-program", "--skip-preview",
        "--suppress-outputs",
    )  # fmt: skip
    _show(engine)


def _run(engine: Engine, verb: str, *options: str) -> None:
    command = [sys.executable, "-m", "mtls_pki", verb, "--stack", STACK, *options]
    done = subprocess.run(command, cwd=engine.project, env=engine.environment(), check=False)
    if done.returncode != 0:
        raise LabError(f"`mtls-pki {verb}` failed; see its output above")


def _clean(options: argparse.Namespace) -> None:
    directory = options.directory
    lab_command(["down", "--purge", "--directory", str(directory)])
    shutil.rmtree(directory, ignore_errors=True)
    print(f"removed {directory}")


def context_alone(context: str) -> str:
    """Return a kubeconfig that holds nothing but ``context`` of the user's own kubeconfig.

    Raises:
        LabError: there is no such context; the message names those that there are.
    """
    place = os.environ.get("KUBECONFIG", KUBE_CONFIG_DEFAULT_LOCATION)
    merged = KubeConfigMerger(place).config
    document = merged.value if merged is not None else {}
    by_name = {entry["name"]: entry for entry in document.get("contexts") or []}
    if context not in by_name:
        known = ", ".join(by_name) or "none"
        raise LabError(f"KUBE_CONTEXT={context}: no such context in {place}; there are: {known}")
    names = by_name[context]["context"]
    alone = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [by_name[context]],
        "clusters": [c for c in document["clusters"] if c["name"] == names["cluster"]],
        "users": [u for u in document["users"] if u["name"] == names["user"]],
    }
    return yaml.safe_dump(alone, sort_keys=False)


if __name__ == "__main__":
    sys.exit(main())
