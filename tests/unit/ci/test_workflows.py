"""The workflow files: clean for two linters, pinned, least permissions, no logic of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import toolchain, toolchain_cache
from mtls_pki.backends.vault.job_login import AUTH_PATH, ROLE
from mtls_pki.ci.identity import GITLAB_VARIABLE
from mtls_pki.ci.stacks import known_stacks
from mtls_pki.commands.main import main
from mtls_pki.version import VERSION

ROOT = Path(__file__).parents[3]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
# Those that run on a stack, and those that test and publish this project.
OF_STACKS = [GITHUB / "workflows" / f"{name}.yml" for name in ("deploy", "drift", "preview")]
OF_THE_PROJECT = [GITHUB / "workflows" / f"{name}.yml" for name in ("release", "test")]
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
GITLAB = ROOT / "docs" / "ci" / "gitlab-ci.yml"
ZIZMOR = Path(sys.executable).with_name("zizmor")
CHECK = Path(sys.executable).with_name("check-jsonschema")


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def run(*command: str | Path, directory: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def actionlint() -> Path:
    return toolchain.ensure("actionlint")["actionlint"]


def test_every_workflow_is_of_a_kind_that_is_tested_here() -> None:
    assert sorted([*OF_STACKS, *OF_THE_PROJECT]) == WORKFLOWS


def test_actionlint_is_clean(actionlint: Path) -> None:
    done = run(actionlint, *WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_is_clean() -> None:
    done = run(ZIZMOR, "--offline", "--no-progress", GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_linters_find_what_is_wrong(actionlint: Path, tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    workflows = tmp_path / ".github" / "workflows"
    workflows.mkdir(parents=True)
    text = (GITHUB / "workflows" / "preview.yml").read_text()
    worse = re.sub(r"(actions/checkout)@\S+ # \S+", r"\1@v6", text)
    (workflows / "preview.yml").write_text(worse.replace("needs: static", "needs: nothing"))
    assert run(actionlint, directory=tmp_path).returncode != 0
    assert run(ZIZMOR, "--offline", "--no-progress", workflows).returncode != 0


@pytest.mark.parametrize("path", [*WORKFLOWS, *ACTIONS], ids=lambda path: str(path.name))
def test_every_action_is_pinned_to_a_commit_with_its_version(path: Path) -> None:
    for used in re.findall(r"^ +(?:- )?uses: (.*)", path.read_text(), flags=re.M):
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used) or used.startswith(
            "./"
        )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_no_job_has_a_permission_that_it_did_not_ask_for(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    assert all("permissions" in job for job in workflow["jobs"].values())


def test_a_fork_gets_no_secret_and_no_more_than_the_static_check() -> None:
    workflow = read(GITHUB / "workflows" / "preview.yml")
    # `on` is what YAML 1.1 reads as true; pull_request_target would run with the secrets.
    assert list(workflow[True]) == ["pull_request"]
    assert workflow["jobs"]["static"]["permissions"] == {"contents": "read"}
    assert "secrets." not in str(workflow["jobs"]["static"])
    assert "head.repo.full_name == github.repository" in workflow["jobs"]["preview"]["if"]


@pytest.mark.parametrize(
    ("static", "preview", "stacks", "backend", "green"),
    [
        ("success", "success", '["dev"]', "s3://state", True),
        ("success", "skipped", "[]", "s3://state", True),
        ("success", "skipped", '["dev"]', "", True),
        # A fork's, which touches a stack.
        ("success", "skipped", '["dev"]', "s3://state", False),
        ("success", "failure", '["dev"]', "s3://state", False),
        ("success", "cancelled", '["dev"]', "s3://state", False),
        ("failure", "skipped", "", "s3://state", False),
        ("cancelled", "skipped", "", "", False),
    ],
)
def test_reviewed_is_green_only_for_what_was_previewed(
    static: str, preview: str, stacks: str, backend: str, green: bool
) -> None:
    job = read(GITHUB / "workflows" / "preview.yml")["jobs"]["reviewed"]
    (step,) = job["steps"]
    assert set(step["env"]) == {"STATIC", "PREVIEW", "STACKS", "BACKEND"}
    given = {"STATIC": static, "PREVIEW": preview, "STACKS": stacks, "BACKEND": backend}
    done = subprocess.run(["bash", "-e", "-c", step["run"]], env=given, check=False)
    assert (done.returncode == 0) is green
    assert (job["if"], job["needs"]) == ("always()", ["static", "preview"])


def test_prod_waits_for_dev_and_for_its_environment() -> None:
    jobs = read(GITHUB / "workflows" / "deploy.yml")["jobs"]
    assert "dev" in jobs["prod"]["needs"]
    assert (jobs["dev"]["environment"], jobs["prod"]["environment"]) == ("dev", "prod")
    groups = {jobs[name]["concurrency"]["group"] for name in ("dev", "prod")}
    assert groups == {"deploy-dev", "deploy-prod"}
    assert not any(jobs[name]["concurrency"]["cancel-in-progress"] for name in ("dev", "prod"))


def test_every_stack_is_deployed_and_compared() -> None:
    stacks = set(known_stacks(ROOT))
    drift = read(GITHUB / "workflows" / "drift.yml")["jobs"]["drift"]
    assert set(drift["strategy"]["matrix"]["stack"]) == stacks
    assert set(read(GITHUB / "workflows" / "deploy.yml")["jobs"]) == {"stacks", *stacks}
    jobs = set(read(GITLAB))
    assert {
        f"{what} {stack}" for what in ("preview", "deploy", "drift") for stack in stacks
    } <= jobs


def commands(path: Path) -> list[str]:
    """The ``mtls-pki ci`` commands of a file, with their variables."""
    joined = re.sub(r"\s*\n\s+(?=--)", " ", path.read_text())
    return re.findall(r"mtls-pki ci (.*)", joined)


@pytest.mark.parametrize("path", [*OF_STACKS, *ACTIONS, GITLAB], ids=lambda path: str(path.name))
def test_every_command_of_a_workflow_is_one_of_ours(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = commands(path)
    assert found, path
    for command in found:
        verb, *options = re.sub(r'"[^"]*"', "1", command).split()
        assert main(["ci", verb, "--help"]) == 0
        known = capsys.readouterr().out
        assert all(option in known for option in options if option.startswith("--"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_a_run_line_holds_no_expression(path: Path) -> None:
    """An expression would be pasted into the shell's text; values come as variables."""
    for job in read(path)["jobs"].values():
        assert not any("${{" in step.get("run", "") for step in job.get("steps", ()))


