"""Every run of `pulumi` is hardened alike, and happens in one place."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from lab.project_copy import CHECKOUT as ROOT
from lab.project_copy import tracked_files
from mtls_pki.engine.cli import Done, run_pulumi
from mtls_pki.engine.state import export_state, import_state
from mtls_pki.errors import CommandError
from tests.unit.pki import material

# A pulumi that shows what it was given, and how.
PULUMI = """#!/bin/sh
printf '%s|' "$@"
test -t 0 && echo terminal
echo "given: $(cat)"
echo "in $PWD with $EXTRA"
printf 'h\\303\\251 \\377\\n'
echo complaint >&2
exit $STATUS
"""


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script that stands for pulumi on PATH."""
    script = tmp_path / "tools" / "pulumi"
    script.parent.mkdir()
    script.write_text(PULUMI)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STATUS", "0")
    return script


def test_a_run_asks_nothing_and_shows_no_colour(
    pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATUS", "7")
    done = run_pulumi("preview", "--json", directory=tmp_path, environment={"EXTRA": "more"})
    assert done.status == 7
    # Its input has ended: `cat` came back. What is no UTF-8 does not end the command.
    assert done.output.splitlines() == [
        "preview|--json|--non-interactive|--color|never|given: ",
        f"in {tmp_path} with more",
        "hé \N{REPLACEMENT CHARACTER}",
    ]
    assert done.said == "complaint\n"


def test_what_is_said_may_go_to_the_log(pulumi: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done = run_pulumi("up", to_log=True)
    assert done.said == ""
    assert capfd.readouterr() == ("", "complaint\n")


def test_a_representation_holds_no_output() -> None:
    assert repr(Done(status=1, output="a key", said="a key")) == "Done(1)"


def test_a_missing_pulumi_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for act in (lambda: run_pulumi("up"), lambda: export_state("dev")):
        with pytest.raises(CommandError, match="there is no `pulumi` on PATH; install it, or"):
            act()


def test_a_state_goes_through_pipes(pulumi: Path, tmp_path: Path) -> None:
    given = tmp_path / "given"
    pulumi.write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/asked\ncat > {given}\necho \'{{"a": 1}}\'\n'
    )
    assert export_state("dev") == {"a": 1}
    assert given.read_text() == ""
    import_state("dev", {"deployment": {"é": 1}})
    assert given.read_text() == '{"deployment": {"\\u00e9": 1}}'
    asked = (tmp_path / "asked").read_text()
    assert asked == "stack import --stack dev --non-interactive --color never\n"


def test_a_failed_import_says_nothing_of_the_state(pulumi: Path) -> None:
    pem = material.key_pem("stolen")
    pulumi.write_text("#!/bin/sh\ncat\necho why >&2\nexit 1\n")
    with pytest.raises(CommandError, match=r"It said: why$") as caught:
        import_state("dev", {"key": pem})
    assert "PRIVATE KEY" not in str(caught.value)
    pulumi.write_text("#!/bin/sh\necho a-key\n")
    with pytest.raises(CommandError, match=r"printed no JSON$"):
        export_state("dev")


def test_one_module_runs_pulumi_and_five_run_anything() -> None:
    """By what they import.

    The others run git, `bao` or `vault` for its health check, what removes copies of kubeconfigs
    after the engine, and the lab for a drill. `engine.cli` knows but the word for a pipe.
    """
    running = set()
    for name in tracked_files():
        if not (name.startswith(("mtls_pki/", "components/")) and name.endswith(".py")):
            continue
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.Import) and any(a.name == "subprocess" for a in node.names):
                running.add(name)
    assert running == {
        "mtls_pki/engine/cli.py",
        "mtls_pki/engine/kubeconfig_copies.py",
        "mtls_pki/engine/process.py",
        "mtls_pki/ci/repository.py",
        "mtls_pki/backends/vault/health.py",
        "mtls_pki/commands/drill.py",
    }
