"""Copies of kubeconfigs go when their engine has ended, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtls_pki.engine import kubeconfig_copies
from mtls_pki.engine.kubeconfig_copies import copies

KUBECONFIG: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "dev",
    "contexts": [{"name": "dev", "context": {"cluster": "dev", "user": "admin"}}],
    "clusters": [
        {
            "name": "dev",
            "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": "Y2E="},
        }
    ],
    "users": [
        {
            "name": "admin",
            "user": {"client-certificate-data": "Y3J0", "client-key-data": "a2V5", "odd": "field"},
        }
    ],
}


def as_the_plugin_writes_it() -> dict[str, Any]:
    """Without what it does not know, and with its defaults."""
    copy: dict[str, Any] = json.loads(json.dumps(KUBECONFIG))
    del copy["users"][0]["user"]["odd"]
    return {**copy, "preferences": {}}


def place_file(path: Path, document: object, *, mode: int = 0o600) -> Path:
    path.write_text(yaml.safe_dump(document))
    path.chmod(mode)
    return path


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return place_file(tmp_path / "config", KUBECONFIG)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    return place


@contextmanager
def engine() -> Iterator[tuple[str, socket.socket]]:
    """What listens at an engine's address, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}", listening


def remove(address: str, *kubeconfigs: Path, since: float = 0) -> subprocess.Popen[bytes]:
    """The process that removes, as the program starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", kubeconfig_copies.__name__, address, str(since), *kubeconfigs],
        stdin=subprocess.DEVNULL,
    )


def ended() -> str:
    """The address of an engine that is no more."""
    with engine() as (address, _):
        return address


def test_a_copy_goes_in_the_moment_in_which_the_engine_ends(
    original: Path, temporary: Path
) -> None:
    copy = place_file(temporary / "kubeconfig123", as_the_plugin_writes_it())
    with engine() as (address, listening):
        removing = remove(address, original)
        first, _ = listening.accept()
        # As the server hangs up on who says nothing: that is not the end of the engine.
        first.close()
        second, _ = listening.accept()
        assert copy.exists()
        later = place_file(temporary / "kubeconfig4294967295", as_the_plugin_writes_it())
        second.close()
    assert removing.wait() == 0
    assert not copy.exists()
    assert not later.exists()
    assert original.exists()


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    document = as_the_plugin_writes_it()
    change(document)
    return document


@pytest.mark.parametrize(
    ("name", "document", "mode"),
    [
        ("kubeconfig", as_the_plugin_writes_it(), 0o600),
        ("kubeconfig-1", as_the_plugin_writes_it(), 0o600),
        ("kubeconfig1.yaml", as_the_plugin_writes_it(), 0o600),
        ("my-kubeconfig1", as_the_plugin_writes_it(), 0o600),
        ("kubeconfig1", as_the_plugin_writes_it(), 0o644),
        ("kubeconfig1", changed(lambda d: d.update(users=[])), 0o600),
        ("kubeconfig1", changed(lambda d: d.update(clusters=[])), 0o600),
        ("kubeconfig1", changed(lambda d: d.update({"current-context": "prod"})), 0o600),
        (
            "kubeconfig1",
            changed(lambda d: d["users"][0]["user"].update({"client-key-data": "b3RoZXI="})),
            0o600,
        ),
        ("kubeconfig1", changed(lambda d: d["users"][0]["user"].update({"token": "t"})), 0o600),
        ("kubeconfig1", changed(lambda d: d["contexts"][0].update(name="prod")), 0o600),
        ("kubeconfig1", "no kubeconfig", 0o600),
        ("kubeconfig1", [1], 0o600),
        ("kubeconfig1", None, 0o600),
    ],
)
def test_what_is_no_copy_beyond_doubt_stays(
    original: Path, temporary: Path, name: str, document: object, mode: int
) -> None:
    other = place_file(temporary / name, document, mode=mode)
    copy = place_file(temporary / "kubeconfig77", as_the_plugin_writes_it())
    assert remove(ended(), original).wait() == 0
    assert other.exists()
    assert not copy.exists()


def test_what_is_no_file_of_its_own_or_older_than_the_engine_stays(
    original: Path, temporary: Path
) -> None:
    outside = place_file(temporary / "mine", as_the_plugin_writes_it())
    (temporary / "kubeconfig1").symlink_to(outside)
    (temporary / "kubeconfig2").hardlink_to(outside)
    (temporary / "kubeconfig3").mkdir()
    old = place_file(temporary / "kubeconfig4", as_the_plugin_writes_it())
    os.utime(old, (1, time.time() - 60))
    before = set(temporary.iterdir())
    assert remove(ended(), original, since=time.time() - 30).wait() == 0
    assert set(temporary.iterdir()) == before


def test_a_kubeconfig_that_the_stack_names_is_no_copy_of_itself(temporary: Path) -> None:
    named = place_file(temporary / "kubeconfig1", KUBECONFIG)
    assert remove(ended(), named).wait() == 0
    assert named.exists()


def test_of_several_kubeconfigs_each_has_its_copies_and_one_may_be_missing(
    original: Path, temporary: Path, tmp_path: Path
) -> None:
    two = changed(lambda d: d["users"][0]["user"].update({"token": "t"}))
    second = place_file(tmp_path / "second", two)
    first_copy = place_file(temporary / "kubeconfig1", as_the_plugin_writes_it())
    second_copy = place_file(temporary / "kubeconfig2", two)
    assert remove(ended(), tmp_path / "missing", original, second).wait() == 0
    assert not first_copy.exists()
    assert not second_copy.exists()


@contextmanager
def provider(place: Path, of_engine: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that looks like a Kubernetes provider of an engine."""
    program = place / "pulumi-resource-kubernetes"
    shutil.copy("/bin/sh", program)
    with subprocess.Popen([program, "-c", "read _", of_engine], stdin=subprocess.PIPE) as process:
        yield process


