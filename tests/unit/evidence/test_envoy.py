"""Who has sessions open at an Envoy, as its admin port counts them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

import pytest

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.roles import Role
from tests.loopback import serving
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import STAGE, fingerprint, record

CLIENT = "spiffe://example.org/ns/app/sa/web"
CONFIGURED = "type.googleapis.com/envoy.extensions.access_loggers.stats.v3.Config"


def gauge(issuer: str, number: int = 1, client: str = CLIENT) -> str:
    """A line of the gauge, as Envoy writes it."""
    return f'envoy_mtls_sessions{{issuer="{issuer}",client="{client}"}} {number}\n'


@dataclass
class Admin:
    """What an admin port answers."""

    lines: tuple[str, ...] = ()
    configuration: str = CONFIGURED
    status: int = 200
    asked: list[str] = field(default_factory=list)

    def answer(self, target: str) -> str:
        self.asked.append(target)
        if target == "/config_dump":
            return self.configuration
        head = "# TYPE envoy_mtls_sessions gauge\n" if self.lines else ""
        return head + "".join(self.lines)


@contextmanager
def served(admin: Admin) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = admin.answer(self.path).encode()
            self.send_response(admin.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with serving(Handler) as url:
        yield url


def read(stack: Stack, url: str, *, hold: bool = False) -> Evidence:
    stack.dev.objects[STAGE] = record(g1=Role.OUTGOING, g2=Role.ISSUING)
    servers = {"orders": {"admin": url, "cluster": "prod"}}
    settings = stack.settings(consumers__envoy={"servers": servers, "holdForSessions": hold})
    return collect_evidence(settings, sources=sources_of(settings))


def test_sessions_are_under_the_anchor_whose_issuing_ca_the_count_names(stack: Stack) -> None:
    lines = (
        gauge("CN=issuing-g1-i1.example.org", 2),
        gauge("CN=issuing-g2-i1.example.org", 1),
        gauge("CN=issuing-g1-i1.elsewhere.org", 5),
        gauge("", 3),
        gauge("CN=issuing-g1-i2.example.org", 0),
    )
    with served(Admin(lines)) as url:
        evidence = read(stack, url)
    first, second = evidence.sessions_under(fingerprint("g1"))
    assert first == second
    assert (first.server, first.client, first.since) == ("orders@prod", CLIENT, None)
    assert len(evidence.sessions_under(fingerprint("g2"))) == 1


def test_a_gauge_that_never_rose_means_that_nobody_is_connected(stack: Stack) -> None:
    admin = Admin()
    with served(admin) as url:
        evidence = read(stack, url, hold=True)
    assert not evidence.unreachable
    assert not evidence.sessions_under(fingerprint("g1"))
    assert admin.asked[-1] == "/config_dump"


@pytest.mark.parametrize(
    ("admin", "words"),
    [
        (Admin(configuration="{}"), "it does not count its sessions"),
        (Admin(status=503), "does not answer as the admin port of an Envoy does (status 503)"),
        (Admin(("<html>",)), "does not answer as the admin port of an Envoy does"),
    ],
)
@pytest.mark.parametrize("hold", [False, True])
def test_a_proxy_that_does_not_tell_is_missing_evidence_only_where_sessions_hold(
    stack: Stack, admin: Admin, words: str, *, hold: bool
) -> None:
    with served(admin) as url:
        evidence = read(stack, url, hold=hold)
    remarks = [remark for each in evidence.reachable for remark in each.remarks]
    errors = [each.error for each in evidence.unreachable]
    assert any(words in each for each in (errors if hold else remarks))
    assert not (remarks if hold else errors)
