"""Reviews of previews that the real engine made; the unit tests have recordings of the same ones.

``RECORD_DIGESTS=1 pytest tests/rotation_lab/test_review.py`` records them again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.support import cluster
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.previews import DIGESTS, NAME, SERVICES, Previews, outline, record, walk

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-steps"),
    pytest.mark.timeout(900),
]

STATUSES = {
    "first-up": 0,
    "mistake": 5,
    "add": 0,
    "promote-too-early": 3,
    "promote": 0,
    "retire": 0,
}


@pytest.fixture(scope="module")
def previews(make_domain: MakeDomain) -> Previews:
    issuing = {"kind": "Issuer", "name": f"{NAME}-ca", "stable": True, "intermediate": {}}
    domain = make_domain(NAME, clusters=2, services=dict(SERVICES), issuing=issuing)
    recording = "RECORD_DIGESTS" in os.environ
    previews = walk(domain, everything=recording)
    if recording:
        record(previews)
    return previews


def run(
    domain: Domain, *arguments: str, standard_input: str = ""
) -> subprocess.CompletedProcess[str]:
    """``mtls-pki review`` in the stack's project, with the lab's pulumi on PATH."""
    environment = domain.stack.engine.environment()
    environment["PATH"] = f"{domain.stack.engine.pulumi.parent}:{environment['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "mtls_pki", "review", "--stack", NAME, *arguments],
        cwd=domain.stack.project,
        env=environment,
        input=standard_input,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_recordings_are_what_the_engine_prints_today(previews: Previews) -> None:
    for name, printed in previews.printed.items():
        assert outline(printed) == outline((DIGESTS / f"{name}.json").read_text()), name


def test_every_change_has_its_status_and_its_page(previews: Previews, tmp_path: Path) -> None:
    domain = previews.domain
    # The state has the keys of the issuing CAs, so they are what a page could show.
    with domain.api() as api:
        pems = [cluster.secret(api, NAME, domain.issuer(each))["tls.key"] for each in ("g1", "g2")]
    keys = [line for pem in pems for line in pem.splitlines()[1:-1]]
    assert keys
    for name, status in STATUSES.items():
        printed = previews.printed[name]
        html = tmp_path / f"{name}.html"
        done = run(domain, "--preview", "-", "--html", str(html), standard_input=printed)
        assert done.returncode == status, done.stdout + done.stderr
        assert done.stdout.startswith(f"<!-- mtls-pki review: {NAME} -->\n"), name
        for page in (done.stdout, html.read_text()):
            assert "PRIVATE KEY" not in page
            assert not any(line in page for line in keys)


def test_the_command_runs_the_preview_itself(previews: Previews, tmp_path: Path) -> None:
    domain = previews.domain
    markdown, html = tmp_path / "review.md", tmp_path / "review.html"
    with domain.edited():
        domain.retire()
        domain.values["trust"]["holdDown"] = "10m"
        domain.stack.write(domain.values)
        done = run(domain, "--markdown", str(markdown), "--html", str(html), "--commit", "0f3c2a1")
    assert done.returncode == 3, done.stdout + done.stderr
    assert done.stdout == ""
    assert "no-leaf-chains-to-anchor" in markdown.read_text()
    assert "0f3c2a1" in html.read_text()


def test_an_engine_that_does_not_begin_is_a_page_too(previews: Previews) -> None:
    state = previews.domain.stack.engine.backend
    away = state.with_name("away")
    state.rename(away)
    try:
        done = run(previews.domain)
    finally:
        away.rename(state)
    assert done.returncode == 5, done.stdout + done.stderr
    assert "Why the preview failed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