def test_what_a_provider_of_another_engine_may_still_read_stays_until_it_ends(
    original: Path, temporary: Path, tmp_path: Path
) -> None:
    copy = place_file(temporary / "kubeconfig1", as_the_plugin_writes_it())
    with provider(tmp_path, "127.0.0.1:1") as other:
        removing = remove(ended(), original)
        with pytest.raises(subprocess.TimeoutExpired):
            removing.wait(2)
        assert copy.exists()
        other.kill()
        other.wait()
        assert removing.wait() == 0
    assert not copy.exists()


def test_what_a_provider_writes_after_the_end_of_its_engine_goes_too(
    original: Path, temporary: Path, tmp_path: Path
) -> None:
    copy = place_file(temporary / "kubeconfig1", as_the_plugin_writes_it())
    half = place_file(temporary / "kubeconfig2", {})
    address = ended()
    with provider(tmp_path, address) as alive:
        removing = remove(address, original)
        wait_for(lambda: not copy.exists())
        assert half.exists()
        place_file(half, as_the_plugin_writes_it())
        wait_for(lambda: not half.exists())
        assert removing.poll() is None
        alive.kill()
        alive.wait()
        assert removing.wait() == 0


def test_providers_with_another_temporary_directory_keep_nothing(
    original: Path, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place_file(temporary / "kubeconfig1", as_the_plugin_writes_it())
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with provider(tmp_path, "127.0.0.1:1"):
        monkeypatch.setenv("TMPDIR", str(temporary))
        assert remove(ended(), original).wait() == 0
    assert not list(temporary.iterdir())


def wait_for(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_reading_them_needs_no_process(original: Path, temporary: Path) -> None:
    copy = place_file(temporary / "kubeconfig1", as_the_plugin_writes_it())
    content = kubeconfig_copies.content(original)
    assert list(copies(temporary, [content], since=0)) == [copy]
    assert list(copies(temporary, [content], since=time.time() + 60)) == []
    assert list(copies(temporary, [], since=0)) == []


# As the program does, which reads the cluster with the key of a kubeconfig.
PROGRAM = """
import sys
from mtls_pki.clusters.connection import Cluster, ClusterAddress
from mtls_pki.engine.kubeconfig_copies import start
start(sys.argv[1], [sys.argv[2]])
Cluster(ClusterAddress(name="dev", kubeconfig=sys.argv[2]))
print(flush=True)
sys.stdin.read()
"""


def test_a_program_that_is_killed_leaves_no_key(original: Path, temporary: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, ended(), original],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as program:
        assert program.stdout
        program.stdout.readline()
        # The Kubernetes client needs it as a file.
        assert [path for path in temporary.rglob("*") if path.is_file()]
        program.kill()
    end = time.monotonic() + 60
    while list(temporary.iterdir()):
        assert time.monotonic() < end, "the key of a killed program is left"
        time.sleep(0.05)
