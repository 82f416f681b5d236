"""Whose sessions they are, by the name of the CA that a server tells."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from mtls_pki.clusters.sources.source import KnownTrust
from mtls_pki.consumers.nats.evidence import nats_settings
from mtls_pki.consumers.postgresql.evidence import _rfc4514
from mtls_pki.consumers.sessions import Connection, sessions_of
from mtls_pki.pki.names import read_name
from mtls_pki.rotation.evidence import GateObservation
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from tests.unit.evidence.conftest import Stack
from tests.unit.evidence.objects import NOW, fingerprint
from tests.unit.pki import material
from tests.unit.pki.material import parsed, root


def named(stack: Stack, subject: str, anchors: Iterable[str], **settings: Any) -> set[str]:
    """The anchors to which a session under a CA of this name belongs."""
    servers = {"orders": {"monitoring": "http://127.0.0.1:8222"}}
    read = stack.settings(consumers__nats={"servers": servers}, **settings)
    section = nats_settings(read)
    assert section is not None
    told = Connection(client="web", since=datetime.now(UTC), subjects=(subject,))
    outside = sessions_of(
        read, section, place="(nats)", servers=section.servers, ask=lambda _: [told]
    )
    roles = (Role.OUTGOING, Role.ISSUING)
    stage = TrustStage(
        anchors={
            name: Anchor(role=role, fingerprint=fingerprint(name))
            for name, role in zip(("g1", "g2"), roles, strict=True)
        }
    )
    trust = KnownTrust(
        anchors=tuple(parsed(root(name)) for name in anchors),
        at=NOW,
        gates=(GateObservation(cluster="prod", changed_at=NOW, stage=stage),),
    )
    (session,) = outside.read(trust).sessions
    return set(session.named)


def test_a_root_that_signs_leaves_itself_is_known_by_its_own_name(stack: Stack) -> None:
    name = parsed(root("g1")).subject.rfc4514_string()
    assert named(stack, name, ["g1", "g2"]) == {fingerprint("g1")}
    assert named(stack, "CN=somebody", ["g1", "g2"]) == set()
    assert named(stack, "no name", ["g1", "g2"]) == set()


def brought(directory: Path, **authorities: str) -> dict[str, Any]:
    """Anchors that were brought, each with an issuing CA of this name."""
    changes = {}
    for (generation, name), role in zip(authorities.items(), ("outgoing", "issuing"), strict=True):
        root_file, file = (directory / f"{generation}-{part}.pem" for part in ("root", "ca"))
        root_file.write_text(root(generation))
        file.write_text(
            material.issuing(name, root_pem=root(generation), root_key=material.key_pem(generation))
        )
        pair = {"certificate": str(file), "privateKey": material.key_pem(name)}
        changes[f"anchors__{generation}"] = {
            "role": role,
            "certificate": str(root_file),
            "issuingCa": pair,
        }
    return changes


def test_an_issuing_ca_that_was_brought_is_known_by_its_name(stack: Stack, tmp_path: Path) -> None:
    anchors = brought(tmp_path, g1="corporate-1", g2="corporate-2")
    assert named(stack, "CN=corporate-1.example.org", [], **anchors) == {fingerprint("g1")}


def test_a_name_that_two_generations_share_proves_neither(stack: Stack, tmp_path: Path) -> None:
    anchors = brought(tmp_path, g1="corporate", g2="corporate")
    assert named(stack, "CN=corporate.example.org", [], **anchors) == set()


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("/CN=issuing-g1-i1.example.org", "CN=issuing-g1-i1.example.org"),
        ("/O=Example, Inc/CN=a/b", r"CN=a/b,O=Example\, Inc"),
        ("/C=DE/O=Gebr. Müller + Co", r"O=Gebr. Müller \+ Co,C=DE"),
    ],
)
def test_names_of_postgresql_are_read_whatever_is_in_them(line: str, name: str) -> None:
    assert _rfc4514(line) == name
    assert read_name(name) is not None


def test_a_name_is_the_same_whatever_string_type_it_has() -> None:
    name = x509.Name.from_rfc4514_string("CN=x,O=Example")
    assert read_name(name.rfc4514_string()) == read_name("CN=x,O=Example")
    assert read_name("CN=x") != read_name("O=x")
