"""What kubelet does for the volumes of one cluster's pods: Secrets and ConfigMaps become files.

    python kubelet.py < DESCRIPTION

It watches the objects of one namespace and, at a random time within ``delay`` seconds of a change,
writes each volume as kubelet's atomic writer does (pkg/volume/util/atomic_writer.go): the files in
a new directory, then the link ``..data`` renamed over the old one, then the old directory removed.
Each volume has a delay of its own, so two pods, or the leaf and the bundle of one pod, see a change
at different times and in either order. It prints ``ready`` when every volume was written once, and
ends when standard input ends.
"""

from __future__ import annotations

import base64
import heapq
import json
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

_AGAIN_SECONDS = 0.5


@dataclass
class Volume:
    """One mounted object; ``content`` is what the next write takes, None where all is written."""

    directory: Path
    kind: str
    name: str
    keys: tuple[str, ...]
    content: dict[str, bytes] | None = None
    versions: int = field(default=0)

    def write(self, content: dict[str, bytes]) -> None:
        """Swap the files, all at once for a reader that follows ``..data``."""
        self.versions += 1
        fresh = self.directory / f"..{self.versions}"
        fresh.mkdir(parents=True, mode=0o700)
        for key in self.keys:
            (fresh / key).write_bytes(content[key])
            link = self.directory / key
            if not link.is_symlink():
                link.symlink_to(f"..data/{key}")
        new = self.directory / "..data_tmp"
        new.symlink_to(fresh.name)
        new.replace(self.directory / "..data")
        shutil.rmtree(self.directory / f"..{self.versions - 1}", ignore_errors=True)


class Kubelet:
    """The volumes of one namespace of one cluster."""

    def __init__(self, description: dict[str, Any]) -> None:
        self._namespace: str = description["namespace"]
        self._delay: float = description["delay"]
        self._random = random.Random(description["seed"])  # noqa: S311
        self._volumes = [
            Volume(
                directory=Path(each["directory"]),
                kind=each["kind"],
                name=each["name"],
                keys=tuple(each["keys"]),
            )
            for each in description["volumes"]
        ]
        self._due: list[tuple[float, int]] = []
        self._changed = threading.Condition()
        self._api = client.CoreV1Api(config.new_client_from_config(description["kubeconfig"]))

    def run(self) -> None:
        """Watch and write for ever."""
        sources: dict[str, Callable[..., Any]] = {
            "Secret": self._api.list_namespaced_secret,
            "ConfigMap": self._api.list_namespaced_config_map,
        }
        for kind, source in sources.items():
            threading.Thread(target=self._watch, args=(kind, source), daemon=True).start()
        waiting = len(self._volumes)
        while True:
            volume, content = self._next()
            volume.write(content)
            if volume.versions == 1:
                waiting -= 1
                if waiting == 0:
                    print("ready", flush=True)

    def _watch(self, kind: str, source: Callable[..., Any]) -> None:
        while True:
            try:
                stream = watch.Watch().stream(source, self._namespace, timeout_seconds=600)
                for event in stream:
                    if event["type"] in ("ADDED", "MODIFIED"):
                        self._seen(kind, event["raw_object"])
            except (ApiException, HTTPError):
                time.sleep(_AGAIN_SECONDS)

    def _seen(self, kind: str, live: dict[str, Any]) -> None:
        data = live.get("data") or {}
        decode = base64.b64decode if kind == "Secret" else str.encode
        for number, volume in enumerate(self._volumes):
            if (volume.kind, volume.name) != (kind, live["metadata"]["name"]):
                continue
            if not all(data.get(key) for key in volume.keys):
                continue
            with self._changed:
                if volume.content is None:
                    # The first write is at the pod's start and waits for nothing.
                    wait = self._random.uniform(0, self._delay) if volume.versions else 0.0
                    heapq.heappush(self._due, (time.monotonic() + wait, number))
                # As kubelet does, a write takes what is newest then.
                volume.content = {key: decode(data[key]) for key in volume.keys}
                self._changed.notify()

    def _next(self) -> tuple[Volume, dict[str, bytes]]:
        with self._changed:
            while not self._due or self._due[0][0] > time.monotonic():
                wait = self._due[0][0] - time.monotonic() if self._due else None
                self._changed.wait(wait)
            _, number = heapq.heappop(self._due)
            volume = self._volumes[number]
            content, volume.content = volume.content, None
            assert content is not None
            return volume, content


def main() -> None:
    kubelet = Kubelet(json.loads(sys.stdin.readline()))
    threading.Thread(target=kubelet.run, daemon=True).start()
    sys.stdin.read()
    os._exit(0)  # The watches do not end by themselves.


if __name__ == "__main__":
    main()
