"""Runs the step-cas that stacks declare, as kubelet would run their pods.

No container runs in the lab. So this process looks in all namespaces for the ConfigMaps of the
component `StepCa`, puts the files of a step-ca where its pod would have them mounted, and starts it
on the loopback address with the port of its ``ca.json``. As in a pod, files that change do not
restart it, and one that ends is started again.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import ctypes
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from lab.api import Api, ApiError
from lab.control_plane import ControlPlane
from lab.errors import LabError
from lab.files import write_private
from lab.ports import LOOPBACK
from lab.step_ca import data

# Where the pod of the component has its files.
_HOME = "/home/step"
_LABEL = "app.kubernetes.io/name=step-ca"
_CONFIG = "-config"
_POLL_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One step-ca that a stack has declared."""

    namespace: str
    name: str

    @property
    def directory(self) -> str:
        return f"{self.namespace}-{self.name}"


class Runner:
    """The step-cas of one cluster."""

    def __init__(self, binary: Path, data: Path) -> None:
        self._binary, self._data = binary, data
        self._running: dict[Declared, subprocess.Popen[bytes]] = {}

    def step(self, api: Api) -> None:
        """Start what is declared and does not run, and end what is declared no more."""
        declared = set(_declared(api))
        for one in set(self._running) - declared:
            self._end(one)
            shutil.rmtree(self._data / one.directory, ignore_errors=True)
        for one in declared:
            process = self._running.get(one)
            if process is None or process.poll() is not None:
                with contextlib.suppress(KeyError, ApiError):  # Not all of it is there yet.
                    self._running[one] = self._start(api, one)

    def end(self) -> None:
        """End all of them."""
        for one in list(self._running):
            self._end(one)

    def _end(self, one: Declared) -> None:
        process = self._running.pop(one)
        process.terminate()
        process.wait()

    def _start(self, api: Api, one: Declared) -> subprocess.Popen[bytes]:
        home = self._data / one.directory
        for volume, content in (
            ("certs", _content(api, one, "configmaps", "certs")),
            ("config", _content(api, one, "configmaps", "config")),
            ("secrets", _content(api, one, "secrets", "secrets")),
            ("passwords", _content(api, one, "secrets", "ca-password")),
        ):
            for name, text in content.items():
                write_private(home / volume / name, text.replace(_HOME, str(home)))
        (home / "db").mkdir(parents=True, exist_ok=True)
        configuration = home / "config" / "ca.json"
        document = json.loads(configuration.read_text(encoding="utf-8"))
        document["address"] = f"{LOOPBACK}{document['address']}"
        write_private(configuration, json.dumps(document))
        password = home / "passwords" / "password"
        with (home / "log").open("ab") as log:
            return subprocess.Popen(
                [self._binary, "--password-file", password, configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"HOME": str(home), "STEPPATH": str(home)},
                preexec_fn=_end_with_the_parent,
            )


def _declared(api: Api) -> Iterator[Declared]:
    found = api.request("GET", f"/api/v1/configmaps?labelSelector={_LABEL}")
    for each in found["items"]:
        metadata = each["metadata"]
        if metadata["name"].endswith(_CONFIG):
            name = metadata["name"].removesuffix(_CONFIG)
            yield Declared(namespace=metadata["namespace"], name=name)


def _content(api: Api, one: Declared, kind: str, suffix: str) -> Mapping[str, str]:
    path = f"/api/v1/namespaces/{one.namespace}/{kind}/{one.name}-{suffix}"
    data: Mapping[str, Any] = api.request("GET", path)["data"]
    if kind == "configmaps":
        return data
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


def _end_with_the_parent() -> None:
    """Have the kernel end a step-ca whose runner was killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m lab.step_ca_runner", description=__doc__)
    parser.add_argument("binary", type=Path, help="of step-ca")
    parser.add_argument("root", type=Path, help="directory of the control planes")
    parser.add_argument("name", help="of the control plane")
    given = parser.parse_args()

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    plane = ControlPlane(given.root, given.name)
    runner = Runner(given.binary, data(plane.paths))
    try:
        while True:
            # It starts before the API server does, and that one may be away for a moment.
            with contextlib.suppress(LabError, OSError), contextlib.closing(plane.api()) as api:
                runner.step(api)
            time.sleep(_POLL_SECONDS)
    finally:
        runner.end()


if __name__ == "__main__":
    main()
