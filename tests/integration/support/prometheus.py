"""A real Prometheus and a real Alertmanager, which watch the exporter of a stack."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from lab import ports
from mtls_pki.watch.alerts import rules
from tests.integration.support import cluster
from tests.integration.support.stack import Stack

LOOPBACK = ports.LOOPBACK
OLD_SECONDS = 5
"""After how long evidence is old here; the rules say ten minutes."""

Compressed = Mapping[str, tuple[str, str]]
_ALWAYS: Compressed = {"MtlsEvidenceOld": ("> 600", f"> {OLD_SECONDS}")}


@dataclass
class Watch:
    """What runs, and how it is asked."""

    prometheus: str
    alertmanager: str
    directory: Path
    process: subprocess.Popen[bytes]

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

    def query_range(self, expression: str, *, start: float, end: float) -> list[dict[str, Any]]:
        """The series of the time between, one value a second."""
        fields = {"query": expression, "start": f"{start}", "end": f"{end}", "step": "1"}
        answer = _asked(f"{self.prometheus}/api/v1/query_range", **fields)
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def received(self) -> set[str]:
        """What Alertmanager has, by name."""
        return {
            each["labels"]["alertname"] for each in _asked(f"{self.alertmanager}/api/v2/alerts")
        }

    def require(self, name: str, *, beside: tuple[str, ...] = (), **labels: str) -> None:
        """Wait until an alert fires with these labels, and no other does but those beside it."""
        cluster.wait_for(
            lambda: any(labels.items() <= each.items() for each in self.firing().get(name, ())),
            f"{name} {labels}, but {self.firing()}",
        )
        assert set(self.firing()) <= {name, *beside}, self.firing()
        cluster.wait_for(lambda: name in self.received(), f"{name} in Alertmanager")

    def require_silence(self) -> None:
        cluster.wait_for(lambda: not self.firing(), "silence")

    @contextlib.contextmanager
    def compressed(self, alert: str, own: str, shorter: str) -> Iterator[None]:
        """Let time pass faster for one alert inside: ``own`` of its expression is ``shorter``."""
        self._load({alert: (own, shorter)})
        try:
            yield
        finally:
            self._load({})

    def _load(self, compressed: Compressed) -> None:
        (self.directory / "rules.yaml").write_text(_rules({**_ALWAYS, **compressed}))
        self.process.send_signal(signal.SIGHUP)


@contextlib.contextmanager
def watching(stack: Stack, directory: Path) -> Iterator[Watch]:
    """Start all of it, and wait until the evidence of every cluster is there."""
    directory.mkdir(exist_ok=True)
    chosen: list[int] = []
    for _ in range(4):
        chosen.append(ports.choose(None, avoid=chosen))
    exporter, prometheus, alertmanager, gossip = chosen
    (directory / "rules.yaml").write_text(_rules(_ALWAYS))
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
    with contextlib.ExitStack() as ending:
        ending.enter_context(
            _running(
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
        process = ending.enter_context(
            _running(
                [
                    _tool("prometheus"),
                    f"--config.file={directory / 'prometheus.yaml'}",
                    f"--storage.tsdb.path={directory / 'data'}",
                    f"--web.listen-address={LOOPBACK}:{prometheus}",
                    # After a reload it knows no Alertmanager for a while, and tells it later.
                    "--rules.alert.resend-delay=1s",
                ],
                directory / "prometheus.log",
            )
        )
        own = stack.start_rotation("exporter", "--port", str(exporter), "--interval", "1s")
        ending.callback(own.wait, 20)
        ending.callback(own.terminate)
        found = Watch(
            prometheus=f"http://{LOOPBACK}:{prometheus}",
            alertmanager=f"http://{LOOPBACK}:{alertmanager}",
            directory=directory,
            process=process,
        )
        number = len(stack.read()["clusters"])
        cluster.wait_for(
            _answers(lambda: len(found.query("mtls_evidence_up == 1")) == number), "evidence"
        )
        yield found


def _rules(compressed: Compressed) -> str:
    """The shipped rules, none of which waits, and with time compressed where it says so."""
    document = rules()
    for rule in document["groups"][0]["rules"]:
        rule.pop("for", None)
        own, shorter = compressed.get(rule["alert"], ("", ""))
        assert own in rule["expr"], rule
        rule["expr"] = rule["expr"].replace(own, shorter) if own else rule["expr"]
    return yaml.safe_dump(document)


def _asked(url: str, **fields: str) -> Any:
    return urllib3.request("GET", url, fields=fields or None, retries=False, timeout=10).json()


def _answers(ask: Callable[[], Any]) -> Callable[[], Any]:
    def asked() -> Any:
        with contextlib.suppress(urllib3.exceptions.HTTPError, ValueError):
            return ask()
        return None

    return asked


@contextlib.contextmanager
def _running(command: list[str | Path], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield process
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
