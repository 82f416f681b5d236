"""Backend, secrets provider and cluster are lost together, and come back from one file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.backup import backup, refused, same_key
from tests.integration.support.chains import assert_chain_holds
from tests.integration.support.configuration import small_stack
from tests.integration.support.secrets import assert_no_private_key
from tests.integration.support.stack import Stack

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("stacks"),
    pytest.mark.timeout(900),
]

NAME = "kept"
HOST = f"web.{NAME}.svc.cluster.local"
NEW_PASSPHRASE = "of the new provider"  # noqa: S105 of this test alone
CA = f"{NAME}-ca-g1-i1"
KEYS = ("g1-key", "g1-i1-key")


@dataclass(frozen=True, kw_only=True)
class Lost:
    """What there was before the loss."""

    archive: Path
    leaf: str
    bundle: str
    ca: dict[str, str] = field(repr=False)


@pytest.fixture(scope="module")
def lost(
    plane: ControlPlane, api: Api, make_stack: MakeStack, tmp_path_factory: pytest.TempPathFactory
) -> Lost:
    """A stack with certificates in use, saved."""
    stack = make_stack(NAME)
    stack.write(small_stack(NAME, plane.kubeconfig, issuing={"intermediate": {}}))
    stack.init()
    nothing = tmp_path_factory.mktemp("nothing") / "stack.age"
    refused(backup(stack, "backup", str(nothing)), "nothing to save")
    assert not nothing.exists()
    stack.up()
    archive = tmp_path_factory.mktemp("backup") / "stack.age"
    saved = backup(stack, "backup", str(archive))
    assert saved.returncode == 0, saved.stderr
    assert archive.stat().st_mode & 0o777 == 0o600
    ca = cluster.secret(api, NAME, CA)
    assert_no_private_key(
        {
            "the archive": archive.read_bytes().decode(errors="replace"),
            "what was printed": "".join(stack.printed),
        },
        keys=[ca["tls.key"]],
    )
    before = archive.read_bytes()
    refused(backup(stack, "backup", str(archive)), "is there already and is not overwritten")
    assert archive.read_bytes() == before
    return Lost(
        archive=archive,
        leaf=cluster.secret(api, NAME, "web-tls")["tls.crt"],
        bundle=cluster.config_map(api, NAME, f"{NAME}-trust")["ca.crt"],
        ca=ca,
    )


@pytest.fixture(scope="module")
def elsewhere(lab: Lab) -> Iterator[tuple[ControlPlane, Api]]:
    """An empty cluster and its administrator."""
    (plane,) = lab.up("restored")
    with contextlib.closing(plane.api()) as administrator:
        yield plane, administrator


def empty_stack(make_stack: MakeStack, plane: ControlPlane) -> Stack:
    """The stack in an empty backend, under another passphrase than the lost one's."""
    stack = make_stack(NAME, {"PULUMI_CONFIG_PASSPHRASE": NEW_PASSPHRASE})
    stack.write(small_stack(NAME, plane.kubeconfig, issuing={"intermediate": {}}))
    stack.init()
    return stack


def test_all_comes_back_and_every_leaf_still_verifies(
    lost: Lost, elsewhere: tuple[ControlPlane, Api], make_stack: MakeStack
) -> None:
    plane, api = elsewhere
    stack = empty_stack(make_stack, plane)
    refused(
        backup(stack, "restore", str(lost.archive)),
        "clusters.dev reaches the cluster whose kube-system has .* pass --rebuilt dev",
    )
    refused(backup(stack, "restore", str(lost.archive), "--rebuilt", "prod"), "of: dev")
    assert CA not in cluster.names(api, f"/api/v1/namespaces/{NAME}/secrets")
    restored = backup(stack, "restore", str(lost.archive), "--rebuilt", "dev")
    assert restored.returncode == 0, restored.stderr
    assert same_key(cluster.secret(api, NAME, CA), lost.ca)
    refused(backup(stack, "restore", str(lost.archive)), "has resources already")

    run = stack.up("--refresh", "--run-program")
    assert not {name: step for name, step in run.steps.items() if "replace" in step}
    assert {run.steps[key] for key in KEYS} == {"same"}
    assert same_key(cluster.secret(api, NAME, CA), lost.ca)

    bundle = cluster.config_map(api, NAME, f"{NAME}-trust")["ca.crt"]
    assert bundle == lost.bundle
    # Leaves of the lost cluster where the new bundle is, and new ones where the old bundle is.
    assert_chain_holds(lost.leaf, bundle, HOST)
    assert_chain_holds(cluster.secret(api, NAME, "web-tls")["tls.crt"], lost.bundle, HOST)

    again = stack.up()
    assert again.changes == {}
    assert_no_private_key(
        {"the state": stack.state_file.read_text(), "what was printed": "".join(stack.printed)},
        keys=[lost.ca["tls.key"]],
    )


def test_a_secret_that_is_there_is_not_overwritten(
    lost: Lost, plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    stack = empty_stack(make_stack, plane)
    path = f"/api/v1/namespaces/{NAME}/secrets/{CA}"
    cluster.patch(api, path, {"stringData": {"tls.crt": "somebody else's"}})
    done = backup(stack, "restore", str(lost.archive))
    refused(done, f"dev/{NAME} Secret {CA} is there with another content than the backup has")
    # Nothing was imported either.
    assert "tls:index" not in stack.must("stack", "export").output
    cluster.patch(api, path, {"stringData": {"tls.crt": lost.ca["tls.crt"]}})


def test_a_backend_that_is_lost_alone_comes_back(
    lost: Lost, plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    stack = empty_stack(make_stack, plane)
    restored = backup(stack, "restore", str(lost.archive))
    assert restored.returncode == 0, restored.stderr
    assert "0 Secrets, 1 were there" in restored.stdout
    run = stack.up("--refresh", "--run-program")
    assert run.changes == {}
    assert same_key(cluster.secret(api, NAME, CA), lost.ca)


def test_a_backup_of_another_stack_is_named(
    lost: Lost, plane: ControlPlane, make_stack: MakeStack
) -> None:
    stack = make_stack("other")
    stack.write(small_stack("other", plane.kubeconfig))
    stack.init()
    refused(backup(stack, "restore", str(lost.archive)), f"is of stack mtls-pki/{NAME}, not of")
