"""``python -m lab.drill``: what ``mtls-pki drill`` runs."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from lab.control_plane import ControlPlane, up_all
from lab.drill_fleet import (
    Handshakes,
    Member,
    Mounted,
    can_meet,
    kept,
    refusals,
    start_pods,
)
from lab.drill_page import Drill, Stage, Stale, drill_page
from lab.drill_values import FIRST, HOLD_DOWN, SECOND, Rehearsal, rehearsal
from lab.errors import LabError
from lab.files import write_private
from lab.project_copy import copy_program
from lab.pulumi_cli import Engine, open_engine
from lab.waiting import wait_for
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.pages.html import html_page
from mtls_pki.pages.markdown import markdown_page
from mtls_pki.pages.terminal import terminal_page
from mtls_pki.registry import extensions
from mtls_pki.rotation.durations import format_duration, parse_duration
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import leaf_secret_name, service_dns_names
from mtls_pki.settings.stack_file.reading import StackFile, open_stack_file

_STACK = "drill"
_SHOWN_LINES = 15
_LEAF = "1h"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a drill; the exit status is one of ``mtls-pki``."""
    parser = argparse.ArgumentParser(prog="python -m lab.drill", description=__doc__)
    parser.add_argument("project", type=Path)
    parser.add_argument("stack")
    parser.add_argument("--format", default="text")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--patience", type=parse_duration, required=True)
    options = parser.parse_args(arguments)
    try:
        file = open_stack_file(options.project, options.stack, {}, extensions())
        # Not in the project: kubelet's sockets need a short path (sockaddr_un has 108 bytes).
        with tempfile.TemporaryDirectory(prefix="mtls-pki-drill-") as directory:
            _say(
                f"in {directory}; should it be killed, `{sys.executable} -m lab down --purge "
                f"--directory {directory}` in {Path.cwd()} ends what it leaves"
            )
            drill = _drill(file, Path(directory), options.patience.total_seconds())
        _show(drill, options.format, options.output)
    except (LabError, CommandError) as error:
        print(f"mtls-pki: {error}", file=sys.stderr)
        return ExitStatus.ERROR
    except KeyboardInterrupt:
        print("mtls-pki: interrupted; the drill's clusters are removed", file=sys.stderr)
        return ExitStatus.INTERRUPTED
    return ExitStatus.DONE if drill.good else ExitStatus.BLOCKED


def _drill(file: StackFile, directory: Path, patience: float) -> Drill:
    settings = file.settings()
    add_ons = ["node", *(["trust-manager"] if settings.trust.via == "trust-manager" else [])]
    planes = {name: ControlPlane(directory, name, with_=add_ons) for name in settings.clusters}
    with _removed(planes.values()):
        kubeconfigs = {name: plane.kubeconfig.absolute() for name, plane in planes.items()}
        rehearsed = rehearsal(settings, file.values(), kubeconfigs, at=datetime.now(UTC))
        run = _Run(rehearsed, directory, patience)
        own = open_stack_file(run.project, _STACK, {}, extensions()).settings()
        members = _members(own)
        if not any(can_meet(a, b) for a, b in itertools.permutations(members, 2)):
            raise LabError(
                "no service can be a client of another one, so nobody would shake hands; a drill "
                "needs a service with client auth and another with server auth"
            )
        _say(f"starting {len(planes)} control planes with a node")
        up_all(list(planes.values()), lambda plane, text: _say(f"{plane.name}: {text}"))
        _say("applying the stack with throw-away keys")
        first = run.up()
        mounted = start_pods(planes, members, own)
        with Handshakes(members, mounted) as handshakes:
            fleet = _Fleet(members=members, mounted=mounted, handshakes=handshakes)
            stages, finished, stale = run.rotate(fleet, directory / "kept")
    start = Stage(
        step="pulumi up",
        up_seconds=first,
        arrived_seconds=None,
        ready_seconds=None,
        waits_for=(),
        handshakes=0,
        broken=Counter(),
    )
    return Drill(
        trust_domain=settings.trust_domain,
        services=len(members),
        clusters=tuple(planes),
        stages=(start, *stages),
        finished=finished,
        times=(
            ("hold-down", format_duration(HOLD_DOWN), format_duration(settings.trust.hold_down)),
            ("lifetime of a leaf", _LEAF, format_duration(settings.issuing.leaf.duration)),
            ("kubelet brings a change within", "3s", "1m30s by default"),
        ),
        left_out=rehearsed.left_out,
        stale=stale,
    )


@dataclass(frozen=True, kw_only=True)
class _Fleet:
    members: Sequence[Member]
    mounted: Mapping[str, Mounted]
    handshakes: Handshakes


class _Stale:
    """A workload that reads its files once: what it has, and when it broke."""

    def __init__(self, fleet: _Fleet, started: str, directory: Path) -> None:
        self._fleet, self._started = fleet, started
        self._files = kept(fleet.mounted, directory)
        self._broke_after: str | None = None
        self._reasons: Counter[str] = Counter()

    def meet(self, step: str) -> None:
        """Let it shake hands with the others after a step, unless it is broken already."""
        if self._broke_after is None:
            self._reasons = refusals(self._fleet.members, self._files, self._fleet.mounted)
            self._broke_after = step if self._reasons else None

    def told(self) -> Stale:
        """Return it for the page."""
        return Stale(started=self._started, broke_after=self._broke_after, reasons=self._reasons)


