"""A pipeline's login to the real Vault, set up by the commands of docs/vault.md as they stand.

The forge is the one that is not real: a server on loopback gives jobs their identities, and the
Vault gets its keys there.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from hvac.exceptions import VaultError

from lab import toolchain
from lab.certificates import Pair, ensure_authority
from lab.control_plane import ControlPlane
from lab.pulumi_cli import open_engine
from mtls_pki.backends.vault.connection import Vault as Connection
from mtls_pki.backends.vault.names import vault_settings
from mtls_pki.backends.vault.preflight import read_vault
from mtls_pki.backends.vault.transport import vault_address
from mtls_pki.ci.login import logged_in
from mtls_pki.errors import CommandError
from mtls_pki.registry import extensions
from mtls_pki.settings.stack_file.reading import open_stack_file
from tests.integration.support.configuration import small_stack
from tests.integration.support.forge_flow import Flow
from tests.integration.support.project import PROJECT
from tests.integration.support.vault import Vault
from tests.unit.ci.forge_server import serve
from tests.unit.ci.identity_server import IdentityServer, serve_identities

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("vault")]

_PAGE = PROJECT / "docs" / "vault.md"
_NAMESPACE = "pipeline"
_PREVIEW, _DEPLOY = "mtls-pki-preview-dev", "mtls-pki-deploy-dev"
_GITHUB, _GITLAB = 0, 1
_SUBJECT = "repo:team/mtls-pki:environment:preview-dev"


def _row(name: str, column: int) -> str:
    """What the page's table has for a forge, without its quotes."""
    (cells,) = re.findall(rf"^\| {name} \| (.*) \|$", _PAGE.read_text(), re.M)
    return str(cells).split(" | ")[column].split("`")[1]


def _claims(row: str, column: int) -> dict[str, str]:
    """What a forge says of the job that the page's table means."""
    bound: dict[str, str] = yaml.safe_load(_row(row, column))
    return {"sub": _SUBJECT, "ref": "refs/pull/7/merge", **bound}


def _commands(vault: Vault, issuer: str, column: int) -> str:
    """The page's commands with this Vault's address and this forge's issuer and claims."""
    found: list[str] = re.findall(r"^```sh\n(.*?)^```", _PAGE.read_text(), re.S | re.M)
    (commands,) = found
    replaced = {
        _row("issuer", _GITHUB): issuer,
        "https://vault.vault.svc:8200": vault.address,
        _row("claims of previews", _GITHUB): _row("claims of previews", column),
        _row("claims of deploys", _GITHUB): _row("claims of deploys", column),
    }
    for old, new in replaced.items():
        assert old in commands, old
        commands = commands.replace(old, new)
    return commands


