"""docs/state.md on a bucket of a real S3 server and a key of a real Vault, as teams have them.

All tests run on a stack that has lost both once, and its CA Secret too, and was restored.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.backup import backup, refused, same_key
from tests.integration.support.configuration import small_stack
from tests.integration.support.keeper import KEY, commands, keeping, token
from tests.integration.support.killing import kill_session
from tests.integration.support.project import PROJECT
from tests.integration.support.s3 import S3
from tests.integration.support.secrets import assert_no_private_key
from tests.integration.support.stack import Run, Stack
from tests.integration.support.vault import Vault

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("vault"),
    pytest.mark.timeout(900),
]

NAME = "stored"
CA = f"{NAME}-ca-g1-i1"
LOST_KEY = "mtls-pki-lost"
BUCKET, LOST_BUCKET = "states", "states-lost"
DEPLOY, PREVIEW, NOBODY = "deploy", "preview", "nobody"
RIGHTS = {
    DEPLOY: PROJECT / "deploy/s3-policy.json",
    PREVIEW: PROJECT / "deploy/s3-policy-preview.json",
}
LOCKED_SECONDS = 60
ATTEMPTS = 10
PASSPHRASES = ("the first passphrase", "the second passphrase")


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The restored stack.

    Attributes:
        stack: it, as the identity that deploys.
        first_run: the first `up` after the restore.
        keys: PEM of its issuing CA's key.
        secrets: tokens of the Vault and secret keys of S3 that any command had.
    """

    stack: Stack
    s3: S3
    first_run: Run
    keys: list[str] = field(repr=False)
    secrets: list[str] = field(repr=False)

    def assert_nothing_leaks(self) -> None:
        """Neither a key nor a token stands in a bucket, a stack file or anything printed."""
        texts = {
            "what was printed": "".join(self.stack.printed),
            "the stack file": self.stack.file.read_text(),
        }
        for bucket in (BUCKET, LOST_BUCKET):
            objects = self.s3.objects(bucket)
            assert any(key.endswith(f"/{NAME}.json") for key in objects)
            texts |= {f"{bucket}/{key}": text for key, text in objects.items()}
        assert_no_private_key(texts, keys=self.keys)
        for place, text in texts.items():
            assert not any(secret in text for secret in self.secrets), f"a token stands in {place}"


@pytest.fixture(scope="module")
def s3(vault_plane: ControlPlane) -> Iterator[S3]:
    server = S3(vault_plane.paths, (DEPLOY, PREVIEW, NOBODY))
    for bucket in (BUCKET, LOST_BUCKET):
        server.make_bucket(bucket, RIGHTS)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def keeper(vault: Vault) -> Iterator[Vault]:
    """The Vault with both keys."""
    with keeping(vault):
        vault.api("POST", f"transit/keys/{LOST_KEY}", {})
        yield vault


@pytest.fixture(scope="module")
def stored(
    vault_plane: ControlPlane,
    vault_api: Api,
    keeper: Vault,
    s3: S3,
    make_stack: MakeStack,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stored]:
    """A stack that was applied, saved, lost with bucket, key and CA Secret, and restored."""
    directory = tmp_path_factory.mktemp("state")

    def empty_stack(bucket: str, key: str) -> Stack:
        environment = {
            **s3.environment(bucket, DEPLOY),
            "VAULT_SERVER_URL": keeper.address,
            "VAULT_SERVER_TOKEN": token(keeper, directory, key),
            "VAULT_CACERT": str(keeper.ca_file),
            # Of the Vault that holds issuing CAs, which may be another one.
            "VAULT_ADDR": "https://127.0.0.1:1",
            "VAULT_TOKEN": "of-another-vault",
        }
        stack = make_stack(NAME, environment)
        values = small_stack(NAME, vault_plane.kubeconfig, services={"web": {"namespace": NAME}})
        stack.write(values)
        stack.init("--secrets-provider", f"hashivault://{key}")
        return stack

    lost = empty_stack(LOST_BUCKET, LOST_KEY)
    lost.up()
    archive = directory / "stack.age"
    saved = backup(lost, "backup", str(archive))
    assert saved.returncode == 0, saved.stderr
    ca = cluster.secret(vault_api, NAME, CA)

    keeper.api("POST", f"transit/keys/{LOST_KEY}/config", {"deletion_allowed": True})
    keeper.api("DELETE", f"transit/keys/{LOST_KEY}")
    vault_api.request("DELETE", f"/api/v1/namespaces/{NAME}/secrets/{CA}")
    refused(backup(lost, "backup", str(directory / "again.age")), "encryption key not found")

    stack = empty_stack(BUCKET, KEY)
    keeper.seal()
    try:
        refused(backup(stack, "restore", str(archive)), "Vault is sealed")
    finally:
        keeper.unseal()
    assert "tls:index" not in stack.must("stack", "export").output
    restored = backup(stack, "restore", str(archive))
    assert restored.returncode == 0, restored.stderr
    assert same_key(cluster.secret(vault_api, NAME, CA), ca)
    run = stack.up("--refresh", "--run-program")
    stack.printed += lost.printed
    found = Stored(
        stack=stack,
        s3=s3,
        first_run=run,
        keys=[ca["tls.key"]],
        secrets=[
            each.environment[name]
            for each in (stack, lost)
            for name in ("VAULT_SERVER_TOKEN", "AWS_SECRET_ACCESS_KEY")
        ],
    )
    yield found
    found.assert_nothing_leaks()


