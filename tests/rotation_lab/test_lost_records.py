"""Messages that lead somewhere: a record that is gone, and a bundle whose age nobody recorded."""

from __future__ import annotations

import json

import pytest

from tests.integration.support import cluster
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-lost"),
    pytest.mark.timeout(900),
]

NAME = "lost"
RECORD = f"/api/v1/namespaces/cert-manager/configmaps/{NAME}-trust-stage"
BUNDLE = f"/api/v1/namespaces/{NAME}/configmaps/{NAME}-trust"


@pytest.fixture(scope="module")
def domain(make_domain: MakeDomain) -> Domain:
    """A domain in which g2 is trusted everywhere for the hold-down."""
    domain = make_domain(NAME)
    domain.apply()
    domain.add("g2")
    domain.apply()
    domain.hold_down()
    return domain


def test_a_record_that_was_deleted_is_written_again_as_the_message_says(domain: Domain) -> None:
    before = domain.recorded()
    domain.delete(RECORD)
    for run in (domain.preview(), domain.try_apply()):
        assert run.status == 0, run.output
        assert "no stage record" in run.output
        assert "`pulumi up --refresh` writes it" in run.output
    with domain.edited():
        domain.promote()
        promotion = domain.try_apply()
        assert promotion.status != 0, promotion.output
        assert "`pulumi up --refresh` writes it" in promotion.output
    domain.apply("--refresh")
    assert domain.recorded() == before


def test_a_bundle_without_a_recorded_age_is_written_again_as_the_message_says(
    domain: Domain,
) -> None:
    with domain.api() as api:
        cluster.patch(api, BUNDLE, {"metadata": {"managedFields": [{}]}})
        with domain.edited():
            domain.promote()
            check = domain.rotation("check")
            assert "the server recorded no time of its last change" in check.stdout
            assert "kubectl apply --server-side --force-conflicts --field-manager" in check.stdout
            live = api.request("GET", BUNDLE)
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": live["metadata"]["name"],
                    "namespace": NAME,
                    "annotations": live["metadata"].get("annotations", {}),
                },
                "data": live["data"],
            }
            api.apply_text(BUNDLE, json.dumps(body), manager="mtls-pki")
            domain.hold_down()
            checked = domain.rotation("check")
            assert checked.returncode == 0, checked.stdout
