"""The benchmark's wait for Certificates, where the API server ends watches early."""

from __future__ import annotations

import time

import pytest

from bench import comparison
from bench.comparison import Namespace
from bench.errors import BenchError
from lab.api import Api
from lab.control_plane import ControlPlane

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("stacks"), pytest.mark.timeout(120)]

NAME = "watched"
CERTIFICATE = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {"name": "late", "namespace": NAME},
    "spec": {
        "secretName": "late",
        "dnsNames": ["late.example.org"],
        "issuerRef": {"name": "self", "kind": "Issuer"},
    },
}
ISSUER = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Issuer",
    "metadata": {"name": "self", "namespace": NAME},
    "spec": {"selfSigned": {}},
}


@pytest.fixture
def namespace(plane: ControlPlane, api: Api, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    monkeypatch.setattr(comparison, "_WATCH_SECONDS", 1)
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}})
    issuers = f"/apis/cert-manager.io/v1/namespaces/{NAME}/issuers"
    if not api.exists(f"{issuers}/self"):
        api.request("POST", issuers, ISSUER)
    return Namespace(plane, NAME)


def test_a_watch_that_the_api_server_ended_is_taken_up_again(namespace: Namespace) -> None:
    watch = namespace.ready_watch(["late"])
    # For longer than a watch lives here, so that the API server has ended at least one.
    time.sleep(3)
    namespace.apply([CERTIFICATE])
    watch.wait()
    # What is Ready before it begins counts as well.
    namespace.ready_watch(["late"]).wait()


def test_what_never_becomes_ready_is_named(
    namespace: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_LEAST_PATIENCE_SECONDS", 2.0)
    with pytest.raises(BenchError, match=r"1 Certificates in watched did not become Ready .*never"):
        namespace.ready_watch(["never"]).wait()
