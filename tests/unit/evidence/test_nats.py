"""Who is connected to a NATS server, as its monitoring port tells."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.notices import notices, who_breaks
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.settings.trust_domain import change_request
from tests.loopback import serving
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import (
    CERTIFICATES,
    NOW,
    REQUESTS,
    STAGE,
    certificate,
    chain,
    fingerprint,
    issuing,
    record,
    request,
)
from tests.unit.pki.material import parsed

USER = "orders.app.svc.cluster.local"


@dataclass
class Monitoring:
    """What one server says of its connections."""

    connections: list[dict[str, Any]] = field(default_factory=list)
    body: str | None = None
    page: int = 1024
    asked: list[str] = field(default_factory=list)

    def answer(self, target: str) -> str:
        self.asked.append(target)
        if self.body is not None:
            return self.body
        start = int(parse_qs(urlsplit(target).query)["offset"][0])
        shown = self.connections[start : start + self.page]
        return json.dumps({"total": len(self.connections), "connections": shown})


@contextmanager
def served(monitoring: Monitoring) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = monitoring.answer(self.path).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with serving(Handler) as url:
        yield url


def connection(generation: str = "g1", **more: Any) -> dict[str, Any]:
    return {
        "start": "2026-11-23T06:00:00.123456789Z",
        "authorized_user": USER,
        "tls_version": "1.3",
        "tls_peer_certs": [
            {"subject": "", "spki_sha256": "leaf"},
            {"subject": "CN=x", "spki_sha256": spki_sha256(parsed(issuing(generation)))},
        ],
        **more,
    }


def read(stack: Stack, url: str, *, hold: bool = False) -> Evidence:
    """Evidence of a domain where a leaf of each generation shows its issuing CA."""
    names = ("g1", "g2")
    stack.dev.objects[CERTIFICATES] = [certificate(name) for name in names]
    stack.dev.objects[REQUESTS] = [
        request(chain(name), name=f"{name}-1", certificate=name) for name in names
    ]
    servers = {"orders": {"monitoring": url, "cluster": "prod"}}
    settings = stack.settings(
        consumers__nats={"servers": servers, "holdForSessions": hold},
    )
    return collect_evidence(settings, sources=sources_of(settings))


def test_a_session_is_under_the_anchor_of_the_ca_that_its_client_presented(stack: Stack) -> None:
    with served(Monitoring([connection("g1")])) as url:
        evidence = read(stack, url)
    (session,) = evidence.sessions_under(fingerprint("g1"))
    assert (session.server, session.client) == ("orders@prod", USER)
    assert session.since == datetime(2026, 11, 23, 6, tzinfo=UTC)
    assert not session.holds
    assert evidence.sessions_under(fingerprint("g2")) == ()


def test_where_no_leaf_shows_the_ca_its_name_tells(stack: Stack) -> None:
    """After `promote` no leaf of the old issuing CA is left, and its sessions are what counts."""
    stack.dev.objects[STAGE] = record(g1=Role.OUTGOING, g2=Role.ISSUING)
    presented = [{"subject": "", "spki_sha256": "leaf"}, {"spki_sha256": "unknown"}]
    presented[1]["subject"] = "CN=issuing-g1-i1.example.org"
    with served(Monitoring([connection(tls_peer_certs=presented)])) as url:
        evidence = read(stack, url)
    assert len(evidence.sessions_under(fingerprint("g1"))) == 1
    assert not evidence.sessions_under(fingerprint("g2"))
    # A known key is believed before any name.
    presented[1]["spki_sha256"] = spki_sha256(parsed(issuing("g2")))
    with served(Monitoring([connection(tls_peer_certs=presented)])) as url:
        evidence = read(stack, url)
    assert not evidence.sessions_under(fingerprint("g1"))
    assert len(evidence.sessions_under(fingerprint("g2"))) == 1


def test_all_pages_are_read(stack: Stack) -> None:
    monitoring = Monitoring([connection() for _ in range(5)], page=2)
    with served(monitoring) as url:
        evidence = read(stack, url)
    assert len(evidence.sessions_under(fingerprint("g1"))) == 5
    assert len(monitoring.asked) == 3


def test_a_connection_without_a_certificate_has_nothing_to_do_with_an_anchor(
    stack: Stack,
) -> None:
    plain = {"start": "2026-11-23T06:00:00Z", "name": "probe"}
    with served(Monitoring([plain, connection()])) as url:
        evidence = read(stack, url)
    assert [len(each.sessions) for each in evidence.reachable] == [0, 0, 1]


@pytest.mark.parametrize(
    ("monitoring", "words"),
    [
        (Monitoring(body="<html>"), "does not answer as a monitoring port of NATS does"),
        (Monitoring(body="[]"), "does not answer as a monitoring port of NATS does"),
        (
            Monitoring([{"tls_version": "1.3", "authorized_user": USER}]),
            "NATS 2.10 and later do",
        ),
    ],
)
@pytest.mark.parametrize("hold", [False, True])
def test_a_server_that_does_not_tell_is_missing_evidence_only_where_sessions_hold(
    stack: Stack, monitoring: Monitoring, words: str, *, hold: bool
) -> None:
    with served(monitoring) as url:
        evidence = read(stack, url, hold=hold)
    remarks = [remark for each in evidence.reachable for remark in each.remarks]
    errors = [each.error for each in evidence.unreachable]
    assert any(words in each for each in (errors if hold else remarks))
    assert not (remarks if hold else errors)


def test_a_server_that_is_away_is_named(stack: Stack) -> None:
    (away,) = read(stack, "http://127.0.0.1:1", hold=True).unreachable
    assert "sessions of orders@prod are not seen: http://127.0.0.1:1 does not answer" in away.error


def stages(*roles: Role) -> TrustStage:
    return TrustStage(
        anchors={
            f"g{number}": Anchor(role=role, fingerprint=fingerprint(f"g{number}"))
            for number, role in enumerate(roles, start=1)
        }
    )


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            stages(Role.OUTGOING, Role.ISSUING),
            stages(Role.OUTGOING, Role.ISSUING),
            "2 sessions of orders@prod under g1 since 2026-11-23T06:00:00Z; they stay open when "
            "it leaves",
        ),
        (
            stages(Role.ISSUING, Role.INCOMING),
            stages(Role.COMPROMISED, Role.ISSUING),
            "they stay open although their anchor is distrusted",
        ),
    ],
)
def test_who_must_reconnect_is_listed(
    stack: Stack, old: TrustStage, new: TrustStage, words: str
) -> None:
    with served(Monitoring([connection(), connection(), connection("g2")])) as url:
        evidence = read(stack, url)
    change = replace(change_request(stack.settings(), evidence, old=old, new=new), new=new)
    said = [*notices(change, evidence, NOW), *who_breaks(change, evidence, NOW)]
    (found,) = (each for each in said if each.identifier == "sessions-open")
    assert words in found.message
    assert [each.name for each in found.laggards] == [USER, USER]
