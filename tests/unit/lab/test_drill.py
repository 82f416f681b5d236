"""The drill: what it applies, how it finds who breaks, and its page."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.drill_fleet import Break, Handshakes, Member, Mounted, handshake, kept, refusals
from lab.drill_page import Drill, Stage, Stale, drill_page
from lab.drill_values import rehearsal
from mtls_pki.pages.markdown import markdown_page
from mtls_pki.pki.certificates import Validity
from mtls_pki.registry import extensions
from mtls_pki.settings.load import load_settings
from mtls_pki.settings.model import Settings
from tests.unit.pki import material
from tests.unit.settings.configuration import changed

AT = datetime(2026, 11, 27, 12, tzinfo=UTC)
KUBECONFIGS = {"dev": Path("/drill/dev"), "eu": Path("/drill/eu"), "us": Path("/drill/us")}


def loaded(values: dict[str, object], directory: Path) -> Settings:
    return load_settings(
        values,
        source="Pulumi.dev.yaml",
        directory=directory,
        owner="mtls-pki/dev",
        secret_keys={"anchors"},
        extensions=extensions(),
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"issuing.intermediate": {"validFor": "26280h", "validFrom": "2026-11-20T00:00:00Z"}},
        {"issuing.direct": True},
        {"clusters": {"eu": {"context": "eu"}, "us": {"context": "us", "clusterDomain": "us"}}},
        {"trust.via": "trust-manager", "trust.endpoints": ["a.example.org:443"]},
        {
            "issuing.backend": "vault",
            "issuing.vault.server": "https://vault.example.org:8200",
            "consumers.istio": {},
        },
        {"issuing.leaf": {"duration": "1440h", "renewBefore": "720h"}, "issuing.stable": True},
    ],
)
def test_the_stack_of_a_drill_is_one_that_is_accepted(
    changes: dict[str, object], tmp_path: Path
) -> None:
    values = changed(changes)
    settings = loaded(values, tmp_path)
    found = rehearsal(settings, values, KUBECONFIGS, at=AT)
    drilled = loaded(dict(found.values), tmp_path)
    assert drilled.services.keys() == settings.services.keys()
    assert tuple(drilled.clusters) == tuple(settings.clusters)
    assert drilled.trust.namespaces == settings.trust.namespaces
    assert drilled.trust.via == settings.trust.via
    assert {each.kubeconfig for each in drilled.clusters.values()} <= {
        str(path) for path in KUBECONFIGS.values()
    }
    assert {drilled.backend_of(name).name for name in drilled.anchors} == {"ca"}


def test_no_key_of_the_stack_comes_in(tmp_path: Path) -> None:
    (tmp_path / "g1.pem").write_text(material.root("g1"))
    issuing = material.issuing("i1", root_pem=material.root("g1"), root_key=material.key_pem("g1"))
    (tmp_path / "i1.pem").write_text(issuing)
    keys = {"certificate": "i1.pem", "privateKey": material.key_pem("i1")}
    anchor = {"role": "issuing", "certificate": "g1.pem", "issuingCa": keys}
    values = changed({"anchors": {"g1": anchor}})
    found = rehearsal(loaded(values, tmp_path), values, KUBECONFIGS, at=AT)
    assert "PRIVATE KEY" not in str(found)
    assert any("made elsewhere (g1)" in line for line in found.left_out)


def _member(name: str, *usages: str) -> Member:
    return Member(
        name=name,
        cluster="dev",
        namespace="app",
        secret=f"{name}-tls",
        dns="localhost",
        usages=usages or ("server auth", "client auth"),
    )


def _mount(directory: Path, generation: str, *trusted: str) -> Mounted:
    """Volumes as kubelet makes them: ``..data`` leads to the present state."""
    now = datetime.now(UTC).replace(microsecond=0)
    validity = Validity(now - timedelta(hours=1), now + timedelta(hours=1))
    ca = material.root(generation)
    leaf = material.leaf(ca, material.key(generation), dns="localhost", validity=validity)
    for volume, files in (
        ("tls", {"tls.crt": leaf, "tls.key": material.key_pem("leaf")}),
        ("trust", {"ca.crt": "".join(map(material.root, trusted))}),
    ):
        place = directory / volume / f"..{generation}-{len(trusted)}"
        place.mkdir(parents=True)
        for name, text in files.items():
            (place / name).write_text(text)
        link = directory / volume / "..data"
        link.unlink(missing_ok=True)
        link.symlink_to(place.name)
    return Mounted(tls=directory / "tls", trust=directory / "trust", key="ca.crt")


def test_a_handshake_says_who_refused(tmp_path: Path) -> None:
    old = _mount(tmp_path / "old", "g1", "g1")
    both = _mount(tmp_path / "both", "g1", "g1", "g2")
    new = _mount(tmp_path / "new", "g2", "g1", "g2")
    assert handshake(old, both, "localhost") is None
    assert handshake(both, new, "localhost") is None
    # A root that signs leaves itself comes along with them.
    refused = "refused: self-signed certificate in certificate chain"
    assert handshake(old, new, "localhost") == f"the client {refused}"
    assert handshake(new, old, "localhost") == f"the server {refused}"
    (old.tls / "..data" / "tls.key").write_text(material.key_pem("another"))
    assert handshake(old, both, "localhost") == (
        "files that OpenSSL does not take: KEY_VALUES_MISMATCH"
    )
    wrong = handshake(both, new, "elsewhere")
    assert wrong is not None
    assert wrong.startswith("the client refused: Hostname mismatch")


def test_who_reads_files_once_breaks_when_the_others_have_moved(tmp_path: Path) -> None:
    members = [_member("a"), _member("b", "server auth")]
    mounted = {each.name: _mount(tmp_path / each.name, "g1", "g1") for each in members}
    old = kept(mounted, tmp_path / "kept")
    assert not refusals(members, old, mounted)
    for each in members:
        shutil.rmtree(tmp_path / each.name)
        _mount(tmp_path / each.name, "g2", "g1", "g2")
    found = refusals(members, old, mounted)
    # `b` has no leaf for a client, so it is never one.
    assert {reason.partition(":")[0] for reason in found} == {"as a client", "as a server"}
    assert found.total() == 2


def test_who_breaks_is_counted(tmp_path: Path) -> None:
    members = [_member("a"), _member("b")]
    mounted = {
        "a": _mount(tmp_path / "a", "g1", "g1"),
        "b": _mount(tmp_path / "b", "g2", "g1", "g2"),
    }
    made, broken = 0, Counter[Break]()
    with Handshakes(members, mounted) as handshakes:
        end = time.monotonic() + 30
        while len(broken) < 2 and time.monotonic() < end:
            more, failed = handshakes.take()
            made, broken = made + more, broken + failed
    assert {(each.client, each.server) for each in broken} == {("a", "b"), ("b", "a")}
    assert made >= broken.total()


def stage(
    step: str, *, handshakes: int = 100, broken: int = 0, waits_for: tuple[str, ...] = ()
) -> Stage:
    failed = Counter({Break("web", "db", "the client refused: expired"): broken} if broken else {})
    return Stage(
        step=step,
        up_seconds=7.25,
        arrived_seconds=1.5,
        ready_seconds=None,
        waits_for=waits_for,
        handshakes=handshakes,
        broken=failed,
    )


def drill(*stages: Stage, finished: bool = True) -> Drill:
    return Drill(
        trust_domain="example.org",
        services=2,
        clusters=("dev",),
        stages=stages,
        finished=finished,
        times=(("hold-down", "10s", "2m"),),
        left_out=("`consumers`",),
        stale=(Stale(started="add", broke_after=None, reasons=Counter()),),
    )


def test_the_page_of_a_good_drill() -> None:
    found = drill(stage("pulumi up", handshakes=0), stage("mtls-pki add g2"))
    page = markdown_page(drill_page(found))
    assert found.good
    assert "none failed" in page
    assert "Who broke" not in page
    row = next(line for line in page.splitlines() if "add g2" in line)
    assert row.count("|") == 7
    assert [cell.strip() for cell in row.split("|")[2:4]] == ["7\\.2 s", "1\\.5 s"]


def test_a_step_that_nobody_watched_is_not_good() -> None:
    found = drill(stage("pulumi up"), stage("mtls-pki add g2", handshakes=0))
    assert not found.good
    assert "Nobody shook hands after `mtls-pki add g2`" in markdown_page(drill_page(found))
    assert not drill(stage("pulumi up")).good


def test_the_page_names_who_broke_and_who_is_waited_for() -> None:
    found = drill(
        stage("pulumi up", handshakes=0),
        stage("mtls-pki promote", broken=3, waits_for=("bundle shop/mesh-trust: no g2",)),
        finished=False,
    )
    page = markdown_page(drill_page(found))
    assert not found.good
    assert "did not come to its end: 3 of 100 handshakes" in page
    assert "**web** to **db**, 3 times after" in page
    assert "the client refused: expired" in page
    assert "bundle shop/mesh-trust: no g2" in page