@pytest.fixture
def restored(stored: Stored) -> Iterator[Stack]:
    """The stack, whose environment is put back."""
    environment = dict(stored.stack.environment)
    yield stored.stack
    stored.stack.environment = environment


def in_clear(stack: Stack) -> str:
    """The state with its keys, which goes nowhere else."""
    done = stack.engine.run(
        "stack", "export", "--show-secrets", extra_environment=stack.environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_restored_stack_has_its_keys_and_replaces_nothing(stored: Stored) -> None:
    steps = stored.first_run.steps
    assert {steps[key] for key in ("g1-key", "g1-i1-key")} == {"same"}
    assert not {name: step for name, step in steps.items() if "replace" in step}


def test_the_page_names_what_the_stack_was_told(stored: Stored) -> None:
    named = dict(word.split("=", 1) for (word,) in commands("export"))
    used = stored.stack.environment
    assert set(named) == set(used) - {"PULUMI_DEBUG_COMMANDS", "VAULT_ADDR", "VAULT_TOKEN"}
    asked, given = (urlsplit(each["PULUMI_BACKEND_URL"]) for each in (named, used))
    assert (asked.scheme, asked.netloc) == (given.scheme, given.netloc)
    assert set(parse_qs(asked.query)) == set(parse_qs(given.query))
    assert ["stack", "init", "prod", "--secrets-provider", f"hashivault://{KEY}"] in commands(
        "pulumi"
    )


def test_neither_bucket_nor_stack_file_holds_a_key_in_clear(stored: Stored) -> None:
    document = yaml.safe_load(stored.stack.file.read_text())
    assert document["secretsprovider"] == f"hashivault://{KEY}"
    assert document["encryptedkey"]
    assert "encryptionsalt" not in document
    objects = stored.s3.objects(BUCKET)
    assert f".pulumi/stacks/mtls-pki/{NAME}.json" in objects
    assert any("/history/" in key for key in objects)
    stored.assert_nothing_leaks()
    # The negative control: who may use the key reads what nobody else does.
    with pytest.raises(AssertionError, match="in clear text in: the state"):
        assert_no_private_key({"the state": in_clear(stored.stack)}, keys=stored.keys)


def holding_the_lock(stack: Stack, locks: Callable[[], list[str]]) -> subprocess.Popen[bytes]:
    """An ``up`` that is stopped while it holds the lock; one that ended before it was is repeated.

    Args:
        stack: of the lock.
        locks: tells those that there are.
    """
    for _ in range(ATTEMPTS):
        running = stack.start_up()
        waited_for = functools.partial(_locked_or_ended, locks, running)
        cluster.wait_for(waited_for, "lock", seconds=LOCKED_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGSTOP)
        if locks():
            return running
        kill_session(running.pid)
        running.wait()
    raise AssertionError(f"no `up` of {ATTEMPTS} could be stopped in time")


def _locked_or_ended(locks: Callable[[], list[str]], running: subprocess.Popen[bytes]) -> bool:
    return bool(locks()) or running.poll() is not None


def test_one_run_at_a_time_and_cancel_frees_a_dead_ones_lock(stored: Stored) -> None:
    def locks() -> list[str]:
        return [key for key in stored.s3.keys(BUCKET) if "/locks/" in key]

    running = holding_the_lock(stored.stack, locks)
    try:
        second = stored.stack.try_up()
        assert second.status != 0
        assert "the stack is currently locked by 1 lock(s)" in second.output
        assert f"pid {running.pid}" in second.output
    finally:
        kill_session(running.pid)
        running.wait()
    assert locks()
    stored.stack.must("cancel", NAME, "--yes")
    assert not locks()
    assert stored.stack.up().changes == {}


def test_who_may_only_read_and_decrypt_can_preview_and_not_write(
    stored: Stored, restored: Stack, keeper: Vault, tmp_path: Path
) -> None:
    before = stored.s3.objects(BUCKET)
    restored.environment |= stored.s3.environment(BUCKET, PREVIEW)
    reader = token(keeper, tmp_path, KEY, without="encrypt")
    restored.environment["VAULT_SERVER_TOKEN"] = reader
    stored.secrets.append(reader)
    # As the drift job does; a pull request's has no --refresh.
    preview = restored.preview("--refresh", "--expect-no-changes")
    assert preview.status == 0, preview.output
    up = restored.try_up()
    assert up.status != 0
    assert "AccessDenied" in up.output
    assert "PutObject" in up.output
    restored.environment |= stored.s3.environment(BUCKET, NOBODY)
    preview = restored.preview()
    assert preview.status != 0
    assert "AccessDenied" in preview.output
    assert stored.s3.objects(BUCKET) == before


def test_a_stack_needs_every_right_of_the_bucket_policies(stored: Stored) -> None:
    used = set()
    for path, query in stored.s3.requests():
        if path.startswith(f"/{BUCKET}/.pulumi/") and "x-id" in query:
            used.add(f"s3:{query['x-id']}")
        elif path == f"/{BUCKET}" and query.get("prefix", "").startswith(".pulumi/"):
            used.add("s3:ListBucket")
    granted = {
        action
        for statement in json.loads(RIGHTS[DEPLOY].read_text())["Statement"]
        for action in statement["Action"]
    }
    # A copy is a GetObject and a PutObject in the terms of a policy.
    assert used - {"s3:CopyObject"} == granted


def test_the_secrets_provider_can_be_changed_and_changed_back(
    stored: Stored, restored: Stack, keeper: Vault
) -> None:
    stack = restored
    stack.must("config", "set", "--secret", "other:word", standard_input="of this test")
    state = json.loads(in_clear(stack))["deployment"]["resources"]

    def change(provider: str, standard_input: str = "") -> None:
        before = stack.file.read_text()
        stack.must(
            "stack", "change-secrets-provider", provider, "--stack", NAME,
            standard_input=standard_input,
        )  # fmt: skip
        after = yaml.safe_load(stack.file.read_text())
        assert after["config"]["other:word"] != yaml.safe_load(before)["config"]["other:word"]
        assert ("encryptionsalt" in after) == (provider == "passphrase")
        assert ("encryptedkey" in after) == (provider != "passphrase")

    def passphrase_is_refused() -> None:
        run = stack.preview()
        assert run.status != 0
        assert "incorrect passphrase" in run.output

    first, second = PASSPHRASES
    vault_token = stack.environment["VAULT_SERVER_TOKEN"]
    # From a key to a passphrase: the variable is the new one.
    stack.environment["PULUMI_CONFIG_PASSPHRASE"] = first
    change("passphrase")
    stack.environment["VAULT_SERVER_TOKEN"] = "none"  # noqa: S105 no token
    # From one to another: the variable is the old one.
    change("passphrase", f"{second}\n" * 2)
    passphrase_is_refused()
    stack.environment["PULUMI_CONFIG_PASSPHRASE"] = second
    preview = stack.preview("--expect-no-changes")
    assert preview.status == 0, preview.output

    stack.environment["VAULT_SERVER_TOKEN"] = vault_token
    data_keys = set()
    for _ in range(2):
        change(f"hashivault://{KEY}")
        ciphertext = b64decode(yaml.safe_load(stack.file.read_text())["encryptedkey"]).decode()
        opened = keeper.api("POST", f"transit/decrypt/{KEY}", {"ciphertext": ciphertext})
        data_keys.add(opened["data"]["plaintext"])
    distinct = len(data_keys)
    assert distinct == 2
    stack.environment["PULUMI_CONFIG_PASSPHRASE"] = "of nothing any more"  # noqa: S105
    assert stack.must("config", "get", "other:word").output.strip() == "of this test"
    # Without a difference that pytest would print.
    same = json.loads(in_clear(stack))["deployment"]["resources"] == state
    assert same
    stack.must("config", "rm", "other:word")
    stored.assert_nothing_leaks()


def test_a_vault_that_is_sealed_or_refuses_is_named_and_nothing_is_written(
    stored: Stored, restored: Stack, keeper: Vault, tmp_path: Path
) -> None:
    archive = tmp_path / "stack.age"

    def is_refused(words: str) -> None:
        preview = restored.preview()
        assert preview.status != 0
        assert f"{keeper.address}/v1/transit/decrypt/{KEY}" in preview.output
        assert words in preview.output
        refused(backup(restored, "backup", str(archive)), words)
        assert not archive.exists()

    before = (stored.s3.objects(BUCKET), restored.file.read_text())
    for without in ("encrypt", "decrypt"):
        narrow = token(keeper, tmp_path, KEY, without=without)
        stored.secrets.append(narrow)
        restored.environment["VAULT_SERVER_TOKEN"] = narrow
        run = restored.command(
            "stack", "change-secrets-provider", f"hashivault://{KEY}", "--stack", NAME
        )
        assert run.status != 0
        assert f"/v1/transit/{without}/{KEY}" in run.output
        assert "permission denied" in run.output
    is_refused("permission denied")
    keeper.seal()
    try:
        is_refused("Vault is sealed")
    finally:
        keeper.unseal()
    assert (stored.s3.objects(BUCKET), restored.file.read_text()) == before
