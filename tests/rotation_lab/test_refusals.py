"""What keeps a change of trust from being made: lagging and missing clusters, tampered bundles."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificate
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.unit.pki import material

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-steps"),
    pytest.mark.timeout(900),
]

NAME = "pair"
# Exit status of `check`.
BLOCKED, EVIDENCE_MISSING = 3, 4
BUNDLE = f"{NAME} ConfigMap {NAME}-trust[ca.crt]"


@pytest.fixture(scope="module")
def domain(make_domain: MakeDomain) -> Domain:
    """Two clusters, in which g2 is incoming and could be promoted."""
    domain = make_domain(NAME, clusters=2)
    domain.apply()
    domain.add("g2")
    domain.apply()
    domain.hold_down()
    return domain


@pytest.fixture
def promotion(domain: Domain) -> Iterator[Domain]:
    """The domain with the promotion written and not applied."""
    with domain.edited():
        domain.promote()
        yield domain


def require_nothing_moved(domain: Domain) -> None:
    """Assert that no cluster's gate took the promotion."""
    for name in domain.planes:
        assert domain.recorded(name).issuing == "g1"


def test_a_cluster_that_lags_keeps_all_from_promotion(promotion: Domain) -> None:
    bundle = promotion.bundle("west")
    with tampered(promotion, promotion.roots("west")[promotion.fingerprint("g1")]):
        for run in (promotion.preview(), promotion.try_apply()):
            promotion.refused(
                run,
                "has held it for the hold-down",
                "1 of 2 bundles",
                f"west/{BUNDLE}: does not hold g2",
            )
            assert f"east/{BUNDLE}" not in run.output
        require_nothing_moved(promotion)
        step = next(step for step in promotion.position().steps if step.verb == "promote")
        assert not step.allowed
        assert [laggard.place for laggard in step.laggards] == [f"west/{BUNDLE}"]
        check = promotion.rotation("check")
        assert check.returncode == BLOCKED, check.stdout + check.stderr
        assert f"west/{BUNDLE}" in check.stdout
    assert promotion.bundle("west") == bundle


def test_a_cluster_that_cannot_be_reached_keeps_all_from_promotion(promotion: Domain) -> None:
    west = promotion.planes["west"]
    west.down()
    try:
        check = promotion.rotation("check")
        assert check.returncode == EVIDENCE_MISSING, check.stdout + check.stderr
        assert "west" in check.stdout + check.stderr
        preview = promotion.preview()
        assert "west" in preview.output
        assert "cannot be reached" in preview.output
        applied = promotion.try_apply()
        assert applied.status != 0
        assert "cluster west: https://" in applied.output
        assert "cannot be reached" in applied.output
        assert "Traceback" not in applied.output
        assert promotion.recorded("east").issuing == "g1"
    finally:
        west.up()
    require_nothing_moved(promotion)


def test_a_deleted_bundle_is_named(domain: Domain) -> None:
    path = f"/api/v1/namespaces/{NAME}/configmaps/{NAME}-trust"
    with domain.api("west") as api:
        before = api.request("GET", path)
        domain.delete(path, "west")
        try:
            require_said(domain, f"west/{BUNDLE} is missing", "bundle-problem")
        finally:
            kept = {"name": before["metadata"]["name"]}
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": kept}
            api.request("POST", path.rpartition("/")[0], {**body, "data": before["data"]})
            domain.hold_down()


def test_an_anchor_that_was_swapped_by_hand_is_named(domain: Domain) -> None:
    roots = domain.roots("west")
    foreign = material.root("foreign")
    with tampered(domain, foreign + roots[domain.fingerprint("g2")]):
        require_said(domain, f"west/{BUNDLE} does not hold g1", "bundle-lacks-anchor")
        said = require_said(domain, f"west/{BUNDLE} holds CN=", "bundle-holds-foreign-root")
        assert spki_sha256(parse_certificate(foreign, origin="foreign")) in said


def test_a_foreign_root_that_was_added_is_named(domain: Domain) -> None:
    foreign = material.root("foreign")
    with tampered(domain, domain.bundle("west") + foreign):
        said = require_said(
            domain, "which is no anchor of this domain", "bundle-holds-foreign-root"
        )
        assert spki_sha256(parse_certificate(foreign, origin="foreign")) in said


def require_said(domain: Domain, words: str, identifier: str) -> str:
    """Assert that the next preview, ``status`` and ``check`` say it; return what was previewed."""
    preview = domain.preview()
    assert preview.status == 0, preview.output
    assert words in preview.output
    for command in ("status", "check"):
        said = json.loads(domain.rotation(command, "--json").stdout)
        notices = {each["notice"]: each["message"] for each in said["notices"]}
        assert words in notices.get(identifier, ""), (command, said["notices"])
    return preview.output


@contextlib.contextmanager
def tampered(domain: Domain, pem: str) -> Iterator[None]:
    """Change west's bundle by hand inside, and let the change back have its hold-down."""
    before = domain.bundle("west")
    domain.write_bundle(pem, "west")
    try:
        yield
    finally:
        domain.write_bundle(before, "west")
        domain.hold_down()
