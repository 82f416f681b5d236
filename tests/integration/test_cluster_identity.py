"""A name under ``clusters`` reaches the cluster that it reached before, and no two names one."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.backup import backup, refused
from tests.integration.support.configuration import small_stack
from tests.integration.support.stack import Stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("prod")]

NAME = "identity"


@pytest.fixture(scope="module")
def elsewhere(control_planes: tuple[ControlPlane, ...]) -> Iterator[Api]:
    """The administrator of the cluster that the stack has nothing to do with."""
    with contextlib.closing(control_planes[1].api()) as administrator:
        yield administrator


@pytest.fixture(scope="module")
def plane_api(control_planes: tuple[ControlPlane, ...]) -> Iterator[Api]:
    """The administrator of the cluster of the stack."""
    with contextlib.closing(control_planes[0].api()) as administrator:
        yield administrator


@pytest.fixture(scope="module")
def stack(control_planes: tuple[ControlPlane, ...], make_stack: MakeStack) -> Stack:
    """A stack of one cluster, applied."""
    made = make_stack(NAME)
    made.write(small_stack(NAME, control_planes[0].kubeconfig))
    made.init()
    made.up()
    return made


def reach(stack: Stack, **kubeconfigs: Path) -> None:
    clusters = {name: {"kubeconfig": str(path)} for name, path in kubeconfigs.items()}
    stack.write({**stack.read(), "clusters": clusters})


@pytest.mark.parametrize("options", [(), ("--refresh",)], ids=["plain", "refresh"])
def test_nothing_is_written_into_another_cluster_that_a_kubeconfig_reaches(
    stack: Stack,
    control_planes: tuple[ControlPlane, ...],
    elsewhere: Api,
    options: tuple[str, ...],
) -> None:
    before = cluster.settled_snapshot(elsewhere)
    reach(stack, dev=control_planes[1].kubeconfig)
    try:
        run = stack.try_up(*options)
    finally:
        reach(stack, dev=control_planes[0].kubeconfig)
    print(run.output)
    assert cluster.changed_objects(before, cluster.snapshot(elsewhere)) == set()
    assert run.status != 0
    assert "recorded-cluster" in run.output
    assert stack.up().changes == {}


def test_nothing_is_reissued_in_another_cluster(
    stack: Stack, control_planes: tuple[ControlPlane, ...], elsewhere: Api
) -> None:
    before = cluster.settled_snapshot(elsewhere)
    reach(stack, dev=control_planes[1].kubeconfig)
    try:
        done = backup(stack, "reissue", "--failed")
        checked = backup(stack, "check")
    finally:
        reach(stack, dev=control_planes[0].kubeconfig)
    assert "no cluster records a stage of this stack" in checked.stderr
    refused(done, "cluster dev: .* has no record of this stack")
    assert cluster.changed_objects(before, cluster.snapshot(elsewhere)) == set()


def test_reissue_compares_the_cluster_with_the_record(stack: Stack, plane_api: Api) -> None:
    path = f"/api/v1/namespaces/cert-manager/configmaps/{NAME}-trust-stage"
    record = cluster.config_map(plane_api, "cert-manager", f"{NAME}-trust-stage")
    recorded = json.loads(record["domain.json"])
    other = {**recorded, "clusters": {"dev": "of the cluster before"}}
    cluster.patch(plane_api, path, {"data": {"domain.json": json.dumps(other)}})
    try:
        done = backup(stack, "reissue", "--failed")
    finally:
        cluster.patch(plane_api, path, {"data": record})
    refused(done, "recorded for dev is of the cluster before.*write abandon: .cluster/dev.")
    assert backup(stack, "reissue", "--failed").returncode == 0


def test_two_names_of_one_cluster_are_refused_by_all_who_judge(
    stack: Stack, control_planes: tuple[ControlPlane, ...]
) -> None:
    """simple-container-com/api, pull request 230: the wrong context was copied."""
    both = control_planes[0].kubeconfig
    reach(stack, dev=both, dr=both)
    try:
        runs = [stack.preview(), stack.try_up()]
    finally:
        reach(stack, dev=both)
    for run in runs:
        assert run.status != 0
        assert "one-name-per-cluster" in run.output
        assert "dev and dr are one cluster" in run.output
    assert stack.up().changes == {}
