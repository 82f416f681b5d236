"""The command line, without binaries."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import cli, toolchain
from lab.control_plane import ControlPlane, Health, ProcessStatus, up_all
from lab.errors import LabError
from lab.guard import Guard
from lab.paths import Paths
from lab.processes import ProcessSpec, is_alive, read_record, start
from lab.report import healthy, print_table, to_json
from lab.startup import Startup
from lab.state import State, save


@pytest.fixture(autouse=True)
def no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure(*names: str) -> dict[str, Path]:
        return {name: Path("/tools") / name / "bin" / name for name in names}

    monkeypatch.setattr(toolchain, "ensure", ensure)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Paths]:
    """A control plane `dev` whose etcd is a `sleep`."""
    paths = Paths(root=tmp_path, name="dev")
    save(paths.state, State(ports={"kube-apiserver": 20000}))
    sleep(paths, "etcd")
    yield paths
    ControlPlane(tmp_path).down()


def sleep(paths: Paths, name: str) -> None:
    start(
        ProcessSpec(name=name, argv=("sleep", "600")),
        pid_file=paths.pid_file(name),
        log=paths.log(name),
        environment=os.environ,
    )


def status(health: Health) -> ProcessStatus:
    return ProcessStatus(
        cluster="dev",
        process="etcd",
        health=health,
        pid=1,
        port=2,
        since=3.0,
        log=Path("etcd.log"),
    )


def test_names_and_a_number_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["up", "dev", "--clusters", "2"]) == 1
    assert "not both" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["up", "--with", "nonsense"], ["start"], [], ["up", "--clusters", "two"]]
)
def test_wrong_usage_exits_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2


def test_a_mistake_is_one_line_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["down", "other", "--directory", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"lab: there is no control plane 'other' in {tmp_path}: none was started\n"
    )


def test_nothing_started_is_not_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["status", "--directory", str(tmp_path)]) == 1
    assert "python -m lab up" in capsys.readouterr().out


def test_status_tells_running_from_stopped(
    running: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["status", "--json", "--directory", str(running.root)]) == 1
    rows = {row["process"]: row for row in json.loads(capsys.readouterr().out)}

    assert rows["etcd"]["state"] == "ready"
    assert rows["kube-apiserver"]["state"] == "stopped"
    assert set(rows) == {"etcd", "kube-apiserver", "kube-controller-manager", "cert-manager"}


def test_without_a_terminal_the_table_is_plain(
    running: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["status", "--directory", str(running.root)])
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split("\t") == ["cluster", "process", "pid", "state", "port", "since", "log"]
    assert lines[1].startswith("dev\tetcd\t")


def test_how_to_reach_a_server_stands_below_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    vault = dataclasses.replace(
        status(Health.READY), process="vault", usage=("export VAULT_ADDR=https://127.0.0.1:1",)
    )
    print_table([status(Health.READY), vault])
    lines = capsys.readouterr().out.splitlines()

    assert lines[3:] == ["", "# vault of dev", "export VAULT_ADDR=https://127.0.0.1:1"]
    assert [row["usage"] for row in json.loads(to_json([status(Health.READY), vault]))] == [
        [],
        ["export VAULT_ADDR=https://127.0.0.1:1"],
    ]


def test_a_dead_process_is_dead(running: Paths) -> None:
    record = read_record(running.pid_file("etcd"))
    assert record is not None
    os.kill(record.pid, 9)
    deadline = time.monotonic() + 10
    while is_alive(record) and time.monotonic() < deadline:
        time.sleep(0.01)

    health = {s.process: s.health for s in ControlPlane(running.root).status()}
    assert health["etcd"] is Health.DEAD


def test_down_stops_what_runs_and_keeps_the_data(
    running: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["down", "--directory", str(running.root)]) == 0
    assert capsys.readouterr().out == "dev: stopped etcd\n"
    assert running.state.exists()

    assert cli.main(["down", "--purge", "--directory", str(running.root)]) == 0
    assert capsys.readouterr().out == "dev: nothing was running, data removed\n"
    assert not running.directory.exists()


def test_down_ends_the_clients_of_the_api_server_before_it(running: Paths) -> None:
    for name in ("kube-apiserver", "trust-manager", "cert-manager", "kube-controller-manager"):
        sleep(running, name)

    stopped = ControlPlane(running.root).down()

    assert stopped[-3:] == ("kube-controller-manager", "kube-apiserver", "etcd")
    assert set(stopped[:2]) == {"cert-manager", "trust-manager"}


def test_env_is_for_the_shell(running: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    other = Paths(root=running.root, name="it-s")
    save(other.state, State())
    assert cli.main(["env", "--directory", str(running.root)]) == 0
    script = capsys.readouterr().out
    answer = subprocess.run(
        ["sh", "-c", f'{script}\necho "$KUBECONFIG"; echo "$PATH"'],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin"},
    ).stdout.splitlines()

    assert answer[0] == f"{running.kubeconfig}:{other.kubeconfig}"
    assert answer[1].startswith("/tools/etcd/bin:")
    assert answer[1].endswith(":/usr/bin:/bin")


@pytest.mark.parametrize(
    ("healths", "expected"),
    [
        ([], False),
        ([Health.READY], True),
        ([Health.READY, Health.READY], True),
        ([Health.READY, Health.UNREADY], False),
        ([Health.DEAD], False),
        ([Health.STOPPED], False),
        ([Health.READY, Health.SEALED], False),
    ],
)
def test_healthy(healths: list[Health], expected: bool) -> None:
    assert healthy([status(health) for health in healths]) is expected


def test_failures_of_all_control_planes_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Startup) -> tuple[str, ...]:
        raise LabError(f"{self._paths.name} is broken")

    monkeypatch.setattr(Startup, "run", run)
    planes = [ControlPlane(tmp_path, name) for name in ("a", "b")]
    with pytest.raises(LabError, match="a is broken\nb is broken"):
        up_all(planes)


def test_an_interrupted_up_says_that_it_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "up_all", interrupt)
    assert cli.main(["up", "--directory", str(tmp_path)]) == 130
    assert "the same command again goes on" in capsys.readouterr().err


def test_one_program_at_a_time_changes_a_control_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, most = [0], [0]

    def run(_: Startup) -> tuple[str, ...]:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.1)
        inside[0] -= 1
        return ()

    monkeypatch.setattr(Startup, "run", run)
    said: list[str] = []
    threads = [
        threading.Thread(target=ControlPlane(tmp_path).up, args=(said.append,)) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1]
    assert said == ["waiting for another `python -m lab` to finish"]


def test_the_context_manager_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(self: Startup) -> tuple[str, ...]:
        sleep(self._paths, "etcd")
        raise LabError("broken")

    monkeypatch.setattr(Startup, "run", run)
    with pytest.raises(LabError, match="broken"), ControlPlane(tmp_path):
        pass
    assert not (tmp_path / "dev").exists()


def test_the_guard_removes_what_a_killed_program_left(running: Paths) -> None:
    record = read_record(running.pid_file("etcd"))
    assert record is not None
    script = (
        "import os, signal, sys; from pathlib import Path; from lab.guard import Guard; "
        "Guard(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, str(running.root)], check=False)

    deadline = time.monotonic() + 20
    while running.root.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running.root.exists()
    assert not is_alive(record)


def test_a_released_guard_has_cleaned_up(running: Paths) -> None:
    record = read_record(running.pid_file("etcd"))
    Guard(running.root).release()
    assert not running.root.exists()
    assert not is_alive(record)