@pytest.mark.parametrize("name", ["preview", "deploy", "drift"])
def test_what_runs_on_a_stack_can_log_in_to_its_vault_and_holds_no_token(name: str) -> None:
    text = (GITHUB / "workflows" / f"{name}.yml").read_text()
    assert "VAULT_TOKEN" not in text
    found = 0
    for job in read(GITHUB / "workflows" / f"{name}.yml")["jobs"].values():
        for step in job["steps"]:
            if f"mtls-pki ci {name} " in step.get("run", ""):
                found += 1
                assert step["env"][ROLE] == "${{ vars.VAULT_ROLE }}"
                assert step["env"][AUTH_PATH] == "${{ vars.VAULT_AUTH_PATH }}"
                assert job["permissions"]["id-token"] == "write"
                assert "environment" in job
            else:
                assert ROLE not in step.get("env", {})
    assert found == (2 if name == "deploy" else 1)


@pytest.mark.parametrize("path", OF_THE_PROJECT, ids=lambda path: str(path.name))
def test_what_tests_and_publishes_the_project_holds_no_secret(path: Path) -> None:
    assert "secrets." not in path.read_text()
    assert "pull_request_target" not in read(path)[True]


def test_every_change_and_every_merge_runs_all_tests() -> None:
    workflow = read(GITHUB / "workflows" / "test.yml")
    assert {"push", "pull_request", "workflow_call"} == set(workflow[True])
    assert workflow[True]["push"] == {"branches": ["main"]}
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1]["run"] == "make test"
    assert job["permissions"] == {"contents": "read"}


def test_the_cached_tools_are_those_of_this_definition() -> None:
    (job,) = read(GITHUB / "workflows" / "test.yml")["jobs"].values()
    (cache,) = [step["with"] for step in job["steps"] if "actions/cache@" in step.get("uses", "")]
    (go,) = [step["with"] for step in job["steps"] if "actions/setup-go@" in step.get("uses", "")]
    assert Path(cache["path"]).expanduser() == toolchain_cache.root({})
    (hashed,) = re.findall(r"hashFiles\(([^)]*)\)", cache["key"])
    assert hashed == "'lab/tools/**', 'lab/toolchain_table.py'"
    assert "steps.go.outputs.go-version" in cache["key"]
    modules = (ROOT / "lab" / "tools").rglob("go.mod")
    needed = [re.findall(r"(?m)^go (\d+)\.(\d+)", path.read_text())[0] for path in modules]
    newest = max((int(major), int(minor)) for major, minor in needed)
    assert newest == tuple(int(part) for part in go["go-version"].split("."))


