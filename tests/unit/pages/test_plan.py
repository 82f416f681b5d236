"""A plan in every form: what it shows, and that nothing from the clusters is markup."""

from __future__ import annotations

import io
from dataclasses import replace
from html.parser import HTMLParser

from rich.console import Console

from mtls_pki.pages.html import html_page
from mtls_pki.pages.markdown import LONGEST_PAGE, markdown_page
from mtls_pki.pages.plan import plan_page
from mtls_pki.pages.terminal import terminal_page
from mtls_pki.rotation.evidence import ClusterUnreachable, Evidence, IssuerObservation
from mtls_pki.rotation.plan import plan
from mtls_pki.rotation.report import plan_text
from tests.unit.rotation.cases import NOW, bundle, cluster, evidence, leaf, place, request, stage

PROMOTED = stage(g1="outgoing", g2="issuing")


HOSTILE = '<script>alert("x")</script>[bold]|`\x1b[31m'


def hostile_world() -> Evidence:
    issuer = IssuerObservation(
        cluster="dev",
        namespace=None,
        name="mtls-ca-g2",
        kind="ClusterIssuer",
        ready=False,
        reason="Err",
        message=HOSTILE,
        generation="g2",
    )
    there = cluster(
        bundles=[bundle("g1", "g2"), bundle("g1", "g9", at=place(namespace=HOSTILE))],
        leaves=[leaf(HOSTILE, "g1"), leaf("lost", problem=HOSTILE)],
        gate=PROMOTED,
    )
    return evidence(
        replace(there, issuers=(issuer,)), ClusterUnreachable(cluster="eu", error=HOSTILE)
    )


class Tags(HTMLParser):
    """Collects the tags, and the attributes that could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.fetching: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.fetching += [name for name, _ in attrs if name in ("src", "href", "xlink:href")]


def test_the_page_is_self_contained_and_escapes_everything() -> None:
    page = html_page(plan_page(plan(request(PROMOTED, PROMOTED), hostile_world(), now=NOW)))
    parser = Tags()
    parser.feed(page)
    assert "script" not in parser.tags
    assert "svg" in parser.tags
    assert parser.fetching == []
    assert "default-src 'none'" in page
    assert "&lt;script&gt;" in page
    assert "g1, outgoing" in page
    assert "0 of 1 issuers ready" in page


def test_markdown_has_a_timeline_and_takes_no_markup_from_the_clusters() -> None:
    text = markdown_page(plan_page(plan(request(PROMOTED, PROMOTED), hostile_world(), now=NOW)))
    assert "```mermaid\ntimeline\n    title Earliest dates, seen at 2026-11-23T12.00.00Z\n" in text
    assert "<script>" not in text
    assert "\x1b" not in text
    diagram = text.split("```")[1].splitlines()[3:]
    assert all(line.count(":") <= 1 for line in diagram)


def test_a_terminal_shows_texts_from_clusters_as_they_are() -> None:
    whole = plan(request(PROMOTED, PROMOTED), hostile_world(), now=NOW)
    console = Console(width=400, file=io.StringIO())
    with console.capture() as captured:
        console.print(terminal_page(plan_page(whole)))
    text = captured.get()
    assert "[bold]" in text
    assert "\x1b" not in text
    assert "time not computable" in text


def test_every_form_is_deterministic() -> None:
    def whole() -> tuple[str, ...]:
        made = plan(request(PROMOTED, PROMOTED), hostile_world(), now=NOW)
        return plan_text(made), markdown_page(plan_page(made)), html_page(plan_page(made))

    assert whole() == whole()


def test_a_plan_of_many_clusters_fits_into_a_comment() -> None:
    there = (
        cluster(
            f"c{number}",
            bundles=[bundle("g1", "g2", at=place(cluster=f"c{number}", namespace="a" * 60))],
            leaves=[leaf(f"svc-{number}", "g1", cluster=f"c{number}")],
            gate=PROMOTED,
        )
        for number in range(300)
    )
    page = markdown_page(plan_page(plan(request(PROMOTED, PROMOTED), evidence(*there), now=NOW)))
    assert len(page) <= LONGEST_PAGE
    assert "**c0**" in page
    assert "\nand 2" in page
