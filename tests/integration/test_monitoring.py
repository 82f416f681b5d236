"""The exporter, a real Prometheus and a real Alertmanager, on a stack in which things go wrong."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from lab import ports
from lab.api import Api
from lab.control_plane import ControlPlane
from lab.dashboard import ROWS
from mtls_pki.watch.alerts import rules
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import generated, small_stack
from tests.integration.support.readers import shipped_reader
from tests.integration.support.stack import Stack
from tests.unit.pki import material

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

NAME = "watched"
LOOPBACK = ports.LOOPBACK
# Minutes of the rules are seconds here, and nothing else of them is changed.
OLD_SECONDS = 5


@dataclass
class Watch:
    """What runs, and how it is asked."""

    stack: Stack
    api: Api
    prometheus: str
    alertmanager: str
    kubeconfig: Path

    def firing(self) -> dict[str, list[dict[str, str]]]:
        """Labels of the alerts that fire, by name."""
        found: dict[str, list[dict[str, str]]] = {}
        for alert in _asked(f"{self.prometheus}/api/v1/alerts")["data"]["alerts"]:
            if alert["state"] == "firing":
                found.setdefault(alert["labels"]["alertname"], []).append(alert["labels"])
        return found

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = _asked(f"{self.prometheus}/api/v1/query", query=expression)
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def received(self) -> set[str]:
        """What Alertmanager has, by name."""
        return {
            each["labels"]["alertname"] for each in _asked(f"{self.alertmanager}/api/v2/alerts")
        }

    def require(self, name: str, **labels: str) -> None:
        """Wait until an alert fires with these labels, and no other does."""
        cluster.wait_for(
            lambda: any(labels.items() <= each.items() for each in self.firing().get(name, ())),
            f"{name} {labels}, but {self.firing()}",
        )
        assert set(self.firing()) == {name}
        cluster.wait_for(lambda: name in self.received(), f"{name} in Alertmanager")

    def require_silence(self) -> None:
        cluster.wait_for(lambda: not self.firing(), f"silence, but {self.firing()}")


def _asked(url: str, **fields: str) -> Any:
    return urllib3.request("GET", url, fields=fields or None, retries=False, timeout=10).json()


@contextlib.contextmanager
def running(command: list[str | Path], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail("apt-get install prometheus prometheus-alertmanager", pytrace=False)
    return found


def _rules() -> str:
    """The shipped rules with time compressed."""
    document = rules()
    for rule in document["groups"][0]["rules"]:
        rule.pop("for", None)
        if rule["alert"] == "MtlsEvidenceOld":
            rule["expr"] = rule["expr"].replace("> 600", f"> {OLD_SECONDS}")
            assert f"> {OLD_SECONDS}" in rule["expr"]
    return yaml.safe_dump(document)


@pytest.fixture(scope="module")
def watch(
    plane: ControlPlane,
    api: Api,
    make_stack: MakeStack,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watch]:
    directory = tmp_path_factory.mktemp(NAME)
    stack = make_stack(NAME)
    values = small_stack(
        NAME, plane.kubeconfig, trust={"namespaces": [NAME, f"{NAME}-two"], "holdDown": "1s"}
    )
    stack.write(values)
    stack.init()
    stack.up()
    # The exporter sees the cluster with what deploy/ grants, and no more.
    reader = shipped_reader(plane, directory / "reader", bundle=f"{NAME}-trust")
    link = stack.project / "kubeconfig"
    link.symlink_to(reader)
    stack.write({**values, "clusters": {"dev": {"kubeconfig": "kubeconfig"}}})

    chosen: list[int] = []
    for _ in range(4):
        chosen.append(ports.choose(None, avoid=chosen))
    exporter, prometheus, alertmanager, gossip = chosen
    (directory / "rules.yaml").write_text(_rules())
    scraped = {"job_name": "mtls", "static_configs": [{"targets": [f"{LOOPBACK}:{exporter}"]}]}
    told = {"static_configs": [{"targets": [f"{LOOPBACK}:{alertmanager}"]}]}
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [scraped],
        "alerting": {"alertmanagers": [told]},
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(configuration))
    receiver = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}
    (directory / "alertmanager.yaml").write_text(yaml.safe_dump(receiver))
    options = ("--port", str(exporter), "--interval", "1s")
    with contextlib.ExitStack() as ending:
        ending.enter_context(
            running(
                [
                    _tool("prometheus-alertmanager"),
                    f"--config.file={directory / 'alertmanager.yaml'}",
                    f"--storage.path={directory / 'alertmanager'}",
                    f"--web.listen-address={LOOPBACK}:{alertmanager}",
                    f"--cluster.listen-address={LOOPBACK}:{gossip}",
                ],
                directory / "alertmanager.log",
            )
        )
        ending.enter_context(
            running(
                [
                    _tool("prometheus"),
                    f"--config.file={directory / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address={LOOPBACK}:{prometheus}",
                ],
                directory / "prometheus.log",
            )
        )
        process = stack.start_rotation("exporter", *options)
        ending.callback(process.wait, 20)
        ending.callback(process.terminate)
        found = Watch(
            stack=stack,
            api=api,
            prometheus=f"http://{LOOPBACK}:{prometheus}",
            alertmanager=f"http://{LOOPBACK}:{alertmanager}",
            kubeconfig=link,
        )
        cluster.wait_for(_answers(lambda: found.query("mtls_evidence_up == 1")), "evidence")
        yield found


def _answers(ask: Callable[[], Any]) -> Callable[[], Any]:
    def asked() -> Any:
        with contextlib.suppress(urllib3.exceptions.HTTPError, ValueError):
            return ask()
        return None

    return asked


def bundle_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/{NAME}-trust"


def test_alerts_of_a_rotation_fire_and_fall_silent(watch: Watch, plane: ControlPlane) -> None:
    watch.require_silence()
    api = watch.api
    good = cluster.config_map(api, NAME, f"{NAME}-trust")["ca.crt"]

    # A stranger's anchor.
    stranger = good + material.root("somebody")
    cluster.patch(api, bundle_path(NAME), {"data": {"ca.crt": stranger}})
    watch.require("MtlsStrangerTrusted", cluster="dev", namespace=NAME)
    cluster.patch(api, bundle_path(NAME), {"data": {"ca.crt": good}})
    watch.require_silence()

    # One namespace behind the others.
    values = watch.stack.read()
    values["anchors"]["g2"] = generated("g2", NAME, "incoming")
    as_reader = dict(values["clusters"])
    watch.stack.write({**values, "clusters": {"dev": {"kubeconfig": str(plane.kubeconfig)}}})
    watch.stack.up()
    watch.stack.write({**values, "clusters": as_reader})
    cluster.wait_for(
        lambda: watch.query('mtls_rotation_stage{stage=~"spreading|spread"} == 1'), "g2 seen"
    )
    watch.require_silence()
    both = cluster.config_map(api, f"{NAME}-two", f"{NAME}-trust")["ca.crt"]
    cluster.patch(api, bundle_path(f"{NAME}-two"), {"data": {"ca.crt": good}})
    watch.require("MtlsBundleBehind", namespace=f"{NAME}-two", generation="g2")
    cluster.patch(api, bundle_path(f"{NAME}-two"), {"data": {"ca.crt": both}})
    watch.require_silence()

    # The evidence away: what is known stays, and grows old.
    away = watch.kubeconfig.readlink()
    watch.kubeconfig.unlink()
    watch.kubeconfig.symlink_to(away.with_name("gone"))
    watch.require("MtlsEvidenceOld", cluster="dev")
    watch.kubeconfig.unlink()
    watch.kubeconfig.symlink_to(away)
    watch.require_silence()


# Of a stack like this one: no failure, no session, no machine, nobody behind.
NOTHING_TO_SHOW = {
    "Bundles without an anchor",
    "Open sessions by anchor",
    "Kubeconfigs of machines",
    "What the next step waits for",
    "Next step, at the earliest",
}


def test_every_panel_of_the_dashboard_has_data(watch: Watch) -> None:
    domain = f"{NAME}.example.org"
    for _, panels in ROWS:
        for shown in panels:
            found = watch.query(shown.expression.replace("$domain", domain))
            assert found or shown.title in NOTHING_TO_SHOW, shown.title