def _set_up(vault: Vault, namespace: str, commands: str) -> None:
    """Run the commands as a person with all rights in a namespace of its own."""
    vault.api("POST", f"sys/namespaces/{namespace}")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=PROJECT,
        env={
            **vault.environment,
            "PATH": path,
            "VAULT_TOKEN": vault.root_token,
            "VAULT_NAMESPACE": namespace,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _stack_file(vault: Vault, namespace: str) -> str:
    section = {"server": vault.address, "caBundle": "trust/vault-ca.pem", "namespace": namespace}
    kubeconfig = Path(".lab/dev/kubeconfig")
    values = small_stack("login", kubeconfig, issuing={"backend": "vault", "vault": section})
    shipped = yaml.safe_load((PROJECT / "Pulumi.dev.yaml").read_text())
    config = {f"mtls-pki:{key}": value for key, value in values.items()}
    return yaml.safe_dump({**shipped, "config": config}, sort_keys=False)


def _write(directory: Path, vault: Vault, namespace: str) -> None:
    (directory / "trust").mkdir(exist_ok=True)
    shutil.copy(vault.ca_file, directory / "trust/vault-ca.pem")
    shutil.copy(PROJECT / "Pulumi.yaml", directory)
    (directory / "Pulumi.dev.yaml").write_text(_stack_file(vault, namespace))


@pytest.fixture(scope="module")
def identities(vault: Vault) -> Iterator[IdentityServer]:
    """The forge, which the Vault trusts as the page says."""
    with serve_identities() as server:
        _set_up(vault, _NAMESPACE, _commands(vault, server.url, _GITHUB))
        yield server


@dataclass
class Job:
    """A job on the forge's runner, in a checkout of its stack.

    Attributes:
        environment: its variables, which are those of this process.
        identities: what says who it is.
    """

    environment: pytest.MonkeyPatch
    identities: IdentityServer
    vault: Vault

    def claims(
        self, row: str = "claims of previews", *, column: int = _GITHUB, **other: str
    ) -> None:
        """Be the job that the page's table means, but for ``other``."""
        self.identities.claims = {**_claims(row, column), **other}

    def deploys(self, **other: str) -> None:
        """Be the job that may log in for deploys, but for ``other``."""
        self.environment.setenv("VAULT_ROLE", _DEPLOY)
        self.claims("claims of deploys", column=_GITHUB, **other)

    def refusal(self) -> str:
        """What a login says that does not come about."""
        with pytest.raises(CommandError) as told, logged_in("dev", os.environ):
            pytest.fail("it was let in")
        assert "VAULT_TOKEN" not in os.environ
        return str(told.value)


@pytest.fixture
def job(
    identities: IdentityServer,
    vault: Vault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Job]:
    """A job that may log in for previews; afterwards, whether it has said a secret."""
    _write(tmp_path, vault, _NAMESPACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    for name, value in {**identities.github(), "VAULT_ROLE": _PREVIEW}.items():
        monkeypatch.setenv(name, value)
    made = Job(monkeypatch, identities, vault)
    made.claims()
    issued = len(identities.issued)
    yield made
    identities.key, identities.lifetime = None, 600
    said = capfd.readouterr()
    assert _secrets(said.out + said.err, identities.issued[issued:]) == []


def _secrets(text: str, identities: list[str]) -> list[str]:
    """Tokens of the Vault, and identities or their signatures."""
    tokens: list[str] = re.findall(r"\b(?:hvs|s)\.[A-Za-z0-9]{20,}", text)
    return tokens + [each for each in identities if each.rpartition(".")[2] in text]


def test_secrets_are_found_where_they_are_said(vault: Vault, identities: IdentityServer) -> None:
    identity = identities.token("anybody")
    assert _secrets(f"{vault.root_token} {identity}", [identity]) == [vault.root_token, identity]


def _held(vault: Vault, token: str, namespace: str = _NAMESPACE) -> Any:
    return vault.api("GET", f"{namespace}/auth/token/lookup-self", token=token)["data"]


def _problems(*, only_reading: bool) -> tuple[str, ...]:
    """What the program's own preflight objects to, under the token of the environment."""
    settings = open_stack_file(Path.cwd(), "dev", {}, extensions()).settings()
    connection = Connection(vault_address(vault_settings(settings), Path.cwd()))
    return read_vault(connection, settings, in_use=(), only_reading=only_reading).problems


def test_a_preview_gets_a_token_that_may_read_and_ends_with_it(job: Job) -> None:
    with logged_in("dev", os.environ):
        token = os.environ["VAULT_TOKEN"]
        held = _held(job.vault, token)
        assert _problems(only_reading=True) == ()
        (lacking,) = _problems(only_reading=False)
    assert held["policies"] == ["mtls-pki-evidence"]
    assert held["creation_ttl"] == 30 * 60
    assert "the token's policy lacks these lines" in lacking
    assert "VAULT_TOKEN" not in os.environ
    with pytest.raises(VaultError, match="permission denied"):
        _held(job.vault, token)


def test_a_deploy_from_main_gets_the_rights_of_up(job: Job) -> None:
    job.deploys()
    with logged_in("dev", os.environ):
        held = _held(job.vault, os.environ["VAULT_TOKEN"])
        assert _problems(only_reading=False) == ()
    assert (held["policies"], held["creation_ttl"]) == (["mtls-pki"], 60 * 60)


def test_the_token_ends_too_where_the_command_fails(job: Job) -> None:
    job.environment.setenv("VAULT_TOKEN", "of-the-job")
    tokens = []

    def interrupted() -> None:
        with logged_in("dev", os.environ):
            tokens.append(os.environ["VAULT_TOKEN"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.environ["VAULT_TOKEN"] == "of-the-job"  # noqa: S105 no token
    with pytest.raises(VaultError, match="permission denied"):
        _held(job.vault, tokens[0])


def test_the_columns_for_gitlab_let_its_jobs_in(job: Job, vault: Vault) -> None:
    namespace = f"{_NAMESPACE}-gitlab"
    _set_up(vault, namespace, _commands(vault, job.identities.url, _GITLAB))
    _write(Path.cwd(), vault, namespace)
    job.environment.delenv("GITHUB_ACTIONS")
    job.environment.setenv("GITLAB_CI", "true")
    for role, row in ((_PREVIEW, "claims of previews"), (_DEPLOY, "claims of deploys")):
        job.claims(row, column=_GITLAB)
        job.environment.setenv("VAULT_ROLE", role)
        job.environment.setenv("VAULT_ID_TOKEN", job.identities.token(vault.address))
        with logged_in("dev", os.environ):
            assert _held(vault, os.environ["VAULT_TOKEN"], namespace)["meta"] == {"role": role}
    job.claims(row, column=_GITLAB, ref_protected="false")
    job.environment.setenv("VAULT_ID_TOKEN", job.identities.token(vault.address))
    assert "the role is for another ref_protected" in job.refusal()


Change = Callable[[Job], Any]
REFUSED: dict[str, tuple[Change, tuple[str, ...]]] = {
    "another environment": (
        lambda job: job.claims(environment="dev"),
        ('claim "environment" does not match', "for another environment", 'environment "dev"'),
    ),
    "another repository": (
        lambda job: job.claims(repository_id="666"),
        ("for another repository_id", 'repository_id "666"', "$VAULT_ROLE"),
    ),
    "a change that takes the role of deploys": (
        lambda job: job.deploys(ref="refs/pull/7/merge"),
        (f"as role '{_DEPLOY}'", "for another ref", 'ref "refs/pull/7/merge"'),
    ),
    "no environment": (
        lambda job: job.identities.claims.pop("environment"),
        ('claim "environment" is missing', "for another environment"),
    ),
    "another audience": (
        lambda job: job.claims(aud="https://vault.example.com"),
        ("the role takes another audience", "bound_audiences", 'aud "https://vault.example.com"'),
    ),
    "no such role": (
        lambda job: job.environment.setenv("VAULT_ROLE", "gone"),
        ('role "gone" could not be found', "correct $VAULT_ROLE"),
    ),
    "no such auth method": (
        lambda job: job.environment.setenv("VAULT_AUTH_PATH", "gone"),
        ("login at auth/gone", "there is no auth method at this path", "$VAULT_AUTH_PATH"),
    ),
    "another forge": (
        lambda job: job.claims(iss="https://forge.example.com"),
        ("the auth method trusts another forge", "bound_issuer"),
    ),
    "a forged identity": (
        lambda job: setattr(job.identities, "key", generate_private_key(65537, 2048)),
        ("has not signed this identity",),
    ),
    "an old identity": (
        lambda job: setattr(job.identities, "lifetime", -600),
        ("token is expired", "the identity is too old"),
    ),
    "no subject": (
        lambda job: job.identities.claims.pop("sub"),
        ("write user_claim=sub into the role",),
    ),
    "no permission": (
        lambda job: job.environment.delenv("ACTIONS_ID_TOKEN_REQUEST_URL"),
        ("may not ask for its identity", "give the job the permission `id-token: write`"),
    ),
    "no role": (
        lambda job: job.environment.delenv("VAULT_ROLE"),
        ("stack dev has a Vault (https://127.0.0.1:", "$VAULT_ROLE names no role"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_login_that_is_refused_says_what_to_correct(job: Job, case: str) -> None:
    change, said = REFUSED[case]
    change(job)
    refusal = job.refusal()
    assert [each for each in said if each not in refusal] == [], refusal


def test_a_namespace_that_is_not_there_and_a_method_that_trusts_nobody(
    job: Job, vault: Vault
) -> None:
    vault.api("POST", f"{_NAMESPACE}/sys/auth/empty", {"type": "jwt"})
    job.environment.setenv("VAULT_AUTH_PATH", "empty")
    assert "the auth method trusts no forge yet" in job.refusal()
    _write(Path.cwd(), vault, "nowhere")
    assert "correct issuing.vault.namespace" in job.refusal()


def test_a_vault_that_is_sealed_and_one_that_is_not_trusted(job: Job, vault: Vault) -> None:
    vault.seal()
    try:
        assert "is sealed or not initialised; unseal it" in job.refusal()
    finally:
        vault.unseal()
    other = Pair.at(Path.cwd() / "other")
    ensure_authority(other, "other")
    shutil.copy(other.certificate, Path.cwd() / "trust/vault-ca.pem")
    assert "give the CA that signed it as issuing.vault.caBundle" in job.refusal()


def test_a_token_that_may_not_end_itself_is_warned_of(
    job: Job, vault: Vault, capfd: pytest.CaptureFixture[str]
) -> None:
    rule = 'path "auth/token/lookup-self" { capabilities = ["read"] }'
    vault.api("PUT", f"{_NAMESPACE}/sys/policies/acl/looking", {"policy": rule})
    role = f"{_NAMESPACE}/auth/jwt/role"
    values = vault.api("GET", f"{role}/{_PREVIEW}")["data"]
    vault.api("POST", f"{role}/looking", {**values, "token_policies": ["looking"]})
    job.environment.setenv("VAULT_ROLE", "looking")
    with logged_in("dev", os.environ):
        token = os.environ["VAULT_TOKEN"]
    said = capfd.readouterr().err
    assert 'needs `path "auth/token/revoke-self" { capabilities = ["update"] }`' in said
    assert "The token ends by itself, 30m0s after its login" in said
    assert token not in said
    vault.api("POST", f"{_NAMESPACE}/auth/token/revoke", {"token": token})


def test_a_preview_of_a_pull_request_logs_in_reads_and_logs_out(
    identities: IdentityServer, vault: Vault, vault_plane: ControlPlane
) -> None:
    identities.claims = _claims("claims of previews", _GITHUB)
    toolchain.ensure("pulumi-resource-vault")
    began = dt.datetime.now(dt.UTC)
    with serve() as forge, tempfile.TemporaryDirectory(prefix="mtls-pki-login-") as place:
        root = Path(place)
        engine = open_engine(root / "repository", root / "engine")
        flow = Flow(root=root, forge=forge, engine=engine)
        flow.environment = {**identities.github(), "VAULT_ROLE": _PREVIEW}
        assert engine.run("stack", "init", "dev").returncode == 0
        flow.branch("vault")
        _write(flow.repository, vault, _NAMESPACE)
        flow.commit("An issuing CA in the Vault")
        pull = flow.open_pull()
        status, _ = flow.job(
            pull.merge, vault_plane.kubeconfig.read_text(),
            "preview", "--stack", "dev", "--change", str(pull.number), "--commit", pull.head,
            "--output", str(root / "review"),
        )  # fmt: skip
        (page,) = forge.comments[pull.number]
        written = [path.read_text(errors="replace") for path in (root / "review").iterdir()]

    said = "\n".join(flow.printed)
    assert status == 0, said
    assert f"logged in to {vault.address} as {_PREVIEW}, for 30m0s at most" in said
    assert "the Vault is not ready" not in page.body
    assert _secrets("\n".join([said, page.body, *written]), identities.issued) == []
    user = f"{_NAMESPACE}-auth-jwt-{_SUBJECT}"
    asked = [each for each in vault.audit_requests(began) if each.user == user]
    assert {each.path for each in asked if each.operation not in ("read", "list")} == {
        "sys/capabilities-self",
        "auth/token/revoke-self",
    }
    assert asked[-1].path == "auth/token/revoke-self"
