"""One message about every Certificate that is not Ready."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mtls_pki.clusters.connection import Cluster, ClusterError
from mtls_pki.clusters.readiness import ABSENT, Key, Waited
from mtls_pki.program.explanations import not_ready_message
from tests.unit.clusters import wire
from tests.unit.clusters.api_server import ApiServer, address, serve

REQUESTS = "/apis/cert-manager.io/v1/namespaces/app/certificaterequests"
PATIENCE = timedelta(minutes=5)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with serve() as api:
        api.answers[REQUESTS] = (200, wire.page(REQUESTS, []))
        api.answers["/apis/cert-manager.io/v1/namespaces/app/issuers/mtls-ca"] = (
            200,
            live("it waits"),
        )
        api.served = {"cert-manager.io/v1"}
        yield api


def live(message: str) -> dict[str, Any]:
    said = {"type": "Ready", "status": "False", "reason": "Pending", "message": message}
    return {
        "metadata": {"namespace": "app", "uid": "uid"},
        "spec": {"issuerRef": {"name": "mtls-ca"}},
        "status": {"conditions": [said]},
    }


def message(
    api: ApiServer, directory: Path, missing: dict[Key, str], **more: ClusterError
) -> list[str]:
    def cause(said: str) -> str | None:
        return "unseal it" if "sealed" in said else None

    return not_ready_message(
        Cluster(address(directory, api.url)),
        Waited(missing=missing, **more),
        20,
        PATIENCE,
        dict.fromkeys(missing, cause),
    ).splitlines()


def certificates(api: ApiServer, count: int, said: str = "waiting") -> dict[Key, str]:
    names = [f"s{number:02}" for number in range(count)]
    for name in names:
        path = f"/apis/cert-manager.io/v1/namespaces/app/certificates/{name}"
        api.answers[path] = (200, live(said))
    return {("app", name): "" for name in names}


def test_ten_are_explained_and_all_are_named(api: ApiServer, tmp_path: Path) -> None:
    head, *lines = message(api, tmp_path, certificates(api, 12))
    assert head == (
        "cluster dev: 12 of 20 Certificates are not Ready, and none became so for 5m0s "
        "(issuing.readyTimeout):"
    )
    assert lines[0].startswith("  Certificate app/s00: Pending: waiting")
    assert lines[10] == "  and 2 more: app/s10, app/s11"
    # One remedy for all of them.
    (remedy,) = lines[11:]
    assert remedy.startswith("What to do: correct what it says and run `pulumi up` again")


def test_what_its_authority_means_is_added(api: ApiServer, tmp_path: Path) -> None:
    head, line, _ = message(api, tmp_path, certificates(api, 1, "Vault is sealed"))
    assert head.startswith("cluster dev: 1 of 20 Certificates is not Ready, ")
    assert line.endswith(". It means: unseal it")


def test_one_that_is_gone_and_one_of_another_signer_say_so(api: ApiServer, tmp_path: Path) -> None:
    ready = live("up to date")
    ready["status"]["conditions"][0]["status"] = "True"
    path = "/apis/cert-manager.io/v1/namespaces/app/certificates/usurped"
    api.answers[path] = (200, ready)
    missing = {("app", "gone"): ABSENT, ("app", "usurped"): "its leaf is of another"}
    _, gone, usurped, *remedies = message(api, tmp_path, missing)
    assert "the API server does not have it any more" in gone
    assert usurped == "  Certificate app/usurped: its leaf is of another"
    assert ["--refresh" in remedies[0], "mtls-pki reissue" in remedies[1]] == [True, True]


def test_a_cluster_that_is_away_is_the_reason(api: ApiServer, tmp_path: Path) -> None:
    away = ClusterError("dev", "it cannot be reached")
    said = message(api, tmp_path, {("app", "web"): ABSENT}, error=away)
    assert said[0].endswith("(issuing.readyTimeout). it cannot be reached")
    assert said[1] == "Remaining: app/web"
    assert api.requests == []


def test_nothing_is_said_where_all_are_ready(api: ApiServer, tmp_path: Path) -> None:
    assert message(api, tmp_path, {}) == []
