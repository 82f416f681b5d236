"""A stack with stand-in API servers, and the reading of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mtls_pki.clusters import local_clock
from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.registry import extensions
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.settings.model import Settings, settings_model
from tests.unit.clusters.api_server import address
from tests.unit.evidence.api import Api, served
from tests.unit.evidence.objects import HTTP_NOW, NOW, bundle
from tests.unit.settings.configuration import changed


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "KUBECONFIG"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_clock, "now", lambda: NOW)


class Stack:
    """A stack of two clusters, ``dev`` and ``prod``, with a bundle of g1 in namespace ``app``."""

    def __init__(self, directory: Path, dev: Api, prod: Api) -> None:
        self.directory = directory
        self.dev = dev
        self.prod = prod

    def settings(self, **changes: Any) -> Settings:
        reach = {
            name: {"kubeconfig": address(self.directory, api.url, name=name).kubeconfig}
            for name, api in (("dev", self.dev), ("prod", self.prod))
        }
        dotted = {path.replace("__", "."): value for path, value in changes.items()}
        return settings_model(extensions()).model_validate(
            changed({"clusters": reach, **dotted}), context={"owner": "mtls-pki/test"}
        )

    def read(self, **changes: Any) -> Evidence:
        return collect_evidence(self.settings(**changes))

    def connect(self, name: str = "dev") -> Cluster:
        api = self.dev if name == "dev" else self.prod
        return Cluster(address(self.directory, api.url, name=name))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with ExitStack() as servers:
        apis = [servers.enter_context(served(Api(date=HTTP_NOW))) for _ in range(2)]
        for api in apis:
            api.objects["/api/v1/configmaps"] = [bundle("app", "g1")]
        yield Stack(tmp_path, *apis)
