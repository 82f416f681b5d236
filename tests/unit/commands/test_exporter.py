"""``mtls-pki exporter``: what Prometheus gets to see of a domain."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from lab import ports
from mtls_pki.clusters.observed_domain import observe_domain
from mtls_pki.commands.exporter_work import Serving
from mtls_pki.errors import CommandError
from mtls_pki.exit_status import ExitStatus
from mtls_pki.pki.certificates import Validity
from mtls_pki.registry import sources_of
from mtls_pki.rotation.roles import Role
from mtls_pki.watch.exposition import LastReading
from mtls_pki.watch.measures import MEASURES
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import (
    CERTIFICATES,
    CONFIG_MAPS,
    NOW,
    REQUESTS,
    STAGE,
    bundle,
    certificate,
    chain,
    fingerprint,
    request,
)
from tests.unit.pki import material
from tests.unit.stack_project import HELD, Project, Say, spread, stage, steady

Values = dict[str, dict[tuple[str, ...], float]]
PAGE = (Path(__file__).parents[3] / "docs/monitoring.md").read_text()


@pytest.fixture
def written(project: Project, tmp_path: Path) -> Callable[[], str]:
    """Read once, and return the text that node-exporter would find."""

    def write() -> str:
        file = tmp_path / "mtls.prom"
        assert project.run("exporter", "--textfile", str(file), "--once") == ExitStatus.DONE
        return file.read_text()

    return write


def values(text: str) -> Values:
    """Values by the labels besides ``domain``, in the order of the page, by metric."""
    order = {measure.name: measure.labels for measure in MEASURES}
    found: Values = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels["domain"] == "example.org"
            labels = tuple(sample.labels[name] for name in order.get(sample.name, ()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def test_a_steady_domain(api: Api, written: Callable[[], str]) -> None:
    steady(api)
    found = values(written())
    assert found["mtls_evidence_up"] == {("dev",): 1}
    assert found["mtls_evidence_timestamp_seconds"] == {("dev",): NOW.timestamp()}
    shown = fingerprint("g1")[:16]
    assert found["mtls_anchor_info"] == {("g1", "issuing", shown): 1}
    assert found["mtls_bundle_holds"] == {("dev", "app", "mesh-trust", "g1"): 1}
    assert found["mtls_bundle_extra_anchors"] == {("dev", "app", "mesh-trust"): 0}
    assert found["mtls_rotation_stage"][("steady",)] == 1
    assert sum(found["mtls_rotation_stage"].values()) == 1
    assert found["mtls_exporter_failed_rounds_total"] == {(): 0}


def test_a_bundle_that_lags_behind_and_a_stranger(
    api: Api, project: Project, written: Callable[[], str]
) -> None:
    spread(api, project)
    project.write(project.read().replace("namespaces: [app]", "namespaces: [app, shop]"))
    api.objects[CONFIG_MAPS] = [
        bundle("app", "g1", managed=(HELD,)),
        bundle("shop", "g1", "g2", "g3", managed=(HELD,)),
    ]
    found = values(written())
    assert found["mtls_bundle_holds"][("dev", "app", "mesh-trust", "g2")] == 0
    assert found["mtls_bundle_holds"][("dev", "shop", "mesh-trust", "g2")] == 1
    assert found["mtls_bundle_extra_anchors"][("dev", "shop", "mesh-trust")] == 1
    assert found["mtls_laggards"][("dev", "promote", "bundles-hold-anchor")] == 1
    assert found["mtls_rotation_blocked"][("promote", "bundles-hold-anchor")] == 1
    assert found["mtls_rotation_stage"][("spreading",)] == 1


@pytest.mark.parametrize(
    ("renewal", "ends", "state"),
    [
        (timedelta(minutes=1), timedelta(minutes=30), "live"),
        (-timedelta(minutes=1), timedelta(minutes=30), "due"),
        (-timedelta(minutes=10), timedelta(minutes=30), "overdue"),
        (-timedelta(days=1), timedelta(days=29), "due"),
        (-timedelta(days=7), timedelta(days=23), "overdue"),
        (None, timedelta(minutes=1), "live"),
    ],
)
def test_how_late_a_leaf_is_depends_on_its_own_lifetime(
    api: Api,
    written: Callable[[], str],
    renewal: timedelta | None,
    ends: timedelta,
    state: str,
) -> None:
    steady(api)
    validity = Validity(NOW - timedelta(days=1), NOW + ends)
    more = {} if renewal is None else {"renewalTime": f"{NOW + renewal:%Y-%m-%dT%H:%M:%SZ}"}
    api.objects[CERTIFICATES] = [certificate("web", **more)]
    api.objects[REQUESTS] = [request(chain("g1", validity), name="web-1", certificate="web")]
    found = values(written())
    assert found["mtls_leaves"] == {("dev", "app", "g1", state): 1}
    earliest = found["mtls_leaf_earliest_not_after_timestamp_seconds"]
    assert earliest == {("dev", "app", "g1"): (NOW + ends).timestamp()}


def test_the_next_step_is_0_when_it_can_be_taken(
    api: Api, project: Project, written: Callable[[], str]
) -> None:
    spread(api, project)
    api.objects[STAGE] = stage(g1=Role.ISSUING, g2=Role.INCOMING)
    found = values(written())
    assert found["mtls_rotation_next_step_earliest_timestamp_seconds"] == {("promote",): 0}
    assert "mtls_rotation_blocked" not in found


def test_a_cluster_that_is_away_keeps_the_time_when_it_was_read(
    api: Api, project: Project, tmp_path: Path
) -> None:
    steady(api)
    reading = LastReading("example.org")

    def take() -> Values:
        settings = project.stack().settings()
        reading.take(observe_domain(settings, sources=sources_of(settings)), seconds=1)
        reading.write(str(tmp_path / "mtls.prom"))
        return values((tmp_path / "mtls.prom").read_text())

    assert take()["mtls_evidence_up"] == {("dev",): 1}
    api.refused[CERTIFICATES] = 403
    found = take()
    assert found["mtls_evidence_up"] == {("dev",): 0}
    assert found["mtls_evidence_timestamp_seconds"] == {("dev",): NOW.timestamp()}


def test_a_round_that_fails_ends_with_what_was_wrong(
    api: Api, project: Project, said: Say, tmp_path: Path
) -> None:
    steady(api)
    api.refused[CERTIFICATES] = 403
    status = project.run("exporter", "--textfile", str(tmp_path / "mtls.prom"), "--once")
    assert status == ExitStatus.EVIDENCE_MISSING
    assert "dev could not be read" in said()[1]


def test_promtool_finds_nothing_to_say(api: Api, written: Callable[[], str]) -> None:
    """Prometheus' own judge of names, units and help texts."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.fail("apt-get install prometheus", pytrace=False)
    steady(api)
    done = subprocess.run(
        [tool, "check", "metrics"], input=written(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_metric_is_on_the_page_with_its_labels() -> None:
    rows = re.findall(r"^\| `(mtls_\w+)` \| (.*?) \|", PAGE, re.M)
    told = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    own = {"mtls_exporter_failed_rounds_total": (), "mtls_exporter_round_duration_seconds": ()}
    assert told == {measure.name: measure.labels for measure in MEASURES} | own


def _files(directory: Path, generation: str = "g1") -> Path:
    """A CA, and a leaf below it for a server and its client; with its key."""
    now = datetime.now(UTC).replace(microsecond=0)
    validity = Validity(now - timedelta(hours=1), now + timedelta(hours=1))
    long = Validity(now - timedelta(hours=2), now + timedelta(hours=2))
    ca = material.root(generation, validity=long)
    leaf = material.leaf(ca, material.key(generation), dns="localhost", validity=validity)
    for name, text in (("ca.crt", ca), ("tls.crt", leaf), ("tls.key", material.key_pem("leaf"))):
        (directory / name).write_text(text)
    return directory


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    files = _files(tmp_path)
    port = ports.choose(None, avoid=())
    serving = Serving(
        address="127.0.0.1",
        port=port,
        certificate=files / "tls.crt",
        key=files / "tls.key",
        client_ca=files / "ca.crt",
    )
    with serving.answering(LastReading("example.org")):
        yield f"https://localhost:{port}/metrics", files


def test_only_a_client_with_a_certificate_is_served(serving: tuple[str, Path]) -> None:
    url, files = serving
    stranger = ssl.create_default_context(cafile=files / "ca.crt")
    with (
        urllib3.PoolManager(ssl_context=stranger) as pool,
        pytest.raises(urllib3.exceptions.HTTPError),
    ):
        pool.request("GET", url, retries=False, timeout=10)
    known = ssl.create_default_context(cafile=files / "ca.crt")
    known.load_cert_chain(files / "tls.crt", files / "tls.key")
    with urllib3.PoolManager(ssl_context=known) as pool:
        text = pool.request("GET", url, retries=False, timeout=10).data.decode()
    assert 'mtls_exporter_failed_rounds_total{domain="example.org"} 0.0' in text


def _served_leaf(port: int, ca: Path, files: Path) -> bytes | None:
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(files / "tls.crt", files / "tls.key")
    with (
        socket.create_connection(("localhost", port), 10) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        # With TLS 1.3 a client learns only by reading that it was refused.
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert connection.recv(15) == b"HTTP/1.0 200 OK"
        return connection.getpeercert(binary_form=True)


def test_a_renewed_leaf_and_another_bundle_are_served_without_a_restart(
    serving: tuple[str, Path], tmp_path: Path
) -> None:
    """Files are replaced as kubelet and cert-manager do it; a half-written one changes nothing."""
    url, files = serving
    port = int(url.split(":")[2].split("/")[0])
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir(), new.mkdir()
    for name in ("ca.crt", "tls.crt", "tls.key"):
        shutil.copy(files / name, old)
    _files(new, "g2")
    first = _served_leaf(port, old / "ca.crt", old)
    (files / "tls.crt").write_text("half of")
    assert _served_leaf(port, old / "ca.crt", old) == first
    shutil.copy(old / "tls.crt", files)
    # The bundle holds both, the new leaf comes, the old anchor goes.
    both = (old / "ca.crt").read_text() + (new / "ca.crt").read_text()
    (files / "ca.crt").write_text(both)
    assert _served_leaf(port, old / "ca.crt", new) == first
    shutil.copy(new / "tls.key", files)
    shutil.copy(new / "tls.crt", files)
    assert _served_leaf(port, new / "ca.crt", old) != first
    shutil.copy(new / "ca.crt", files)
    assert _served_leaf(port, new / "ca.crt", new) != first
    with pytest.raises(ssl.SSLError):
        _served_leaf(port, new / "ca.crt", old)


def test_who_says_nothing_holds_up_nobody(serving: tuple[str, Path]) -> None:
    url, files = serving
    port = int(url.split(":")[2].split("/")[0])
    with socket.create_connection(("localhost", port), 10):
        assert _served_leaf(port, files / "ca.crt", files)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"key": Path("tls.key")}, "--certificate and --key belong together"),
        ({"client_ca": Path("ca.crt")}, "--client-ca needs --certificate and --key"),
        (
            {"certificate": Path("no.crt"), "key": Path("no.key")},
            "cannot serve on 127.0.0.1:",
        ),
        ({"address": "192.0.2.1"}, "see --address, --port"),
    ],
)
def test_what_cannot_be_served_is_told(more: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"certificate": None, "key": None, "client_ca": None} | more
    port = ports.choose(None, avoid=())
    serving = Serving(**{"address": "127.0.0.1", "port": port, **given})
    with (
        pytest.raises(CommandError, match=re.escape(words)),
        serving.answering(LastReading("example.org")),
    ):
        pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--interval", "1 minute"), "write a Go duration"),
        (("--port", "0"), "write a number from 1 to 65535"),
    ],
)
def test_a_wrong_option_is_named(
    project: Project, said: Say, arguments: tuple[str, ...], words: str
) -> None:
    assert project.run("exporter", *arguments) == ExitStatus.WRONG_COMMAND_LINE
    assert words in said()[1]
