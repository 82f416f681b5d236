"""Anchors that were stolen, that have ended, and that are renewed."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mtls_pki.pki.parsing import CertificateFacts, describe, parse_certificates
from mtls_pki.rotation.text import instant
from tests.integration.support import cluster
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.handshakes import STACKS, Cell, Party

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-steps"),
    pytest.mark.timeout(900),
]

# From the start of the module to the end of the anchor that ends: time enough to apply it.
_ENDS_AFTER = timedelta(seconds=75)
_OLD = timedelta(days=30)


@pytest.fixture(scope="module", autouse=True)
def ending(make_domain: MakeDomain) -> tuple[Domain, datetime]:
    """A domain whose only anchor ends while the other tests of this module run, and its end."""
    lifetime = f"{int((_OLD + _ENDS_AFTER).total_seconds())}s"
    domain = make_domain("ending")
    # Nothing begins to issue that ends before its leaves, so it gets its dates later.
    domain.apply()
    start = datetime.now(UTC).replace(microsecond=0) - _OLD
    domain.add("g1", "issuing", validFrom=instant(start), validFor=lifetime)
    domain.values["issuing"]["intermediate"] = {"validFor": lifetime}
    domain.apply()
    return domain, start + _OLD + _ENDS_AFTER


def test_a_compromised_anchor_is_distrusted_at_once(make_domain: MakeDomain) -> None:
    domain = make_domain("stolen")
    domain.apply()
    domain.add("g2")
    domain.apply()
    stolen, fresh = domain.fingerprint("g1"), domain.fingerprint("g2")
    # No hold-down is waited for.
    domain.anchors["g2"]["role"] = "issuing"
    domain.anchors["g1"]["role"] = "compromised"

    write = f"fingerprint: {stolen}, acceptOutage: true"
    domain.refused(domain.preview(), "Distrusting an anchor now names", write)
    domain.anchors["g1"] |= {"acceptOutage": True, "fingerprint": fresh}
    domain.refused(domain.try_apply(), f"the fingerprint given is {fresh}", write)
    assert domain.recorded().issuing == "g1"

    domain.anchors["g1"]["fingerprint"] = stolen
    preview = domain.preview()
    assert preview.status == 0, preview.output
    assert f"g1 (sha256:{stolen}) is distrusted at once: 1 live leaves" in preview.output
    assert "east/stolen Certificate web: breaks until it is reissued" in preview.output
    domain.apply("--continue-on-error")
    assert domain.anchors_in_bundles() == {fresh}
    chain = parse_certificates(domain.leaf("web")["tls.crt"], origin="web")
    assert describe(chain[0]).issuer.startswith("CN=issuing-g2-")
    with domain.api() as api:
        issuers = cluster.names(api, f"{cluster.CERT_MANAGER}/namespaces/stolen/issuers")
    assert issuers == {domain.issuer("g2")}

    with domain.edited():
        domain.anchors["g1"] = {
            key: value
            for key, value in domain.anchors["g1"].items()
            if key not in ("fingerprint", "acceptOutage")
        } | {"role": "outgoing"}
        domain.refused(domain.preview(), "is never trusted again")
    del domain.anchors["g1"]
    domain.apply()
    assert set(domain.recorded().anchors) == {"g2"}


def test_an_ended_anchor_is_rotated_out(ending: tuple[Domain, datetime]) -> None:
    domain, end = ending
    _wait_until(end)
    said = domain.preview()
    assert said.status == 0, said.output
    assert f"issuing anchor g1 ended at {instant(end)}" in said.output
    domain.add("g2")
    domain.apply()
    domain.hold_down()
    domain.promote()
    domain.apply()
    chain = parse_certificates(domain.leaf("web")["tls.crt"], origin="web")
    assert describe(chain[0]).issuer.startswith("CN=issuing-g2-")
    # Nobody trusts it any more, so its removal waits for nobody.
    domain.retire()
    domain.apply()
    assert domain.anchors_in_bundles() == {domain.fingerprint("g2")}


def _wait_until(moment: datetime) -> None:
    while (left := (moment - datetime.now(UTC)).total_seconds()) >= 0:
        time.sleep(min(left + 0.1, 5))


@pytest.fixture(scope="module")
def renewed(make_domain: MakeDomain) -> Domain:
    """A steady domain whose dates are changed."""
    domain = make_domain("renewed")
    domain.apply()
    return domain


def test_renewing_the_root_changes_its_dates_alone(renewed: Domain) -> None:
    before = _look(renewed)
    renewed.anchors["g1"]["validFor"] = "96360h"
    run = renewed.apply()
    after = _look(renewed)
    _require_same_but_dates(before["root"], after["root"])
    assert before["leaf"] == after["leaf"]
    assert before["revision"] == after["revision"]
    # The bundle, the record and the CA Secret, which presents the chain up to the root.
    assert set(run.changes) == {
        "east-gate",
        "east-renewed-trust-renewed",
        "east/renewed/renewed-ca-g1-i1",
    }
    _require_understanding(before, after)


def test_renewing_the_issuing_ca_changes_its_dates_alone(renewed: Domain) -> None:
    before = _look(renewed)
    renewed.values["issuing"]["intermediate"]["validFor"] = "9000h"
    run = renewed.apply()
    after = _look(renewed)
    _require_same_but_dates(before["issuing CA"], after["issuing CA"])
    assert before["bundle"] == after["bundle"]
    assert before["leaf"] == after["leaf"]
    assert before["revision"] == after["revision"]
    assert set(run.changes) == {"east/renewed/renewed-ca-g1-i1"}
    # What is issued from now on has the new dates above it, and all understand each other.
    with renewed.api() as api:
        path = f"{cluster.CERT_MANAGER}/namespaces/renewed/certificates/web"
        cluster.patch(api, path, {"spec": {"renewBefore": "9h0m0s", "dnsNames": [_HOST, "again"]}})
        cluster.wait_for(
            lambda: api.request("GET", path)["status"]["revision"] > before["revision"],
            "reissued leaf",
        )
    reissued = _look(renewed)
    chain = parse_certificates(reissued["leaf"]["tls.crt"], origin="web")
    assert describe(chain[1]).not_after == after["issuing CA"].not_after
    _require_understanding(before, reissued)


_HOST = "web.renewed.svc.cluster.local"


def _look(domain: Domain) -> dict[str, Any]:
    """What the cluster holds: root, issuing CA, leaf and its revision, bundle."""
    with domain.api() as api:
        authority = cluster.secret(api, domain.name, domain.issuer("g1"))
        live = cluster.certificates(api, domain.name)["web"]
    issuing_ca, root = parse_certificates(authority["tls.crt"], origin="CA Secret")
    bundle = domain.bundle()
    assert describe(root) == describe(parse_certificates(bundle, origin="bundle")[0])
    return {
        "root": describe(root),
        "issuing CA": describe(issuing_ca),
        "bundle": bundle,
        "leaf": domain.leaf("web"),
        "revision": live["status"]["revision"],
    }


def _require_same_but_dates(before: CertificateFacts, after: CertificateFacts) -> None:
    assert before.not_after < after.not_after
    assert before.spki_sha256 == after.spki_sha256
    assert before.subject == after.subject
    assert before.subject_key_id == after.subject_key_id
    assert before.der_sha256 != after.der_sha256


def _require_understanding(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Assert that whoever has the old or the new files, on either side, is understood."""
    parties = [
        Party(chain=leaf["leaf"]["tls.crt"], key=leaf["leaf"]["tls.key"], roots=trust["bundle"])
        for leaf in (before, after)
        for trust in (before, after)
    ]
    cells = [
        Cell(host=_HOST, client=client, server=server) for client in parties for server in parties
    ]
    for shake in STACKS.values():
        assert not any(shake(cells))
