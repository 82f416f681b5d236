"""A machine of the stack with a client certificate: declared, issued, renewed and withdrawn."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support.configuration import small_stack
from tests.integration.support.project import PROJECT
from tests.integration.support.secrets import assert_no_private_key
from tests.integration.support.stack import Stack

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("access"),
    pytest.mark.timeout(600),
]

NAME = "accessed"
ISSUERS = "example:access-issuers"
KUBECTL = Path(sys.executable).with_name("kubectl")
ACCESS: dict[str, Any] = {
    "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list"]}],
    "validFor": "1h",
    "renewBefore": "20m",
}


@pytest.fixture(scope="module")
def access_plane(lab: Lab) -> Iterator[ControlPlane]:
    with lab.during("access") as plane:
        yield plane


@pytest.fixture(scope="module")
def admin(access_plane: ControlPlane) -> Iterator[Api]:
    with contextlib.closing(access_plane.api()) as api:
        # `roles` belong to a namespace of the stack's own in this file.
        text = (PROJECT / "deploy/rbac-access-issue.yaml").read_text()
        for manifest in yaml.safe_load_all(text):
            api.apply(manifest)
        yield api


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack, access_plane: ControlPlane, admin: Api) -> Stack:
    stack = make_stack(NAME)
    stack.write(small_stack(NAME, access_plane.kubeconfig))
    stack.init()
    stack.up()
    return stack


def declare(stack: Stack, machine: str, **access: Any) -> None:
    """Write one machine into the stack file; each test has a machine of its own."""
    values = stack.read()
    machines = {**values.get("clientAccess", {}), machine: {**ACCESS, **access}}
    stack.write({**values, "clientAccess": machines})


def withdraw(stack: Stack, machine: str) -> None:
    values = stack.read()
    machines = {name: each for name, each in values["clientAccess"].items() if name != machine}
    del values["clientAccess"]
    stack.write({**values, **({"clientAccess": machines} if machines else {})})


@contextlib.contextmanager
def as_somebody(stack: Stack, plane: ControlPlane, group: str) -> Iterator[None]:
    """The stack's clusters are reached by somebody who is in one group."""
    before = stack.read()
    (cluster,) = before["clusters"]
    kubeconfig = plane.kubeconfig_for("somebody", [group], stack.directory / "somebody")
    stack.write({**before, "clusters": {cluster: {"kubeconfig": str(kubeconfig)}}})
    try:
        yield
    finally:
        stack.write({**stack.read(), "clusters": before["clusters"]})


def issue(stack: Stack, plane: ControlPlane, machine: str) -> str:
    """Submit as one, approve as another, and go on as the first."""
    with as_somebody(stack, plane, ISSUERS):
        waits = stack.rotation("access", "issue", machine)
        assert waits.returncode == 1
        assert "waits for approval" in waits.stderr, waits.stderr
    name = waits.stderr.split("mtls-pki access approve ")[1].split()[0]
    approved = subprocess.run(
        [KUBECTL, "--kubeconfig", plane.kubeconfig, "certificate", "approve", name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert approved.returncode == 0, approved.stderr
    with as_somebody(stack, plane, ISSUERS):
        done = stack.rotation("access", "issue", machine)
        assert done.returncode == 0, done.stderr
    stack.up()
    return done.stderr


def kubeconfig(stack: Stack, machine: str, to: Path) -> Path:
    """The machine's kubeconfig, as its job would get it."""
    shown = stack.must("stack", "output", "kubeconfigs", "--json", "--show-secrets").output
    (text,) = json.loads(shown)[machine].values()
    to.write_text(text)
    return to


def may(kubeconfig: Path) -> bool:
    done = subprocess.run(
        [KUBECTL, "--kubeconfig", kubeconfig, "get", "namespaces"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(kubeconfig.parent)},
    )
    assert done.returncode == 0 or "forbidden" in done.stderr.lower(), done.stderr
    return done.returncode == 0


def test_a_machine_is_given_access_renewed_and_withdrawn(
    stack: Stack, access_plane: ControlPlane, tmp_path: Path
) -> None:
    machine = "deployer"
    declare(stack, machine)
    stack.up()
    assert f"mtls-pki access issue {machine}" in stack.rotation("status").stdout
    told = issue(stack, access_plane, machine)
    assert "k1 is certified until" in told
    first = kubeconfig(stack, machine, tmp_path / "first")
    assert may(first)
    # The key is in the state as a secret, in the output as a secret, and nowhere else.
    texts = {
        "output": stack.must("stack", "output", "--json").output,
        "state": stack.must("stack", "export").output,
    }
    assert_no_private_key(texts)
    assert re.search(rf"{machine} .* k1 .* works", stack.rotation("status").stdout)
    unchanged = stack.preview("--expect-no-changes")
    assert unchanged.status == 0, unchanged.output

    renewed = stack.rotation("access", "renew", machine)
    assert renewed.returncode == 0, renewed.stderr
    assert stack.read()["clientAccess"][machine]["keys"] == ["k1", "k2"]
    stack.up()
    # Until the new key is certified, the old one is what the output hands out.
    assert may(kubeconfig(stack, machine, tmp_path / "between"))
    assert "k2 waits" in stack.rotation("access", "list").stdout
    assert "k2 is certified until" in issue(stack, access_plane, machine)
    second = kubeconfig(stack, machine, tmp_path / "second")
    assert second.read_text() != first.read_text()
    assert may(first)
    assert may(second)

    withdraw(stack, machine)
    stack.up()
    assert not may(first)
    assert not may(second)


def test_issuing_twice_changes_nothing_and_needs_the_stack_first(stack: Stack) -> None:
    machine = "auditor"
    declare(stack, machine, keys=["k7"])
    early = stack.rotation("access", "issue", machine)
    assert early.returncode == 1
    assert "`pulumi up`" in early.stderr
    stack.up()
    done = stack.rotation("access", "issue", machine, "--approve")
    assert done.returncode == 0, done.stderr
    again = stack.rotation("access", "issue", machine)
    assert again.returncode == 0, again.stderr
    assert "k7 is certified until" in again.stderr
    unknown = stack.rotation("access", "issue", "nobody")
    assert unknown.returncode == 1
    assert "clientAccess has no such machine" in unknown.stderr