def test_a_release_is_tested_then_built_then_approved() -> None:
    workflow = read(GITHUB / "workflows" / "release.yml")
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    jobs = workflow["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    assert (jobs["build"]["needs"], jobs["publish"]["needs"]) == ("test", "build")
    assert jobs["publish"]["environment"] == "release"
    rights = {name: job["permissions"] for name, job in jobs.items()}
    assert rights == {
        "test": {"contents": "read"},
        "build": {"contents": "read"},
        "publish": {"id-token": "write"},
    }
    # What could sign or publish runs no code of this repository.
    assert not any("run" in step for step in jobs["publish"]["steps"])
    # A cache is written by other runs, which nobody has approved.
    assert "cache" not in str(jobs["build"]["steps"])


@pytest.mark.parametrize(
    ("tag", "passes"), [(f"v{VERSION}", True), (VERSION, False), (f"v{VERSION}.1", False)]
)
def test_a_tag_that_is_not_the_version_is_refused(tag: str, passes: bool) -> None:
    steps = read(GITHUB / "workflows" / "release.yml")["jobs"]["build"]["steps"]
    (step,) = [step for step in steps if "TAG" in step.get("env", {})]
    assert step["env"] == {"TAG": "${{ github.ref_name }}"}
    python = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "TAG": tag}
    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]], cwd=ROOT, env=python, capture_output=True, text=True
    )
    assert (done.returncode == 0) is passes, done.stdout + done.stderr
    if not passes:
        assert f"the tag is {tag} and mtls_pki/version.py says {VERSION}" in done.stdout


def test_a_job_of_gitlab_has_an_identity_for_its_vault() -> None:
    assert "VAULT_TOKEN" not in GITLAB.read_text()
    for name, job in expanded(read(GITLAB)).items():
        if name.startswith(("preview ", "deploy ", "drift ")):
            assert set(job["id_tokens"][GITLAB_VARIABLE]) == {"aud"}, name
            assert "name" in job["environment"], name


def expanded(pipeline: dict[str, Any]) -> dict[str, Any]:
    """The pipeline with `extends` carried out: the schema does not look at hidden jobs."""

    def whole(job: dict[str, Any]) -> dict[str, Any]:
        own = {key: value for key, value in job.items() if key != "extends"}
        return {**whole(pipeline[job["extends"]]), **own} if "extends" in job else own

    return {
        name: whole(job) if isinstance(job, dict) else job
        for name, job in pipeline.items()
        if not name.startswith(".")
    }


def test_the_shown_pipeline_is_one_for_gitlab(tmp_path: Path) -> None:
    """By GitLab's own schema, which check-jsonschema carries with it."""
    text = yaml.safe_dump(expanded(read(GITLAB)))
    written = tmp_path / "gitlab-ci.yml"
    for content, valid in ((text, True), (text.replace("action: access", "action: look"), False)):
        written.write_text(content)
        done = run(CHECK, "--builtin-schema", "vendor.gitlab-ci", written)
        assert (done.returncode == 0) is valid, done.stdout + done.stderr


def test_the_shown_pipeline_of_gitlab_holds_together() -> None:
    pipeline = read(GITLAB)
    jobs = {name: job for name, job in pipeline.items() if isinstance(job, dict)}
    for name, job in jobs.items():
        assert job.get("extends", ".stack") in jobs, name
        assert set(job.get("needs", [])) <= set(jobs), name
    visible = {name for name, job in jobs.items() if "script" in job or "extends" in job}
    assert {"static", "preview dev", "preview prod", "deploy dev", "deploy prod"} <= visible
    assert jobs["deploy prod"]["needs"] == ["deploy dev"]


def test_the_pulumi_of_the_workflows_is_the_pinned_one() -> None:
    (pinned,) = re.findall(r"^pulumi==(.*)$", (ROOT / "requirements.txt").read_text(), flags=re.M)
    assert f"pulumi-version: {pinned}" in ACTIONS[0].read_text()
    assert read(GITLAB)["variables"]["PULUMI_VERSION"] == pinned
