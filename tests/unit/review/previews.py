"""Previews for the tests of the review: recorded ones, and ones that are made up.

Those in ``digests/`` were printed by the real engine for a real stack on two control planes, and
scrubbed of what the review does not read; tests/rotation_lab/test_review.py records them, and holds
them to what the engine prints today.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mtls_pki.engine.digest import read_preview
from mtls_pki.pages.html import html_page
from mtls_pki.pages.markdown import markdown_page
from mtls_pki.review.page import review_page
from mtls_pki.review.review import Review, review
from mtls_pki.rotation.guard_report import Subject, report_line
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.verdict import Verdict
from tests.unit.rotation.cases import NOW

DIGESTS = Path(__file__).parent / "digests"
NAMES = sorted(path.stem for path in DIGESTS.glob("*.json"))
STACK = "review"


def recorded(name: str) -> dict[str, Any]:
    """The recorded digest of a change."""
    digest: dict[str, Any] = json.loads((DIGESTS / f"{name}.json").read_text())
    return digest


def reviewed(digest: dict[str, Any] | str, commit: str | None = None) -> Review:
    """The review of a digest, or of the recorded one of this name."""
    found = recorded(digest) if isinstance(digest, str) else digest
    return review(read_preview(json.dumps(found)), stack=STACK, commit=commit)


def markdown(digest: dict[str, Any] | str) -> str:
    """The page of a digest as Markdown."""
    return markdown_page(review_page(reviewed(digest)))


def html(digest: dict[str, Any] | str) -> str:
    """The page of a digest as HTML."""
    return html_page(review_page(reviewed(digest)))


def step(
    op: str,
    kind: str,
    name: str,
    *,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A step as the engine prints it; ``old`` and ``new`` are inputs."""
    urn = f"urn:pulumi:{STACK}::mtls-pki::{kind}::{name}"
    provider = f"urn:pulumi:{STACK}::mtls-pki::pulumi:providers:kubernetes::east::id"
    states = {
        key: {"inputs": inputs, "protect": bool(more.get("protect"))}
        for key, inputs in (("oldState", old), ("newState", new))
        if inputs is not None
    }
    return {"op": op, "urn": urn, "provider": provider, **states, **more}


def digest(
    *steps: dict[str, Any],
    said: tuple[tuple[str, str], ...] = (),
    verdicts: tuple[Verdict, ...] = (),
    **subject: Any,
) -> dict[str, Any]:
    """A digest of these steps, of what the guard says, and of further diagnostics.

    Args:
        steps: as ``step`` makes them.
        said: severity and message of each further diagnostic.
        verdicts: of the guard.
        subject: what else the guard's report says.
    """
    spoken = Subject(**{"stage": TrustStage(anchors={}), **subject})
    lines = (("info", report_line(verdicts, spoken, at=NOW)), *said)
    return {
        "config": {},
        "steps": list(steps),
        "diagnostics": [{"severity": severity, "message": text} for severity, text in lines],
    }