class _Run:
    """The stack of one drill, and its changes."""

    def __init__(self, rehearsed: Rehearsal, directory: Path, patience: float) -> None:
        self._patience = patience
        self.project = copy_program(directory / "project")
        self._engine: Engine = open_engine(self.project, directory / "engine")
        with (self.project / "Pulumi.yaml").open(encoding="utf-8") as text:
            name = yaml.safe_load(text)["name"]
        config = {f"{name}:{key}": value for key, value in rehearsed.values.items()}
        write_private(self.project / f"Pulumi.{_STACK}.yaml", json.dumps({"config": config}))
        self._engine.select_stack(_STACK)

    def rotate(self, fleet: _Fleet, directory: Path) -> tuple[list[Stage], bool, list[Stale]]:
        """Take the three steps; also whether all could be taken, and whom restarts would save."""
        mounted = fleet.mounted
        before = {name: each.leaf for name, each in mounted.items()}
        old = {name: each.roots for name, each in mounted.items()}

        def grown() -> bool:
            return all(len(each.roots) > len(old[name]) for name, each in mounted.items())

        def moved() -> bool:
            return all(each.leaf != before[name] for name, each in mounted.items())

        def shrunk() -> bool:
            return all(old[name] not in each.roots for name, each in mounted.items())

        steps: list[tuple[tuple[str, ...], Callable[[], bool], str | None]] = [
            (("add", SECOND, "--common-name", f"drill-{SECOND}"), grown, "promote"),
            (("promote",), moved, "retire"),
            (("retire", FIRST), shrunk, None),
        ]
        stages: list[Stage] = []
        stale: list[_Stale] = []
        for command, arrived, following in steps:
            shown = f"mtls-pki {' '.join(command[:2])}"
            stale.append(_Stale(fleet, shown, directory / command[0]))
            stage = self._step(shown, command, arrived, following, fleet.handshakes)
            stages.append(stage)
            if stage.arrived_seconds is not None:
                for each in stale:
                    each.meet(shown)
            if stage.waits_for:
                break
        finished = len(stages) == len(steps) and stages[-1].arrived_seconds is not None
        return stages, finished, [each.told() for each in stale]

    def _step(
        self,
        shown: str,
        command: tuple[str, ...],
        arrived: Callable[[], bool],
        following: str | None,
        handshakes: Handshakes,
    ) -> Stage:
        handshakes.take()
        _say(shown)
        self._mtls_pki(*command)
        seconds = self.up()
        begin = time.monotonic()
        reached = wait_for(lambda: self._since(begin) if _quiet(arrived) else None, seconds=60)
        ready: float | None = None
        waits_for: tuple[str, ...] = ()
        if following is not None:
            _say(f"waiting until {following} is safe")
            ready = wait_for(
                lambda: self._since(begin) if self._ready(following) else None,
                seconds=self._patience,
            )
            waits_for = () if ready is not None else self._waits_for()
        made, broken = handshakes.take()
        return Stage(
            step=shown,
            up_seconds=seconds,
            arrived_seconds=reached,
            ready_seconds=ready,
            waits_for=waits_for,
            handshakes=made,
            broken=broken,
        )

    def up(self) -> float:
        """Apply the stack file, and return how many seconds that took."""
        begin = time.monotonic()
        done = self._engine.run("up", "--stack", _STACK, "--yes", "--skip-preview")
        if done.returncode != 0:
            lines = (done.stdout + done.stderr).strip().splitlines()[-_SHOWN_LINES:]
            raise LabError("`pulumi up` of the drill failed:\n" + "\n".join(lines))
        return self._since(begin)

    @staticmethod
    def _since(begin: float) -> float:
        return time.monotonic() - begin

    def _next(self) -> dict[str, Any]:
        plan = json.loads(self._mtls_pki("plan", "--json"))
        step: dict[str, Any] = plan["steps"][0]
        return step

    def _ready(self, verb: str) -> bool:
        step = self._next()
        return step["verb"] == verb and bool(step["ready"])

    def _waits_for(self) -> tuple[str, ...]:
        step = self._next()
        laggards = tuple(
            f"{each['kind']} {each['namespace']}/{each['name']} in {each['cluster']}: "
            f"{each['detail']}"
            for each in step["laggards"]
        )
        return laggards or (str(step["basis"]),)

    def _mtls_pki(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mtls_pki", *arguments, "--stack", _STACK],
            cwd=self.project,
            env=self._engine.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise LabError(f"`mtls-pki {' '.join(arguments)}` failed: {done.stderr.strip()}")
        return done.stdout


def _quiet(arrived: Callable[[], bool]) -> bool:
    """Whether it arrived; files that are just being swapped did not."""
    try:
        return arrived()
    except OSError:
        return False


def _members(settings: Settings) -> list[Member]:
    found = []
    for name, service in settings.services.items():
        clusters = settings.clusters_of(service)
        for cluster in clusters:
            domain = settings.clusters[cluster].cluster_domain
            names = service_dns_names(name, service, domain)
            plain = [each for each in names if not each.startswith("*")]
            found.append(
                Member(
                    name=name if len(clusters) == 1 else f"{name} in {cluster}",
                    cluster=cluster,
                    namespace=service.namespace,
                    secret=leaf_secret_name(name, service),
                    dns=plain[0] if plain else None,
                    usages=service.usages,
                )
            )
    return found


@contextlib.contextmanager
def _removed(planes: Iterable[ControlPlane]) -> Iterator[None]:
    """End everything that runs for the drill, however it ends."""
    try:
        yield
    finally:
        _say("removing the drill's clusters")
        for plane in planes:
            plane.down(purge=True)


def _show(drill: Drill, form: str, output: Path | None) -> None:
    page = drill_page(drill)
    if form == "text" and output is None:
        from mtls_pki.commands.output import console

        console().print(terminal_page(page))
        return
    text = html_page(page) if form == "html" else markdown_page(page)
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"--output {output}: {error.strerror}") from None
    _say(f"written: {output}")


def _say(text: str) -> None:
    print(f"drill: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
