"""What must be there before the first resource is declared."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from mtls_pki.clusters import preflight
from mtls_pki.clusters.connection import ClusterAddress
from mtls_pki.clusters.preflight import Needs, missing_prerequisites
from tests.unit.clusters.api_server import ApiServer, address, serve

NAMESPACES = ["/api/v1/namespaces/monoskope", "/api/v1/namespaces/other"]
NEEDS = Needs(
    api_groups={"cert-manager.io/v1": "install cert-manager"}, namespaces=("monoskope", "other")
)


def needs(_: str) -> Needs:
    return NEEDS


def offer_everything(api: ApiServer) -> None:
    api.served = {*NEEDS.api_groups}
    api.answers |= dict.fromkeys(NAMESPACES, (200, {}))


@pytest.fixture
def apis() -> Iterator[tuple[ApiServer, ApiServer]]:
    with ExitStack() as stack:
        yield stack.enter_context(serve()), stack.enter_context(serve())


def test_a_cluster_that_offers_everything_has_no_problem(api: ApiServer, tmp_path: Path) -> None:
    offer_everything(api)
    assert missing_prerequisites([address(tmp_path, api.url)], needs) == {}
    assert sorted(api.requests) == [*NAMESPACES, "/apis"]


def test_everything_that_is_missing_is_said_with_its_remedy(api: ApiServer, tmp_path: Path) -> None:
    api.answers["/api/v1/namespaces/other"] = (200, {})
    assert missing_prerequisites([address(tmp_path, api.url)], needs) == {
        "dev": (
            "cluster dev: cert-manager.io/v1 is not installed; install cert-manager",
            "cluster dev: namespace monoskope does not exist; create it "
            "(trust.createNamespaces: true makes those of trust.namespaces)",
        )
    }


def test_a_namespace_that_is_ending_is_a_problem_also_where_it_would_be_made(
    api: ApiServer, tmp_path: Path
) -> None:
    offer_everything(api)
    ending = {
        "metadata": {"deletionTimestamp": "2026-11-27T10:00:00Z"},
        "status": {
            "conditions": [
                {"status": "False", "message": "all is well"},
                {"status": "True", "message": "Some content in the namespace has finalizers"},
            ]
        },
    }
    api.answers["/api/v1/namespaces/made"] = (200, ending)
    wanted = replace(NEEDS, created=("made", "not-there-yet"))
    assert missing_prerequisites([address(tmp_path, api.url)], lambda _: wanted) == {
        "dev": (
            "cluster dev: namespace made has been Terminating since 2026-11-27T10:00:00Z (Some "
            "content in the namespace has finalizers); nothing can be created in it: let it end, "
            "and run this again",
        )
    }


def test_every_cluster_is_asked_and_told_of_in_order(
    apis: tuple[ApiServer, ApiServer], tmp_path: Path
) -> None:
    eu, us = apis
    offer_everything(eu)
    us.otherwise = (401, {})
    found = missing_prerequisites(
        [
            address(tmp_path, eu.url, name="eu"),
            address(tmp_path, us.url, name="us"),
            address(tmp_path, "http://127.0.0.1:1", name="away"),
        ],
        needs,
    )
    assert list(found) == ["us", "away"]
    assert found["us"] == (
        "cluster us: the API server does not know these credentials; log in again",
    )
    assert found["away"][0].startswith("cluster away: http://127.0.0.1:1 cannot be reached (")


def test_clusters_are_asked_side_by_side(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Asked one after the other, the first would wait for the second in vain.
    both = threading.Barrier(2, timeout=30)

    def ask(address: ClusterAddress, needs: Needs) -> list[str]:
        both.wait()
        return []

    monkeypatch.setattr(preflight, "_check_one", ask)
    addresses = [address(tmp_path, api.url, name=f"c{number}") for number in range(2)]
    assert missing_prerequisites(addresses, needs) == {}
