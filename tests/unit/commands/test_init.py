"""``init``: a project that the settings find nothing wrong with, and that is never overwritten."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from lab.project_copy import CHECKOUT as ROOT
from mtls_pki.registry import extensions
from mtls_pki.settings.stack_file.reading import open_stack_file
from mtls_pki.version import VERSION
from tests.unit.stack_project import Project, Say

FILES = [".gitignore", "Pulumi.dev.yaml", "Pulumi.yaml", "__main__.py", "requirements.txt"]


@pytest.fixture
def made(project: Project) -> Path:
    """The directory of a new project with nothing asked for."""
    assert project.run("init", "new") == 0
    return project.directory / "new"


def test_it_is_five_files(made: Path) -> None:
    assert sorted(path.name for path in made.iterdir()) == FILES
    assert (made / "requirements.txt").read_text() == f"mtls-pki=={VERSION}\n"
    assert ".venv/" in (made / ".gitignore").read_text().splitlines()
    lines = [ast.unparse(node) for node in ast.parse((made / "__main__.py").read_text()).body[1:]]
    assert lines == ["from mtls_pki.program import run", "run()"]


def test_the_stack_file_has_no_mistake(made: Path) -> None:
    settings = open_stack_file(made, None, {}, extensions()).settings()
    assert settings.trust_domain == "cluster.local"
    assert settings.clusters["main"].context == "dev"
    assert settings.clusters["main"].kubeconfig is None
    (anchor,) = settings.anchors.values()
    assert anchor.common_name == "root-g1.cluster.local"
    assert anchor.valid_from is not None
    assert timedelta() <= datetime.now(UTC) - anchor.valid_from < timedelta(minutes=5)
    assert settings.services == {}


def test_the_project_is_configured_as_the_one_of_this_repository(made: Path) -> None:
    own = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    assert yaml.safe_load((made / "Pulumi.yaml").read_text()) == own


def test_what_is_asked_for_is_written(project: Project) -> None:
    arguments = ("--name", "acme-trust", "--stack", "prod", "--trust-domain", "prod.example.com")
    reach = ("--context", "arn:aws:eks:eu:1:cluster/prod", "--kubeconfig", "~/my configs/prod")
    assert project.run("init", "a/b", *arguments, *reach) == 0
    directory = project.directory / "a" / "b"
    stack = open_stack_file(directory, None, {}, extensions())
    assert (stack.project, stack.stack) == ("acme-trust", "prod")
    settings = stack.settings()
    assert settings.trust_domain == "prod.example.com"
    assert settings.clusters["main"].context == "arn:aws:eks:eu:1:cluster/prod"
    assert settings.clusters["main"].kubeconfig == "~/my configs/prod"


def test_a_kubeconfig_alone_is_used_with_its_own_context(project: Project) -> None:
    assert project.run("init", "new", "--kubeconfig", "there") == 0
    cluster = (
        open_stack_file(project.directory / "new", None, {}, extensions())
        .settings()
        .clusters["main"]
    )
    assert (cluster.kubeconfig, cluster.context) == ("there", None)


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_overwritten(project: Project, said: Say, name: str) -> None:
    directory = project.directory / "new"
    directory.mkdir()
    (directory / name).write_text("mine")
    assert project.run("init", "new") == 1
    assert said()[1] == (
        f"mtls-pki: new has {name} already, and nothing is overwritten; name another directory\n"
    )
    assert {path.name: path.read_text() for path in directory.iterdir()} == {name: "mine"}


def test_a_directory_that_is_there_keeps_what_it_has(project: Project) -> None:
    (project.directory / "new" / ".git").mkdir(parents=True)
    assert project.run("init", "new") == 0
    assert (project.directory / "new" / ".git").is_dir()


def test_a_directory_that_cannot_be_made_is_named(project: Project, said: Say) -> None:
    assert project.run("init", "Pulumi.yaml/new") == 1
    assert said()[1].startswith("mtls-pki: Pulumi.yaml/new cannot be written (")


def test_a_wrong_trust_domain_is_told_as_the_settings_tell_it(project: Project, said: Say) -> None:
    assert project.run("init", "new", "--trust-domain", "Not a domain") == 1
    assert "trustDomain: 'Not a domain': has blanks; write notadomain" in said()[1]
    assert not (project.directory / "new").exists()


@pytest.mark.parametrize("option", ["--name", "--stack"])
@pytest.mark.parametrize("value", ["", "a/b", "a b", "x" * 101, "a\nb"])
def test_a_name_that_pulumi_would_refuse_is_a_wrong_command_line(
    project: Project, said: Say, option: str, value: str
) -> None:
    assert project.run("init", "new", option, value) == 2
    assert "letters, digits, hyphens, underscores and periods" in said()[1]
    assert not (project.directory / "new").exists()


def test_it_ends_with_what_to_do_next(project: Project, said: Say) -> None:
    assert project.run("init", "new", "--stack", "prod") == 0
    out = said()[0]
    commands = re.findall(r"^  (\S.*?)(?:  |$)", out, flags=re.M)
    assert commands == [
        "cd new",
        "$EDITOR Pulumi.prod.yaml",
        "pulumi install",
        "pulumi stack init prod",
        "pulumi preview --stack prod",
    ]
