"""A stand-in API server and a connection to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_pki.clusters.connection import Cluster
from tests.unit.clusters.api_server import ApiServer, address, serve


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "KUBECONFIG"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with serve() as server:
        yield server


@pytest.fixture
def cluster(api: ApiServer, tmp_path: Path) -> Cluster:
    return Cluster(address(tmp_path, api.url))
