"""The policies in ``deploy/`` allow what a stack does in a Vault, and nothing that it does not do.

What a stack does is what the audit log of a real server says that Pulumi's provider asked for.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hvac.exceptions import VaultError

from lab import toolchain
from lab.certificates import Pair, ensure_authority
from lab.control_plane import ControlPlane
from lab.pulumi_cli import open_engine
from tests.integration.support.project import PROJECT
from tests.integration.support.vault import AuditEntry, Vault

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("vault")]

POLICY = PROJECT / "deploy/vault-policy.hcl"
EVIDENCE = PROJECT / "deploy/vault-policy-evidence.hcl"
Rights = Mapping[str, frozenset[str]]
_RULE = re.compile(r'^path "([^"]+)" \{\n  capabilities = \[([^]]+)\]\n\}$', re.MULTILINE)


def rights(policy: Path) -> Rights:
    """Capabilities by path, as the file grants them."""
    text = policy.read_text(encoding="utf-8")
    found = {path: frozenset(re.findall(r"\w+", names)) for path, names in _RULE.findall(text)}
    assert len(found) == text.count("\npath "), "a rule is written in another form, or twice"
    return found


def unused(policy: Path, requests: list[AuditEntry]) -> set[tuple[str, str]]:
    """What the policy grants and no request needed; ``sudo`` shows in no request."""
    granted = {(path, name) for path, names in rights(policy).items() for name in names}
    return {
        (path, name)
        for path, name in granted
        if name != "sudo"
        and not any(name == entry.operation and covers(path, entry.path) for entry in requests)
    }


def covers(rule: str, path: str) -> bool:
    """Whether a rule is for a path (``+`` is one segment, ``*`` at the end any rest)."""
    pattern = re.escape(rule).replace(r"\+", "[^/]+")
    pattern = f"{pattern[:-2]}.*" if pattern.endswith(r"\*") else f"{pattern}/?"
    return re.fullmatch(pattern, path) is not None


class Program:
    """The Pulumi program of this test, run under tokens with one policy."""

    def __init__(self, directory: Path, vault: Vault) -> None:
        self.vault = vault
        self.project = directory / "project"
        self.project.mkdir()
        for source in (Path(__file__).parent / "vault_program").glob("*.*"):
            shutil.copy2(source, self.project)
        (self.project / ".venv").symlink_to(PROJECT / ".venv")
        anchor = Pair.at(self.project / "anchor")
        ensure_authority(anchor, "root.example.com")
        anchor.certificate.rename(self.project / "anchor.pem")
        toolchain.ensure("pulumi-resource-vault")
        self._engine = open_engine(self.project, directory)
        self._engine.select_stack("test")

    def run(
        self,
        policy: Path,
        *arguments: str,
        issuers: tuple[str, ...] = ("g2",),
        revision: str = "two",
    ) -> tuple[int, str]:
        """Exit status and output of one command on what the program then wants."""
        wanted = {"issuers": issuers, "revision": revision}
        (self.project / "wanted.json").write_text(json.dumps(wanted), encoding="utf-8")
        token = self.vault.policy_token(policy)
        done = self._engine.run(
            *arguments,
            "--stack=test",
            extra_environment={**self.vault.environment, "VAULT_TOKEN": token},
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def vault(vault_plane: ControlPlane) -> Vault:
    return Vault(vault_plane)


@pytest.fixture(scope="module")
def applied(
    vault: Vault, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Program, list[AuditEntry]]]:
    """A stack that has had every kind of change, and what all of it asked the server for."""
    program = Program(tmp_path_factory.mktemp("vault-policy"), vault)
    began = dt.datetime.now(dt.UTC)
    for verb, issuers, revision in (
        ("up", ("g1",), "one"),
        ("up", ("g1", "g2"), "two"),
        ("up", ("g2",), "two"),
        ("refresh", ("g2",), "two"),
    ):
        status, output = program.run(
            POLICY, verb, "--yes", "--skip-preview", issuers=issuers, revision=revision
        )
        assert status == 0, output
    token = vault.policy_token(POLICY)
    vault.api("POST", "sys/capabilities-self", {"paths": ["sys/mounts/pki-mesh"]}, token=token)
    vault.api("POST", "auth/token/revoke-self", token=token)
    # A cluster that leaves the stack takes its auth method along. Here it is not in the state.
    text = POLICY.read_text(encoding="utf-8").replace("kubernetes-dev", "kubernetes-gone")
    (program.project / POLICY.name).write_text(text, encoding="utf-8")
    gone = vault.policy_token(program.project / POLICY.name)
    vault.api("POST", "sys/auth/kubernetes-gone", {"type": "kubernetes"}, token=gone)
    vault.api("DELETE", "sys/auth/kubernetes-gone", token=gone)
    requests = [
        AuditEntry(
            operation=entry.operation,
            path=entry.path.replace("kubernetes-gone", "kubernetes-dev"),
            user=entry.user,
        )
        for entry in vault.audit_requests(began)
        if entry.user == f"token-{POLICY.stem}"
    ]
    yield program, requests
    for path in ("sys/mounts/pki-mesh", "sys/auth/kubernetes-dev"):
        vault.api("DELETE", path)


def test_a_stack_needs_every_right_of_the_policy(
    applied: tuple[Program, list[AuditEntry]],
) -> None:
    assert unused(POLICY, applied[1]) == set()


def test_a_right_that_nothing_needs_is_found(
    applied: tuple[Program, list[AuditEntry]], tmp_path: Path
) -> None:
    wider = tmp_path / "wider.hcl"
    text = POLICY.read_text(encoding="utf-8")
    wider.write_text(f'{text}\npath "pki-mesh/sign/+" {{\n  capabilities = ["update"]\n}}\n')
    assert unused(wider, applied[1]) == {("pki-mesh/sign/+", "update")}


def test_sudo_is_needed_where_the_policy_has_it(vault: Vault, tmp_path: Path) -> None:
    without = tmp_path / "without.hcl"
    text = POLICY.read_text(encoding="utf-8")
    assert [path for path, names in rights(POLICY).items() if "sudo" in names] == [
        "sys/auth/kubernetes-dev"
    ]
    without.write_text(text.replace(', "sudo"', "").replace("kubernetes-dev", "kubernetes-no"))
    token = vault.policy_token(without)
    with pytest.raises(VaultError, match="permission denied"):
        vault.api("POST", "sys/auth/kubernetes-no", {"type": "kubernetes"}, token=token)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "sys/mounts/pki-mesh"),
        ("GET", "sys/mounts/pki-other"),
        ("POST", "sys/mounts/pki-other"),
        ("POST", "pki-mesh/sign/pki-mesh-g2"),
        ("POST", "pki-mesh/issuers/generate/intermediate/exported"),
        ("POST", "pki-mesh/issuers/generate/root/internal"),
        ("POST", "pki-mesh/issuers/import/bundle"),
        ("POST", "pki-mesh/root/sign-intermediate"),
        ("DELETE", "pki-mesh/key/any"),
        ("POST", "sys/policies/acl/other"),
        ("POST", "sys/auth/kubernetes-other"),
        ("POST", "auth/kubernetes-other/role/x"),
        ("POST", "auth/token/create"),
        ("PUT", "sys/seal"),
    ],
)
def test_the_rest_is_refused(
    vault: Vault, applied: tuple[Program, list[AuditEntry]], method: str, path: str
) -> None:
    for policy in (POLICY, EVIDENCE):
        with pytest.raises(VaultError, match="permission denied"):
            vault.api(
                method, path, None if method == "GET" else {}, token=vault.policy_token(policy)
            )


def health_check(vault: Vault, policy: Path) -> set[str]:
    """The statuses that ``bao pki health-check`` came to under a token with ``policy``."""
    done = subprocess.run(
        [Path(sys.executable).with_name("bao"), "pki", "health-check", "-format=json", "pki-mesh"],
        env={**os.environ, **vault.environment, "VAULT_TOKEN": vault.policy_token(policy)},
        capture_output=True,
        text=True,
        check=False,
    )
    return {row["status"] for rows in json.loads(done.stdout).values() for row in rows}


def test_evidence_allows_previews_and_the_health_check_and_changes_nothing(
    vault: Vault, applied: tuple[Program, list[AuditEntry]]
) -> None:
    began = dt.datetime.now(dt.UTC)

    status, output = applied[0].run(EVIDENCE, "preview", "--refresh", "--expect-no-changes")
    assert status == 0, output
    assert "insufficient_permissions" not in health_check(vault, EVIDENCE)
    paths = {"paths": ["sys/mounts/pki-mesh"]}
    token = vault.policy_token(EVIDENCE)
    vault.api("POST", "sys/capabilities-self", paths, token=token)
    vault.api("POST", "auth/token/revoke-self", token=token)

    user = f"token-{EVIDENCE.stem}"
    requests = [entry for entry in vault.audit_requests(began) if entry.user == user]
    assert unused(EVIDENCE, requests) == set()
    granted = {(path, name) for path, names in rights(EVIDENCE).items() for name in names}
    assert {(path, name) for path, name in granted if name not in ("read", "list")} == {
        ("sys/capabilities-self", "update"),
        ("auth/token/revoke-self", "update"),
    }


@pytest.mark.parametrize(
    "path", ["pki-mesh/config/+", "pki-mesh/certs", "pki-mesh/roles/+", "sys/mounts/pki-mesh/tune"]
)
def test_a_right_that_the_health_check_lacks_shows(
    vault: Vault, applied: tuple[Program, list[AuditEntry]], tmp_path: Path, path: str
) -> None:
    narrower = tmp_path / "narrower.hcl"
    narrower.write_text(EVIDENCE.read_text(encoding="utf-8").replace(f'"{path}"', '"nothing"'))
    assert "insufficient_permissions" in health_check(vault, narrower)


def test_a_stack_cannot_be_applied_with_evidence_alone(
    applied: tuple[Program, list[AuditEntry]],
) -> None:
    status, output = applied[0].run(EVIDENCE, "up", "--yes", "--skip-preview", issuers=("g2", "g3"))
    assert status != 0
    assert "permission denied" in output
