"""Retiring an anchor while leaves of it leave no trace, and while somebody else's hang."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from lab.api import Api
from tests.integration.support import cluster
from tests.integration.support.stack import Run
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.unit.pki import material

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-traces"),
    pytest.mark.timeout(900),
]

NAME = "untraced"
CERTIFICATES = f"{cluster.CERT_MANAGER}/namespaces/{NAME}/certificates"
REQUESTS = f"{cluster.CERT_MANAGER}/namespaces/{NAME}/certificaterequests"
SECRETS = f"/api/v1/namespaces/{NAME}/secrets"
OURS = ("dropped-tls", "renamed-tls", "team-tls")


@dataclass(kw_only=True)
class Walk:
    """A rotation whose teams leave Secrets behind: what refused to retire, and what then did."""

    domain: Domain
    refused: Run
    hung: Run
    retired: Run


def _forget(api: Api, name: str) -> None:
    """Remove the requests of a Certificate, as the revision limit does while a renewal hangs."""
    for each in api.request("GET", REQUESTS)["items"]:
        of = each["metadata"].get("annotations", {}).get("cert-manager.io/certificate-name")
        if of == name:
            api.request("DELETE", f"{REQUESTS}/{each['metadata']['name']}")


def _renew(api: Api, name: str) -> None:
    """Ask for a renewal as ``cmctl renew`` does."""
    path = f"{CERTIFICATES}/{name}"
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "by a test",
        "lastTransitionTime": now,
    }
    held = api.request("GET", path)["status"]["conditions"]
    cluster.patch(api, f"{path}/status", {"status": {"conditions": [*held, condition]}})


def _foreign_issuer(api: Api, name: str) -> None:
    """Make an issuer of somebody else, whose CA Secret was put there by hand."""
    pair = {"tls.crt": material.root(name), "tls.key": material.key_pem(name)}
    kind = "kubernetes.io/tls"
    secret = {"apiVersion": "v1", "kind": "Secret", "type": kind, "stringData": pair}
    api.apply_text(
        f"{SECRETS}/{name}",
        json.dumps({**secret, "metadata": {"name": name, "namespace": NAME}}),
    )
    issuer = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": name, "namespace": NAME},
        "spec": {"ca": {"secretName": name}},
    }
    path = f"{cluster.CERT_MANAGER}/namespaces/{NAME}/issuers/{name}"
    api.apply_text(path, json.dumps(issuer))
    cluster.wait_for(lambda: cluster.is_ready(api.request("GET", path)), f"Ready Issuer {name}")


@pytest.fixture(scope="module")
def walk(make_domain: MakeDomain) -> Walk:
    domain = make_domain(NAME)
    domain.values["services"]["dropped"] = {"namespace": NAME}
    domain.apply()
    g1 = domain.issuer("g1")
    team, renamed, hung = (domain.certificate(each, g1) for each in ("team", "renamed", "hung"))
    with domain.api() as api:
        _foreign_issuer(api, "stranger")
    foreign = domain.certificate("foreign", "stranger")
    # Three Secrets are left behind: of a service, of a team, and of a Certificate that moved on.
    del domain.values["services"]["dropped"]
    domain.apply()
    domain.delete(team)
    with domain.api() as api:
        moved = {"secretName": "renamed-new", "issuerRef": {"name": "stranger", "kind": "Issuer"}}
        cluster.patch(api, renamed, {"spec": moved})
        cluster.wait_for(
            lambda: api.request("GET", renamed)["status"].get("revision") == 2, "second revision"
        )
    domain.add("g2")
    domain.apply()
    domain.hold_down()
    domain.promote()
    domain.apply()
    domain.hold_down()
    with domain.api() as api:
        # One renewal hangs at g1, and its issuerRef moves to a stranger that is not there.
        _forget(api, "hung")
        nobody = {"issuerRef": {"name": "nobody", "kind": "Issuer"}}
        cluster.patch(api, hung, {"spec": nobody})
        # A stranger's renewal hangs too.
        api.request("DELETE", f"{SECRETS}/stranger")
        _forget(api, "foreign")
        _renew(api, "foreign")
    domain.retire()
    refused = domain.try_apply()
    with domain.api() as api:
        for name in OURS:
            api.request("DELETE", f"{SECRETS}/{name}")
    still = domain.try_apply()
    domain.delete(hung)
    with domain.api() as api:
        api.request("DELETE", f"{SECRETS}/hung-tls")
    retired = domain.try_apply()
    with domain.api() as api:
        assert api.exists(foreign)
    return Walk(domain=domain, refused=refused, hung=still, retired=retired)


@pytest.mark.parametrize("name", OURS)
def test_a_secret_that_no_certificate_keeps_holds_its_anchor_by_name(walk: Walk, name: str) -> None:
    walk.domain.refused(
        walk.refused,
        "no live leaf in any cluster needs it",
        f"east/{NAME} Secret {name}: chains to g1, issuer Issuer/{walk.domain.issuer('g1')}",
    )


def test_a_leaf_whose_renewal_hangs_at_a_stranger_holds_the_anchor_of_its_issuance(
    walk: Walk,
) -> None:
    walk.domain.refused(walk.hung, f"east/{NAME} Certificate hung: chains to g1")
    assert "Secret" not in walk.hung.output


def test_a_foreign_certificate_whose_renewal_hangs_holds_nothing(walk: Walk) -> None:
    assert "Certificate foreign" not in walk.refused.output
    assert walk.retired.status == 0, walk.retired.output
