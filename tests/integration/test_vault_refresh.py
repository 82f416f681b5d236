"""A Vault that is sealed, away, or has lost the mount: explained, and nothing made anew."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.stack import Stack
from tests.integration.support.vault import Vault
from tests.integration.support.vault_stack import issuer, mount, prepare, vault_stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("vault")]

NAME = "kept"


@pytest.fixture(scope="module")
def kept(vault_plane: ControlPlane, vault: Vault, make_stack: MakeStack) -> Stack:
    """A stack applied once."""
    stack = prepare(make_stack(NAME), vault, vault_stack(NAME, vault_plane, vault))
    stack.up()
    return stack


@contextlib.contextmanager
def sealed(vault: Vault) -> Iterator[None]:
    vault.seal()
    try:
        yield
    finally:
        vault.unseal()


@contextlib.contextmanager
def stopped(vault: Vault) -> Iterator[None]:
    vault.stop()
    try:
        yield
    finally:
        vault.start()


def held(stack: Stack) -> dict[str, tuple[Any, Any]]:
    """Id and inputs of each resource in the state."""
    state = json.loads(stack.state_file.read_text(encoding="utf-8"))
    return {
        each["urn"]: (each.get("id"), each.get("inputs"))
        for each in state["checkpoint"]["latest"]["resources"]
    }


def keys_made(vault: Vault, since: dt.datetime) -> list[str]:
    return [e.path for e in vault.audit_requests(since) if "/generate/" in e.path]


@pytest.mark.parametrize(
    ("away", "said", "provider_said"),
    [
        (
            sealed,
            ("is sealed", "unseal it (`bao operator unseal`)", "Its keys are not lost"),
            "Vault is sealed",
        ),
        (
            stopped,
            ("cannot be reached", "is it up, and is this its address?"),
            "connection refused",
        ),
    ],
    ids=["sealed", "stopped"],
)
def test_a_vault_that_is_away_is_named_and_nothing_changes(
    kept: Stack,
    vault: Vault,
    vault_api: Api,
    away: Callable[[Vault], contextlib.AbstractContextManager[None]],
    said: tuple[str, ...],
    provider_said: str,
) -> None:
    before, since, known = cluster.settled_snapshot(vault_api), dt.datetime.now(dt.UTC), held(kept)
    with away(vault):
        # The engine runs the program for a refresh only if it is told to; without it the provider
        # is the one to speak.
        alone = kept.try_refresh()
        explained = [kept.try_refresh("--run-program"), kept.preview(), kept.try_up()]
    assert alone.status != 0
    assert provider_said in alone.output
    for run in explained:
        assert run.status != 0
        assert all(text in run.output for text in said), run.output
        assert "Traceback" not in run.output
    assert held(kept) == known
    # Everything is as it was, and goes on.
    assert kept.up().changes == {}
    assert keys_made(vault, since) == []
    changed = cluster.changed_objects(before, cluster.settled_snapshot(vault_api))
    own = {path for path in changed if f"/{NAME}/" in path}
    # cert-manager looks at its issuers by itself, and may have said that it could not.
    assert {path for path in own if "/issuers/" not in path} == set()


def test_a_mount_that_is_gone_is_never_made_anew_behind_anybodys_back(
    kept: Stack, vault: Vault, vault_api: Api
) -> None:
    since, known = dt.datetime.now(dt.UTC), held(kept)
    roots = cluster.config_map(vault_api, NAME, f"{NAME}-trust")
    vault.api("DELETE", f"sys/mounts/{mount(NAME)}")
    said = (
        f"the mount {mount(NAME)} is gone from the Vault, but clusters issue from it (by g1)",
        "Restore the Vault from its backup",
        "issuing.intermediate.generation",
    )
    for run in (kept.preview(), kept.try_up()):
        assert run.status != 0
        assert run.changes == {}
        assert all(text in run.output for text in said), run.output
    assert held(kept) == known

    # A refresh sees that it is gone, and what was the stack's alone stays.
    refreshed = kept.try_refresh()
    after = held(kept)
    gone = {urn.rpartition("::")[2] for urn in known.keys() - after.keys()}
    assert refreshed.status == 0, refreshed.output
    assert mount(NAME) in gone
    assert not [name for name in gone if "key" in name]
    for run in (kept.preview(), kept.try_up()):
        assert run.status != 0
        assert all(text in run.output for text in said), run.output
    assert keys_made(vault, since) == []
    assert cluster.config_map(vault_api, NAME, f"{NAME}-trust") == roots

    # The way out that it names is one: another issuing CA under the same anchor.
    values = kept.read()
    values["issuing"]["intermediate"] = {"generation": "i2"}
    kept.write(values)
    kept.up()
    live = cluster.certificates(vault_api, NAME)
    assert {each["spec"]["issuerRef"]["name"] for each in live.values()} == {
        issuer(NAME).replace("-i1-", "-i2-")
    }
    assert all(cluster.is_ready(each) for each in live.values())
    assert cluster.config_map(vault_api, NAME, f"{NAME}-trust") == roots
    assert kept.up().changes == {}
