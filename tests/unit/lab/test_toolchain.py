"""The builder of the toolchain, with a stand-in for the `go` command that makes the faults."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lab import toolchain, toolchain_cache, toolchain_go
from lab.toolchain import ToolchainError
from lab.toolchain_progress import Progress
from lab.toolchain_table import BINARIES, FOUNDATION, PLUGINS, TOOLS, Part, Tool

REPOSITORY = Path(__file__).parents[3]

# What it is told comes in by environment variables; what it was asked for goes into FAKE_GO_CALLS.
FAKE_GO = r"""#!/bin/sh
echo "$*" >> "$FAKE_GO_CALLS"
case "$1" in
env) printf '{"GOVERSION": "%s", "GOCACHE": "%s", "GOMODCACHE": "%s"}' \
    "${FAKE_GO_VERSION:-go1.99.1}" "$MTLS_PKI_TOOL_CACHE" "$MTLS_PKI_TOOL_CACHE" ;;
list) echo "$FAKE_GO_MODULE" ;;
build)
    env > "$FAKE_GO_CALLS.env"
    ls > "$FAKE_GO_CALLS.source"
    echo example.org/some/package >&2
    if [ -n "$FAKE_GO_SECONDS" ]; then
        sleep "$FAKE_GO_SECONDS" & echo $! > "$FAKE_GO_CALLS.compiler"; wait
    fi
    if [ -n "$FAKE_GO_FAILURE" ]; then echo "$FAKE_GO_FAILURE" >&2; exit 1; fi
    for argument in "$@"; do
        case "$argument" in -o=*) echo "$*" > "${argument#-o=}"; chmod +x "${argument#-o=}" ;; esac
    done ;;
