"""``python -m lab up|down|status|env``: the local control planes from the command line."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab import paths, programs, report, toolchain
from lab.control_plane import ControlPlane, up_all
from lab.errors import LabError
from lab.selection import OPTIONAL

_INTERRUPTED = 130  # as shells report a command that SIGINT ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 if it succeeded and all is well."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; the same command again goes on from here", file=sys.stderr)
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description="Kubernetes control planes with cert-manager, as plain processes on loopback.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="start what does not run, and wait until it is ready")
    _names(up, "control planes to start (default: dev)")
    up.add_argument(
        "--clusters", type=int, metavar="N", help="start N control planes: dev, dev-2, ..."
    )
    up.add_argument(
        "--with",
        dest="addons",
        action="append",
        default=[],
        choices=sorted(OPTIONAL),
        help="run this add-on too, from now on",
    )
    up.set_defaults(run=_up)

    down = commands.add_parser("down", help="stop what `up` started; the data stays")
    _names(down, "control planes to stop (default: all)")
    down.add_argument("--purge", action="store_true", help="remove the data too")
    down.set_defaults(run=_down)

    status = commands.add_parser(
        "status", help="show every process; exit status 1 if one is not well"
    )
    _names(status, "control planes to show (default: all)")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_status)

    env = commands.add_parser("env", help='print shell exports: eval "$(python -m lab env)"')
    _names(env, "control planes to use (default: all)")
    env.set_defaults(run=_env)
    return parser


def _names(parser: argparse.ArgumentParser, explanation: str) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help=explanation)
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path(".lab"),
        metavar="DIR",
        help="where everything is kept (default: .lab)",
    )


def _up(options: argparse.Namespace) -> int:
    if options.names and options.clusters is not None:
        raise LabError("give either the names of control planes or --clusters N, not both")
    count = 1 if options.clusters is None else options.clusters
    names = tuple(dict.fromkeys(options.names)) or paths.default_names(count)
    planes = [ControlPlane(options.directory, name, with_=options.addons) for name in names]
    began = time.monotonic()

    def say(plane: ControlPlane, text: str) -> None:
        print(f"[{time.monotonic() - began:5.1f}s] {plane.name}: {text}", flush=True)

    for plane, started in zip(planes, up_all(planes, say), strict=True):
        what = f"started {', '.join(started)}" if started else "all was running"
        say(plane, f"up ({what}); kubeconfig {plane.kubeconfig}")
    return 0


def _down(options: argparse.Namespace) -> int:
    for place in paths.chosen(options.directory, options.names):
        stopped = ControlPlane(place.root, place.name).down(purge=options.purge)
        what = f"stopped {', '.join(stopped)}" if stopped else "nothing was running"
        print(f"{place.name}: {what}{', data removed' if options.purge else ''}")
    return 0


def _status(options: argparse.Namespace) -> int:
    places = paths.chosen(options.directory, options.names)
    statuses = [s for place in places for s in ControlPlane(place.root, place.name).status()]
    if options.json:
        print(report.to_json(statuses))
    elif statuses:
        report.print_table(statuses)
    else:
        print(f"no control plane in {options.directory}; start one: python -m lab up")
    return 0 if report.healthy(statuses) else 1


def _env(options: argparse.Namespace) -> int:
    places = paths.chosen(options.directory, options.names)
    if not places:
        raise LabError(f"no control plane in {options.directory}; start one: python -m lab up")
    tools = toolchain.ensure(*(program.name for program in programs.PROGRAMS))
    directories = dict.fromkeys(str(path.parent) for path in tools.values())
    kubeconfigs = os.pathsep.join(str(place.kubeconfig) for place in places)
    print(f"export KUBECONFIG={shlex.quote(kubeconfigs)}")
    print(f'export PATH={shlex.quote(os.pathsep.join(directories))}{os.pathsep}"$PATH"')
    return 0
