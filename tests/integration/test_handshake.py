"""Mutual TLS between processes that have the files a pod would have, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.api import Api
from mtls_pki.pki.certificates import Validity
from tests.integration.support import cluster, mtls
from tests.integration.support.stack import Stack
from tests.unit.pki import material

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

NAMESPACE = "monoskope"
SERVER_NAME = "gateway.monoskope.svc.cluster.local"


@pytest.fixture(scope="module")
def pods(dev_stack: Stack, api: Api, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The mounted files of two services, and of a stranger with the same names."""
    root = tmp_path_factory.mktemp("pods")
    mounted = {
        service: cluster.materialise(
            api,
            NAMESPACE,
            service=service,
            bundle="mesh-trust",
            key="ca.crt",
            directory=root / service,
        )
        for service in ("gateway", "eventstore")
    }
    return {**mounted, "stranger": _stranger(root / "stranger", mounted["gateway"])}


def _stranger(directory: Path, like: Path) -> Path:
    """Files of one who trusts us, and has everything but a key that our anchor certified."""
    directory.mkdir(mode=0o700)
    root = material.root("stranger")
    now = datetime.now(UTC).replace(microsecond=0)
    leaf = material.leaf(
        root,
        material.key("stranger"),
        dns=SERVER_NAME,
        validity=Validity(now - timedelta(hours=1), now + timedelta(hours=1)),
    )
    (directory / "tls.crt").write_text(leaf + root)
    (directory / "tls.key").write_text(material.key_pem("leaf"))
    (directory / "bundle.crt").write_text((like / "bundle.crt").read_text())
    return directory


@pytest.mark.parametrize("client", mtls.CLIENTS)
@pytest.mark.parametrize("server", mtls.SERVERS)
def test_services_of_the_stack_talk_and_refuse_strangers(
    pods: dict[str, Path], server: str, client: str
) -> None:
    with mtls.server(server, pods["gateway"]) as port:
        friend = mtls.call(client, pods["eventstore"], port, SERVER_NAME)
        assert friend.held, friend.reason
        stranger = mtls.call(client, pods["stranger"], port, SERVER_NAME)
        assert not stranger.held
        misdirected = mtls.call(client, pods["eventstore"], port, "other.monoskope.svc")
        assert not misdirected.held
        again = mtls.call(client, pods["eventstore"], port, SERVER_NAME)
        assert again.held, "a refused client must not stop the server"


@pytest.mark.parametrize("client", mtls.CLIENTS)
@pytest.mark.parametrize("server", mtls.SERVERS)
def test_a_service_refuses_a_server_that_the_anchor_does_not_vouch_for(
    pods: dict[str, Path], server: str, client: str
) -> None:
    with mtls.server(server, pods["stranger"]) as port:
        conversation = mtls.call(client, pods["eventstore"], port, SERVER_NAME)
        assert not conversation.held
        assert "verif" in conversation.reason.lower()
