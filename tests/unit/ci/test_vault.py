"""When a job logs in to a Vault, and with which identity; the login itself meets a real Vault in
tests/integration/test_vault_login.py.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mtls_pki.ci.identity import described, identity_token
from mtls_pki.ci.login import logged_in
from mtls_pki.commands.main import main
from mtls_pki.errors import CommandError
from tests.unit.ci.identity_server import REQUEST_TOKEN, IdentityServer, serve_identities
from tests.unit.settings.configuration import changed

PROJECT = Path(__file__).parents[3]
VAULT = "https://vault.vault.svc:8200"


@pytest.fixture
def identities() -> Iterator[IdentityServer]:
    with serve_identities() as server:
        yield server


def test_an_identity_is_for_one_audience_and_says_of_the_job_what_roles_bind(
    identities: IdentityServer,
) -> None:
    identities.claims = {"environment": "dev", "ref": "refs/heads/main", "actor": "somebody"}
    token = identity_token(identities.github(), VAULT)
    assert [token] == identities.issued
    said = described(token)
    assert said == f'aud "{VAULT}", environment "dev", ref "refs/heads/main"'


@pytest.mark.parametrize("token", ["", "one", "a.b.c", "a.bnVsbA.c"])
def test_what_is_no_identity_says_nothing(token: str) -> None:
    assert described(token) == "nothing"


def test_a_request_that_the_forge_refuses_names_the_permission(identities: IdentityServer) -> None:
    environment = {**identities.github(), "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "expired"}
    with pytest.raises(CommandError) as told:
        identity_token(environment, VAULT)
    assert "401 Bad credentials" in str(told.value)
    assert "`id-token: write`" in str(told.value)
    assert "expired" not in str(told.value)
    assert identities.issued == []


def test_an_answer_that_is_no_identity_is_one_message(identities: IdentityServer) -> None:
    for path, said in (("/jwks?v=1", "gave this job no identity"), ("/page?v=1", "not answer in")):
        environment = {
            **identities.github(),
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{identities.url}{path}",
        }
        with pytest.raises(CommandError, match=said) as told:
            identity_token(environment, VAULT)
        assert REQUEST_TOKEN not in str(told.value)


@pytest.mark.parametrize("audience", [VAULT, ["sts.amazonaws.com", VAULT]])
def test_gitlab_gives_the_identity_as_a_variable(
    identities: IdentityServer, audience: str | list[str]
) -> None:
    token = identities.token(audience)
    assert identity_token({"GITLAB_CI": "true", "VAULT_ID_TOKEN": token}, VAULT) == token


def test_an_identity_for_another_vault_does_not_leave_the_job(identities: IdentityServer) -> None:
    token = identities.token(VAULT)
    with pytest.raises(CommandError) as told:
        identity_token({"GITLAB_CI": "true", "VAULT_ID_TOKEN": token}, "https://evil.example")
    assert f'$VAULT_ID_TOKEN is for "{VAULT}"' in str(told.value)
    assert "write `aud: https://evil.example`" in str(told.value)
    assert token not in str(told.value)


@pytest.mark.parametrize("given", [{}, {"VAULT_ID_TOKEN": ""}])
def test_a_job_of_gitlab_without_an_identity_is_told_what_to_write(given: dict[str, str]) -> None:
    with pytest.raises(CommandError) as told:
        identity_token({"GITLAB_CI": "true", **given}, VAULT)
    assert f"write `aud: {VAULT}` under id_tokens.VAULT_ID_TOKEN" in str(told.value)


def stack_file(directory: Path, server: str | None) -> None:
    """Write the stack dev, with the Vault at ``server`` or without one."""
    (directory / "Pulumi.yaml").write_text((PROJECT / "Pulumi.yaml").read_text())
    vault = {"issuing.backend": "vault", "issuing.vault.server": server} if server else {}
    config = {f"mtls-pki:{key}": value for key, value in changed(vault).items()}
    (directory / "Pulumi.dev.yaml").write_text(yaml.safe_dump({"config": config}))


@pytest.fixture
def away() -> Iterator[str]:
    """An address at which nobody answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"https://127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, identities: IdentityServer, away: str
) -> pytest.MonkeyPatch:
    """The environment of a job on a stack whose Vault is away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    stack_file(tmp_path, away)
    for name, value in {**identities.github(), "VAULT_ROLE": "mtls-pki-preview-dev"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal() -> str:
    """What a login says that does not come about."""
    with pytest.raises(CommandError) as told, logged_in("dev", os.environ):
        pytest.fail("it was let in")
    assert "VAULT_TOKEN" not in os.environ
    return str(told.value)


def test_a_vault_that_is_away_is_named(job: pytest.MonkeyPatch, away: str) -> None:
    assert f"{away} cannot be reached" in refusal()


def test_a_person_is_not_logged_in(job: pytest.MonkeyPatch, identities: IdentityServer) -> None:
    job.delenv("GITHUB_ACTIONS")
    with logged_in("dev", os.environ):
        assert "VAULT_TOKEN" not in os.environ
    assert identities.issued == []


def test_a_stack_without_a_vault_needs_no_login(
    job: pytest.MonkeyPatch,
    identities: IdentityServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    stack_file(tmp_path, None)
    with logged_in("dev", os.environ):
        assert "VAULT_TOKEN" not in os.environ
    assert capsys.readouterr().out == "stack dev has no Vault: no login\n"
    assert identities.issued == []


def test_another_login_of_the_job_counts_where_no_role_is_named(
    job: pytest.MonkeyPatch, identities: IdentityServer, away: str, tmp_path: Path
) -> None:
    # A variable that a workflow has not got is an empty one.
    job.setenv("VAULT_ROLE", "")
    assert f"({away}), and $VAULT_ROLE names no role" in refusal()
    (tmp_path / ".vault-token").write_text("of-the-job")
    with logged_in("dev", os.environ):
        assert "VAULT_TOKEN" not in os.environ
    (tmp_path / ".vault-token").unlink()
    job.setenv("VAULT_TOKEN", "of-the-job")
    with logged_in("dev", os.environ):
        assert os.environ["VAULT_TOKEN"] == "of-the-job"  # noqa: S105 no token
    assert identities.issued == []


@pytest.mark.parametrize(
    "command",
    [("preview", "--commit", "a" * 40, "--output", "review"), ("deploy",), ("drift",)],
    ids=lambda command: str(command[0]),
)
def test_each_command_on_a_stack_logs_in_before_anything_else(
    job: pytest.MonkeyPatch,
    away: str,
    command: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
) -> None:
    forge = {"API_URL": "http://127.0.0.1:1", "REPOSITORY": "team/mtls-pki", "TOKEN": "none"}
    for name, value in forge.items():
        job.setenv(f"GITHUB_{name}", value)
    verb, *options = command
    assert main(["ci", verb, "--stack", "dev", *options]) == 1
    assert f"mtls-pki: {away} cannot be reached" in capsys.readouterr().err
    assert "VAULT_TOKEN" not in os.environ