esac
"""


@dataclass(frozen=True, kw_only=True)
class FakeGo:
    """The stand-in's record."""

    calls_file: Path
    cache: Path

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []

    @property
    def builds(self) -> list[str]:
        return [call for call in self.calls if call.startswith("build ")]

    @property
    def environment(self) -> dict[str, str]:
        text = Path(f"{self.calls_file}.env").read_text()
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def compiler(self) -> int:
        """The process id of the process that `go build` has started; waits for it."""
        file = Path(f"{self.calls_file}.compiler")
        wait_until(lambda: file.exists() and file.read_text().endswith("\n"))
        return int(file.read_text())

    def published(self) -> list[str]:
        names = {path.name for path in self.cache.iterdir()} if self.cache.exists() else set()
        return sorted(names - {"building", "locks", "logs"})


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    """A `go` on PATH that builds at once, and an empty cache."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "go").write_text(FAKE_GO)
    (programs / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    fake = FakeGo(calls_file=tmp_path / "calls", cache=tmp_path / "cache")
    monkeypatch.setenv("FAKE_GO_CALLS", str(fake.calls_file))
    monkeypatch.setenv("MTLS_PKI_TOOL_CACHE", str(fake.cache))
    return fake


def wait_until(condition: Callable[[], bool], *, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        # A killed process whose new parent has not yet collected it is as good as gone.
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, "-m", "lab.toolchain", *arguments),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def quiet() -> Progress:
    return Progress(io.StringIO())


class TestEnsure:
    def test_builds_once_and_then_not_again(self, go: FakeGo) -> None:
        stream = io.StringIO()
        first = toolchain.ensure("etcd", "kube-apiserver", progress=Progress(stream))
        built = go.calls
        assert list(first) == ["etcd", "kube-apiserver"]
        assert all(os.access(path, os.X_OK) for path in first.values())
        said = stream.getvalue().splitlines()
        assert [line.split("  ")[0] for line in said if "built in" in line] == [
            "[1/2] etcd",
            "[2/2] kube-apiserver, kube-controller-manager",
        ]

        stream = io.StringIO()
        assert toolchain.ensure("etcd", "kube-apiserver", progress=Progress(stream)) == first
        assert go.calls == built
        assert stream.getvalue() == ""

    def test_binaries_of_one_definition_are_built_together(self, go: FakeGo) -> None:
        toolchain.ensure("kube-controller-manager", progress=quiet())
        assert len(go.builds) == 2
        toolchain.ensure("kube-apiserver", progress=quiet())
        assert len(go.builds) == 2

    def test_build_is_for_this_machine_and_reproducible(
        self, go: FakeGo, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOOS", "windows")
        monkeypatch.setenv("GOFLAGS", "-mod=vendor")
        toolchain.ensure("kube-apiserver", progress=quiet())
        assert "GOOS" not in go.environment
        assert go.environment["GOFLAGS"] == "-mod=readonly"
        assert go.environment["GOTOOLCHAIN"] == "local"
        assert go.environment["CGO_ENABLED"] == "0"
        flags = "-ldflags=-s -w -X=k8s.io/component-base/version.gitVersion=v1.36.1 "
        assert all("-mod=readonly -trimpath " in build and flags in build for build in go.builds)

    def test_unknown_name(self, go: FakeGo) -> None:
        with pytest.raises(ToolchainError, match=r"no tool 'etdc': choose from etcd, kube-"):
            toolchain.ensure("etdc")
        assert go.calls == []

    def test_what_an_interrupted_build_left_is_discarded(self, go: FakeGo) -> None:
        slot = toolchain_cache.slot(BINARIES["etcd"], cache=go.cache)
        (slot.building / "result" / "bin").mkdir(parents=True)
        (slot.building / "result" / "bin" / "half").touch()
        binary = toolchain.ensure("etcd", progress=quiet())["etcd"]
        assert [path.name for path in binary.parent.iterdir()] == ["etcd"]
        assert not slot.building.exists()


class TestCopies:
    """What is taken out of a module's directory, which is read-only as in the module cache."""

    @pytest.fixture
    def module(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        module = tmp_path / "module"
        monkeypatch.setenv("FAKE_GO_MODULE", str(module))
        return module

    @staticmethod
    def write(module: Path, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = module / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o444)
        for path in module.rglob("*"):
            if path.is_dir():
                path.chmod(0o555)

    def test_share(self, go: FakeGo, module: Path) -> None:
        chart = "deploy/charts/cert-manager"
        self.write(
            module,
            {
                "deploy/crds/certificates.yaml": "kind: SomeDefinition",
                f"{chart}/Chart.yaml": "name: cert-manager\nversion: v0.0.0\nappVersion: v0.0.0\n",
                f"{chart}/templates/rbac.yaml": "kind: ClusterRole",
            },
        )
        share = toolchain.share("cert-manager")
        assert (share / "crds" / "certificates.yaml").read_text() == "kind: SomeDefinition"
        assert (share / "chart" / "templates" / "rbac.yaml").read_text() == "kind: ClusterRole"
        assert (share / "chart" / "Chart.yaml").read_text() == (
            "name: cert-manager\nversion: v1.21.1\nappVersion: v1.21.1\n"
        )
        assert "mod download github.com/cert-manager/cert-manager" in go.calls
        shutil.rmtree(share)  # a user must be able to delete the cache

    def test_scripts_stand_beside_the_binaries(self, go: FakeGo, module: Path) -> None:
        part = next(part for part in BINARIES["pulumi"].parts if part.scripts)
        self.write(module, dict.fromkeys(part.scripts, "#!/usr/bin/env python3"))
        directory = toolchain.ensure("pulumi", progress=quiet())["pulumi"].parent
        names = {path.name for path in directory.iterdir() if os.access(path, os.X_OK)}
        assert names >= {"pulumi", "pulumi-language-python", "pulumi-language-python-exec"}

    def test_embedded_files_lie_beside_the_source(self, go: FakeGo, module: Path) -> None:
        (part,) = BINARIES["pulumi-resource-kubernetes"].parts
        self.write(module, dict.fromkeys(part.sources, "{}"))
        toolchain.ensure("pulumi-resource-kubernetes", progress=quiet())
        source = Path(f"{go.calls_file}.source").read_text().split()
        assert {"main.go", "schema.json", "terraform-mapping.json"} <= set(source)


class TestPlugins:
    def test_links_once_and_again_only_after_a_change(
        self, go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FAKE_GO_MODULE", str(tmp_path))
        for name in BINARIES["pulumi-resource-kubernetes"].parts[0].sources:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("{}")
        link = tmp_path / "home/plugins/resource-tls-v5.6.2/pulumi-resource-tls"
        toolchain.install_plugins(tmp_path / "home")
        # Not the whole of it: reading a link changes the time of its last access.
        first = link.lstat().st_ino
        assert link.resolve() == toolchain.ensure("pulumi-resource-tls")["pulumi-resource-tls"]
        toolchain.install_plugins(tmp_path / "home")
        assert link.lstat().st_ino == first
        installed = sorted(path.name for path in (tmp_path / "home/plugins").iterdir())
        assert installed == [
            "resource-kubernetes-v4.27.0",
            "resource-tls-v5.6.2",
            "resource-vault-v7.14.0",
        ]

        monkeypatch.setenv("MTLS_PKI_TOOL_CACHE", str(tmp_path / "other"))
        toolchain.install_plugins(tmp_path / "home")
        assert link.resolve().is_relative_to(tmp_path / "other")


class TestFaults:
    def test_failed_build(self, go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAKE_GO_FAILURE", "main.go:1:1: undefined: thing")
        stream = io.StringIO()
        with pytest.raises(ToolchainError) as caught:
            toolchain.ensure("etcd", progress=Progress(stream))
        (log,) = (go.cache / "logs").iterdir()
        assert str(caught.value).splitlines() == [
            f"etcd could not be built: `go build` ended with status 1. The end of {log}:",
            "    example.org/some/package",
            "    main.go:1:1: undefined: thing",
        ]
        assert re.fullmatch(r"\[1/1\] etcd  failed after \d s", stream.getvalue().splitlines()[-1])
        assert go.published() == []

        monkeypatch.delenv("FAKE_GO_FAILURE")
        assert toolchain.ensure("etcd", progress=quiet())["etcd"].exists()

    @pytest.mark.parametrize(
        ("says", "remedy"),
        [
            ("write /x: no space left on device", "the disk is full; free some space"),
            ("verifying x: checksum mismatch", "have the module proxy (GOPROXY) checked"),
            ("dial tcp 192.0.2.1:443: i/o timeout", "check the network and `go env GOPROXY`"),
            ("reading x: 403 Forbidden", "check the network and `go env GOPROXY`"),
            ("compile: signal: killed", "perhaps for lack of memory"),
        ],
    )
    def test_known_failures_name_the_way_out(
        self, go: FakeGo, monkeypatch: pytest.MonkeyPatch, says: str, remedy: str
    ) -> None:
        monkeypatch.setenv("FAKE_GO_FAILURE", says)
        with pytest.raises(ToolchainError) as caught:
            toolchain.ensure("etcd", progress=quiet())
        first, *_ = str(caught.value).splitlines()
        assert remedy in first

    def test_go_is_missing(self, go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(ToolchainError, match=r"etcd needs Go 1\.\d+ or later.*install it"):
            toolchain.ensure("etcd")

    def test_go_is_too_old(self, go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAKE_GO_VERSION", "go1.19.8")
        with pytest.raises(ToolchainError, match=r"is go1\.19\.8: install a newer one"):
            toolchain.ensure("etcd")
        assert go.builds == []

    def test_go_is_broken(self, go: FakeGo, tmp_path: Path) -> None:
        (tmp_path / "programs" / "go").write_text("#!/bin/sh\nexit 3\n")
        with pytest.raises(ToolchainError, match=r"does not work .*install Go anew"):
            toolchain.ensure("etcd")

    def test_disk_is_too_full(self, go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
        usage = namedtuple("usage", "total used free")
        monkeypatch.setattr("shutil.disk_usage", lambda _: usage(9, 9, 10**9))
        with pytest.raises(ToolchainError, match=r"about 3 GiB in .*, and 0\.9 GiB are free"):
            toolchain.ensure("etcd", "kube-apiserver")
        assert go.builds == []

    def test_cache_cannot_be_written(self, go: FakeGo) -> None:
        go.cache.write_text("a file")
        with pytest.raises(ToolchainError, match=r"MTLS_PKI_TOOL_CACHE names another directory"):
            toolchain.ensure("etcd", progress=quiet())


class TestProcesses:
    """Two at once, and ends that come too early."""

    @pytest.fixture(autouse=True)
    def slow(self, go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAKE_GO_SECONDS", "0.4")

    def test_two_processes_build_once(self, go: FakeGo) -> None:
        processes = [command("--path", "etcd") for _ in range(2)]
        outputs = {process.communicate(timeout=20)[0] for process in processes}
        assert [process.returncode for process in processes] == [0, 0]
        assert len(outputs) == 1
        assert len(go.builds) == 1

    @pytest.mark.parametrize(
        ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
    )
    def test_interrupted_leaves_no_process_and_nothing_half_built(
        self, go: FakeGo, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, status: int
    ) -> None:
        monkeypatch.setenv("FAKE_GO_SECONDS", "60")
        process = command("etcd")
        compiler = go.compiler()
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == status
        assert "Traceback" not in errors
        wait_until(lambda: gone(compiler))
        assert go.published() == []

        monkeypatch.delenv("FAKE_GO_SECONDS")
        assert toolchain.ensure("etcd", progress=quiet())["etcd"].exists()

    def test_killed_outright_leaves_the_lock_to_go_until_it_has_ended(self, go: FakeGo) -> None:
        process = command("etcd")
        compiler = go.compiler()
        process.kill()
        process.communicate(timeout=20)
        stream = io.StringIO()
        binary = toolchain.ensure("etcd", progress=Progress(stream, heartbeat=0))["etcd"]
        assert gone(compiler)
        assert "waiting for another process that builds it" in stream.getvalue()
        assert binary.exists()


class TestKey:
    TOOL = Tool(name="tool", parts=(Part(binaries={"tool": "."}),), seconds=1)

    @pytest.fixture
    def definitions(self, tmp_path: Path) -> Path:
        directory = tmp_path / "tools" / "tool"
        directory.mkdir(parents=True)
        (directory / "go.mod").write_text("module example\n\ngo 1.26.0\n")
        return tmp_path / "tools"

    def key(self, definitions: Path, tool: Tool = TOOL) -> str:
        return toolchain_cache.slot(tool, cache=Path("/cache"), definitions=definitions).key

    def test_same_content_same_key(self, definitions: Path) -> None:
        first = self.key(definitions)
        (definitions / "tool" / "go.mod").touch()
        assert self.key(definitions) == first
        assert re.fullmatch(r"[0-9a-f]{12}", first)

    def test_estimate_of_time_does_not_count(self, definitions: Path) -> None:
        patient = Tool(name="tool", parts=self.TOOL.parts, seconds=1000)
        assert self.key(definitions, patient) == self.key(definitions)

    def test_content_names_and_flags_count(self, definitions: Path) -> None:
        keys = {self.key(definitions)}
        stamped = Tool(
            name="tool", parts=(Part(binaries={"tool": "."}, stamps={"v": "1"}),), seconds=1
        )
        keys.add(self.key(definitions, stamped))
        (definitions / "tool" / "main.go").write_text("package main")
        keys.add(self.key(definitions))
        (definitions / "tool" / "main.go").rename(definitions / "tool" / "other.go")
        keys.add(self.key(definitions))
        assert len(keys) == 4

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ({"MTLS_PKI_TOOL_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, "/own"),
            ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/mtls-pki-tools"),
            ({"XDG_CACHE_HOME": ""}, str(Path.home() / ".cache/mtls-pki-tools")),
        ],
    )
    def test_place_of_the_cache(self, environment: dict[str, str], expected: str) -> None:
        assert toolchain_cache.root(environment) == Path(expected)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class TestProgress:
    def test_heartbeat_where_there_is_no_terminal(self) -> None:
        now = 0.0
        stream = io.StringIO()
        progress = Progress(stream, heartbeat=60, clock=lambda: now)
        with progress.step("[1/2] etcd", "about 60 s") as update:
            for now in range(0, 131, 10):  # noqa: B007 - the clock reads it
                update("k8s.io/api")
        assert stream.getvalue().splitlines() == [
            "[1/2] etcd  building ... (about 60 s)",
            "[1/2] etcd  building ... 60 s  k8s.io/api",
            "[1/2] etcd  building ... 120 s  k8s.io/api",
            "[1/2] etcd  built in 130 s",
        ]

    def test_live_line_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "xterm")
        stream = Terminal()
        with Progress(stream, clock=lambda: 5.0).step("[1/2] etcd", "about 60 s") as update:
            update("[not markup]")
        assert stream.getvalue().endswith("[1/2] etcd  built in 0 s\n")

    def test_interruption_is_told_and_goes_on(self) -> None:
        stream = io.StringIO()

        def interrupted() -> None:
            with Progress(stream, clock=lambda: 5.0).step("[1/2] etcd", "about 60 s"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert stream.getvalue().endswith("[1/2] etcd  interrupted after 0 s\n")


class TestCommandLine:
    def test_list_builds_nothing(self, go: FakeGo, capsys: pytest.CaptureFixture[str]) -> None:
        assert toolchain.main(["--list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == list(BINARIES)
        assert all(line.endswith("not built") for line in lines)
        assert go.calls == []

    def test_path_prints_nothing_else(self, go: FakeGo, capsys: pytest.CaptureFixture[str]) -> None:
        assert toolchain.main(["--path", "etcd"]) == 0
        assert Path(capsys.readouterr().out.rstrip("\n")).is_file()

    def test_mistake_is_one_line(self, go: FakeGo, capsys: pytest.CaptureFixture[str]) -> None:
        assert toolchain.main(["nope"]) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("error: there is no tool 'nope'")
        assert captured.err.count("\n") == 1


class TestGoVersion:
    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("go1.26.8", (1, 26, 8)),
            ("go1.27rc1", (1, 27, 0)),
            ("devel go1.28-abcdef", (1, 28, 0)),
            ("module example.org/go5.6\n\ngo 1.26.0\n", (1, 26, 0)),
            ("no version", (0, 0, 0)),
        ],
    )
    def test_reads(self, text: str, version: tuple[int, int, int]) -> None:
        assert toolchain_go._version(text) == version


class TestTable:
    @pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.name)
    def test_definition_is_complete(self, tool: Tool) -> None:
        for part in tool.parts:
            directory = toolchain_cache.DEFINITIONS / tool.name / part.directory
            definition = (directory / "go.mod").read_text()
            assert (directory / "go.sum").is_file()
            for package in part.binaries.values():
                assert (
                    (directory / "main.go").is_file()
                    if package == "."
                    else (re.search(rf"(?m)^(tool |\t){re.escape(package)}$", definition))
                )
            if part.module:
                assert re.search(rf"(?m)(^|\s){re.escape(part.module)} v", definition)

    def test_names(self) -> None:
        assert set(FOUNDATION) <= set(BINARIES)
        assert len(BINARIES) == sum(len(tool.binaries) for tool in TOOLS)
        assert {plugin.binary for plugin in PLUGINS} <= set(BINARIES)

    def test_plugins_are_those_of_the_pinned_packages(self) -> None:
        text = (REPOSITORY / "requirements.txt").read_text()
        pins = dict(re.findall(r"(?m)^pulumi-(\w+)==(\S+)", text))
        needed = [plugin for plugin in PLUGINS if plugin.binary in FOUNDATION]
        assert {plugin.name for plugin in needed} <= set(pins)
        versions = {plugin.name: plugin.version for plugin in PLUGINS}
        assert {name: versions[name] for name in pins if name in versions} == {
            name: version for name, version in pins.items() if name in versions
        }

    def test_generated_schema_is_that_of_the_plugin(self) -> None:
        directory = toolchain_cache.DEFINITIONS / "pulumi-resource-tls" / "bridge"
        schema = json.loads((directory / "schema.json").read_text())
        assert schema["name"] == "tls"
        assert "tls:index/privateKey:PrivateKey" in schema["resources"]
