"""Which stack file is read, and what it says without a passphrase."""

from __future__ import annotations

import pytest

from mtls_pki.errors import CommandError
from mtls_pki.registry import extensions
from mtls_pki.settings.errors import SettingsError
from mtls_pki.settings.stack_file.reading import open_stack_file
from mtls_pki.settings.types import UnreadSecret
from tests.unit.pki import material
from tests.unit.pki.material import key_pem
from tests.unit.stack_project import PROJECT, STACK, Project


def test_the_only_stack_is_chosen(project: Project) -> None:
    project.file.rename(project.directory / "Pulumi.prod.yaml")
    assert project.stack().stack == "prod"


def test_dev_is_chosen_among_several(project: Project) -> None:
    (project.directory / "Pulumi.prod.yaml").write_text(STACK)
    assert project.stack().stack == "dev"


@pytest.mark.parametrize("given", ["prod", "acme/mtls-pki/prod"])
def test_the_variable_chooses_and_the_option_wins(project: Project, given: str) -> None:
    (project.directory / "Pulumi.prod.yaml").write_text(STACK)
    environment = {"PULUMI_STACK": given}
    assert open_stack_file(project.directory, None, environment, extensions()).stack == "prod"
    assert open_stack_file(project.directory, "dev", environment, extensions()).stack == "dev"


def test_a_missing_stack_names_those_that_there_are(project: Project) -> None:
    with pytest.raises(CommandError, match=r"Pulumi\.x\.yaml does not exist .*; there are: dev$"):
        open_stack_file(project.directory, "x", {}, extensions())


def test_a_directory_without_project_is_told(project: Project) -> None:
    (project.directory / "Pulumi.yaml").unlink()
    with pytest.raises(CommandError, match="run this in the project's directory"):
        project.stack()


def test_broken_yaml_is_told_with_its_line_and_not_shown(project: Project) -> None:
    project.write("config:\n  mtls-pki:a: {secret\n")
    with pytest.raises(CommandError) as caught:
        project.stack().settings()
    assert "Pulumi.dev.yaml, line" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n", "config: [a]\n"])
def test_what_is_no_mapping_is_told(project: Project, text: str) -> None:
    project.write(text)
    with pytest.raises(CommandError, match="is no mapping"):
        project.stack().values()


def test_a_double_key_is_told(project: Project) -> None:
    project.write(STACK.replace("    web: {", "    web: {namespace: x}\n    web: {"))
    with pytest.raises(CommandError, match="duplicate key"):
        project.stack().values()


def test_quoted_and_bare_times_are_the_same(project: Project) -> None:
    bare = project.stack().settings()
    project.write(STACK.replace("2026-11-01T00:00:00Z", '"2026-11-01T00:00:00Z"'))
    assert project.stack().settings() == bare
    project.write(STACK.replace("2026-11-01T00:00:00Z", "2026-11-01 00:00:00 +0000 UTC"))
    assert project.stack().settings() == bare


def test_keys_of_other_programs_are_left_out(project: Project) -> None:
    project.write(STACK.replace("config:\n", "config:\n  kubernetes:context: x\n"))
    assert "context" not in project.stack().values()
    project.stack().settings()


def test_the_project_file_gives_defaults(project: Project) -> None:
    (project.directory / "Pulumi.yaml").write_text(
        PROJECT
        + "config:\n  issuing: {type: object, default: {name: from-project}}\n"
        + "  mtls-pki:trustDomain: {value: other.example}\n  pulumi:x: {value: [1]}\n"
    )
    project.write(STACK.replace("  mtls-pki:issuing: {stable: true}\n", ""))
    settings = project.stack().settings()
    assert settings.issuing.name == "from-project"
    assert settings.trust_domain == "example.org"


def brought(project: Project, private_key: str) -> None:
    root = material.root("brought")
    issuing = material.issuing("brought-i", root_pem=root, root_key=key_pem("brought"))
    (project.directory / "root.pem").write_text(root)
    (project.directory / "issuing.pem").write_text(issuing)
    anchor = (
        "{role: issuing, certificate: root.pem, issuingCa: {certificate: issuing.pem, "
        f"privateKey: {private_key}}}}}"
    )
    start, end = STACK.index("    # the first root"), STACK.index("    # g2:")
    project.write(f"{STACK[:start]}    g1: {anchor}\n{STACK[end:]}")


def test_an_encrypted_private_key_is_accepted_unread(project: Project) -> None:
    brought(project, "{secure: v1:aaaa:bbbb}")
    issuing_ca = project.stack().settings().anchors["g1"].issuing_ca
    assert issuing_ca is not None
    assert isinstance(issuing_ca.private_key, UnreadSecret)
    with pytest.raises(ValueError, match="not decrypted"):
        issuing_ca.private_key.get_secret_value()


def test_a_private_key_in_clear_text_is_still_a_mistake_and_never_shown(project: Project) -> None:
    brought(project, "topsecret")
    with pytest.raises(SettingsError, match="private key in clear text") as caught:
        project.stack().settings()
    assert "topsecret" not in str(caught.value)


def test_another_encrypted_value_is_told(project: Project) -> None:
    project.write(STACK.replace("Domain: example.org", "Domain: {secure: v1:abc}"))
    with pytest.raises(SettingsError, match="trustDomain: encrypted, and not decrypted here"):
        project.stack().settings()


def test_the_owner_is_the_project_and_the_stack(project: Project) -> None:
    stack = project.stack()
    assert stack.settings().owner == f"{stack.project}/{stack.stack}" != "/"
