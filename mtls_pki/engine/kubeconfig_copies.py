"""Removes the copies of kubeconfigs that pulumi-kubernetes leaves in the temporary directory.

For every provider that is given a kubeconfig as a path the plugin writes a copy with its
credentials, for Helm, and leaves it there (provider.go, ``Configure``; util.go,
``writeKubeconfigToFile``). Where the engine has no private directory, as in a plain ``pulumi up``,
the program starts this module as a process of its own. It outlives the program, because the engine
configures providers until its end, and the engine too, because that may be killed.

What it removes is a copy beyond doubt, and nobody's any more: written since the engine began, by
this user, private, named as the plugin names it, with the clusters, contexts and credentials of a
kubeconfig of this stack. Where a Kubernetes provider of another engine runs, which may have written
it and may still read it, the removal waits for that one's end. One of this engine outlives it when
it is killed, and may still write.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from mtls_pki.files import PRIVATE
from mtls_pki.private_directory import remove_abandoned

# Go's os.CreateTemp appends a decimal number.
_NAME = re.compile(r"kubeconfig\d+")
_MOST_BYTES = 1 << 20
_PLUGIN = "pulumi-resource-kubernetes"
# The plugin writes other fields as it understands them: it adds defaults and drops what is unknown.
_FIELDS = {
    "clusters": ("cluster", ("server", "certificate-authority-data", "certificate-authority")),
    "contexts": ("context", ("cluster", "user", "namespace")),
    "users": (
        "user",
        (
            "client-certificate-data",
            "client-key-data",
            "client-certificate",
            "client-key",
            "token",
            "tokenFile",
            "username",
            "password",
        ),
    ),
}
_PAUSE_SECONDS = 0.5
# Their standard input is to end with this process, and not before.
_STARTED: list[subprocess.Popen[bytes]] = []

Content = dict[str, Any]
"""Of a kubeconfig: by kind of entry and name, the fields that tell one kubeconfig from another."""


def start(engine: str, kubeconfigs: Collection[str]) -> None:
    """Let a process of its own remove the copies when the engine has ended.

    Args:
        engine: address of the engine's gRPC server, ``HOST:PORT``.
        kubeconfigs: paths that the Kubernetes providers of the stack are given.
    """
    since = str(_running_since(os.getppid()))
    process = subprocess.Popen(
        [sys.executable, "-m", "mtls_pki.engine.kubeconfig_copies", engine, since, *kubeconfigs],
        # The kernel closes it at the end of the program, whatever that is.
        stdin=subprocess.PIPE,
        # The language host reads the program's output to its end; this is not to prolong it.
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Not ended by the Ctrl-C that ends the engine.
        start_new_session=True,
    )
    _STARTED.append(process)


def main(engine: str, since: str, *kubeconfigs: str) -> None:
    """Wait for the end of the engine, and remove the copies of these kubeconfigs.

    Wait for the end of the program too, that of standard input, and remove what it has left.
    """
    paths = [Path(path).expanduser() for path in kubeconfigs]
    originals = [found for found in map(content, paths) if found]
    directory = temporary_directory(os.environ)
    kept = {path.resolve() for path in paths}
    await_end(engine)
    while True:
        running = list(_providers(directory))
        # A plugin is given the address of its engine.
        if all(engine in arguments for arguments in running):
            for copy in copies(directory, originals, since=float(since)):
                if copy.resolve() not in kept:
                    copy.unlink(missing_ok=True)
        if not running:
            break
        # A provider outlives an engine that is killed, and finishes the copy that it is writing.
        time.sleep(_PAUSE_SECONDS)
    sys.stdin.read()
    # The directory with the keys that the Kubernetes client uses (clusters.connection).
    remove_abandoned(directory)


def temporary_directory(environment: Mapping[str, str]) -> Path:
    """Return where a plugin makes temporary files in this environment: Go's os.TempDir."""
    return Path(environment.get("TMPDIR") or "/tmp")  # noqa: S108


def copies(directory: Path, originals: Sequence[Content], *, since: float) -> Iterator[Path]:
    """Yield the files in ``directory`` that the plugin wrote as copies of these kubeconfigs.

    Args:
        directory: where it writes them.
        originals: what the kubeconfigs say.
        since: files that are older are none, in seconds since the epoch.
    """
    for path in sorted(directory.glob("kubeconfig*")):
        named = _NAME.fullmatch(path.name) is not None
        if named and _is_private_file(path, since) and content(path) in originals:
            yield path


def await_end(engine: str) -> None:
    """Return when nothing listens at the engine's address any more, however it ended."""
    host, _, port = engine.rpartition(":")
    with contextlib.suppress(OSError):
        while True:
            with socket.create_connection((host, int(port))) as connection:
                # The server hangs up on a client that says nothing, after two minutes.
                while connection.recv(4096):
                    pass


def _is_private_file(path: Path, since: float) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return (
        stat.S_ISREG(found.st_mode)
        and stat.S_IMODE(found.st_mode) == PRIVATE
        and found.st_uid == os.getuid()
        and found.st_nlink == 1
        and found.st_size <= _MOST_BYTES
        and found.st_mtime >= since
    )


def content(path: Path) -> Content:
    """Return what tells this kubeconfig from others; nothing for what is none."""
    try:
        document = yaml.safe_load(path.read_bytes())
        return {
            "current-context": document.get("current-context") or "",
            **{
                kind: {
                    entry["name"]: {
                        name: "".join(str(entry[key][name]).split())
                        for name in fields
                        if (entry[key] or {}).get(name)
                    }
                    for entry in document[kind] or ()
                }
                for kind, (key, fields) in _FIELDS.items()
            },
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return {}


def _providers(directory: Path) -> Iterator[list[str]]:
    """Yield the arguments of each running provider that makes its copies in ``directory``."""
    for arguments, place in _processes():
        if Path(arguments[0]).name == _PLUGIN and place in (directory, None):
            yield arguments


def _processes() -> Iterator[tuple[list[str], Path | None]]:
    """Yield each process of this user: its arguments, and its temporary directory if known."""
    proc = Path("/proc")
    if not (proc / "self/environ").exists():
        command = ["ps", "-u", str(os.getuid()), "-o", "args="]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        yield from ((line.split() or [""], None) for line in listed.splitlines())
        return
    for process in proc.glob("[0-9]*"):
        with contextlib.suppress(OSError):  # It has ended, or is somebody else's.
            if process.stat().st_uid == os.getuid():
                variables = dict(each.partition("=")[::2] for each in _strings(process / "environ"))
                yield _strings(process / "cmdline"), temporary_directory(variables)


def _strings(path: Path) -> list[str]:
    return path.read_text(errors="surrogateescape").split("\0")


def _running_since(process: int) -> float:
    """Return when a process started, in seconds since the epoch.

    Now where the system does not tell: copies that a refresh before the program made are then left.
    """
    try:
        # proc(5): the name of the program, in parentheses, may hold anything.
        fields = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2]
    except OSError:
        return time.time()
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields.split()[19]) / os.sysconf(
        "SC_CLK_TCK"
    )
    return time.time() - age


if __name__ == "__main__":
    main(*sys.argv[1:])
