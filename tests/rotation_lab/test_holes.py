"""Changes that would break a connection by another door than the stage, on the real parts.

Each is tried by `check`, a preview and an update, which must refuse it for the same rule and leave
everything as it was: the live leaves still verify under the live bundles, as OpenSSL says.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation.text import instant
from tests.integration.support import cluster
from tests.integration.support.stack import Run
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.unit.pki import material

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-holes"),
    pytest.mark.timeout(900),
]

NAME = "holes"
STABLE = f"{NAME}-ca"
TOMORROW = instant(datetime.now(UTC) + timedelta(days=1))
_CITED = re.compile(r"\[([a-z-]+); docs/rotation\.md#")

Edit = Callable[[Domain], None]


@dataclass(frozen=True, kw_only=True)
class Hole:
    """An edit of the stack file, and the rules that refuse it; ``also`` may be cited besides."""

    edit: Edit
    rules: frozenset[str]
    also: frozenset[str] = frozenset()


def hole(rule: str, edit: Edit, *also: str) -> Hole:
    return Hole(edit=edit, rules=frozenset({rule}), also=frozenset(also))


def of_anchor(generation: str = "g1", **fields: Any) -> Edit:
    return lambda domain: domain.anchors[generation].update(fields)


def of_section(section: str, **fields: Any) -> Edit:
    return lambda domain: domain.values[section].update(fields)


def direct(domain: Domain) -> None:
    domain.anchors["g1"]["pathLength"] = 0
    domain.values["issuing"] |= {"direct": True}
    del domain.values["issuing"]["intermediate"]


def ended(domain: Domain) -> None:
    domain.anchors["g1"].update(validFrom="2025-01-01T00:00:00Z", validFor="48h")
    domain.values["issuing"]["intermediate"] = {"validFor": "24h"}
    domain.values["issuing"]["leaf"] = {"duration": "1h", "renewBefore": "20m"}


def without_namespace(domain: Domain) -> None:
    domain.values["trust"]["namespaces"] = [f"{NAME}-other"]
    domain.values["services"] = {}


def promoted_with_a_shorter_hold_down(domain: Domain) -> None:
    domain.promote()
    domain.values["trust"]["holdDown"] = "1s"


def promoted_without_a_namespace(domain: Domain) -> None:
    domain.promote()
    domain.values["trust"]["namespaces"] = [NAME]


def promoted_before_it_is_valid(domain: Domain) -> None:
    domain.promote()
    domain.anchors["g2"]["validFrom"] = TOMORROW


# While g1 issues and nothing else is trusted.
STEADY = {
    "another subject, the same key": hole(
        "chains-verify", of_anchor(commonName="root.elsewhere.example.org")
    ),
    "a root that begins tomorrow": hole(
        "within-dates", of_anchor(validFrom=TOMORROW), "chains-verify"
    ),
    "a root that ended": hole(
        "within-dates",
        ended,
        "chains-verify",
    ),
    "an issuing CA that begins tomorrow": hole(
        "within-dates", of_section("issuing", intermediate={"validFrom": TOMORROW})
    ),
    "a new issuing CA that begins tomorrow": hole(
        "within-dates",
        of_section("issuing", intermediate={"generation": "i2", "validFrom": TOMORROW}),
    ),
    "leaves directly under a root without room": hole("chains-verify", direct, "issuer-in-use"),
    "another name of the bundle": hole(
        "moved-side-by-side", of_section("trust", name=f"{NAME}-moved")
    ),
    "another key of the bundle": hole("moved-side-by-side", of_section("trust", key="roots.pem")),
    "a namespace with live leaves goes": hole("place-in-use", without_namespace),
    "the stable issuer goes": hole("issuer-in-use", of_section("issuing", stable=False)),
    "another kind of issuers": hole("issuer-in-use", of_section("issuing", kind="ClusterIssuer")),
    "constraints that others' names do not fit": hole(
        "chains-verify",
        of_section(
            "issuing",
            intermediate={"permittedDnsDomains": [f"{NAME}.svc.cluster.local", "example.org"]},
        ),
    ),
    "another trust domain": hole(
        "domain-keeps-its-name", lambda domain: domain.values.update(trustDomain="other.org")
    ),
}

# While g2 is trusted everywhere, for less than the hold-down.
ADDED = {
    "a shorter hold-down in the commit that needs it": hole(
        "bundles-hold-anchor", promoted_with_a_shorter_hold_down
    ),
    "the lagging namespace is dropped by the promotion": hole(
        "one-step-per-update", promoted_without_a_namespace, "bundles-hold-anchor"
    ),
    "an anchor that is promoted before it is valid": hole(
        "within-dates", promoted_before_it_is_valid, "bundles-hold-anchor"
    ),
}


@pytest.fixture(scope="module")
def domain(make_domain: MakeDomain) -> Domain:
    """A domain of two namespaces with a stable issuer, on which another team has a Certificate."""
    domain = make_domain(
        NAME,
        issuing={"kind": "Issuer", "name": STABLE, "intermediate": {}, "stable": True},
        services={"web": {"namespace": NAME, "dnsNames": [f"web.{NAME}.svc.cluster.local"]}},
    )
    domain.values["trust"] |= {"namespaces": [NAME, f"{NAME}-other"], "holdDown": "1h"}
    domain.apply()
    domain.certificate("team", STABLE)
    return domain


@pytest.fixture(scope="module")
def added(domain: Domain) -> Iterator[Domain]:
    """The same domain after g2 was added."""
    with domain.edited():
        domain.add("g2")
        domain.apply()
        yield domain
    domain.apply()


@pytest.mark.parametrize("name", STEADY)
def test_a_hole_is_closed_for_all_who_ask(domain: Domain, name: str) -> None:
    require_refused(domain, STEADY[name])


@pytest.mark.parametrize("name", ADDED)
def test_a_hole_beside_the_promotion_is_closed_for_all_who_ask(added: Domain, name: str) -> None:
    require_refused(added, ADDED[name])


def require_refused(domain: Domain, hole: Hole) -> None:
    before = domain.recorded(), domain.bundle(), domain.leaf("web")["tls.crt"]
    with domain.edited():
        hole.edit(domain)
        check = domain.rotation("check", "--json")
        assert check.returncode == ExitStatus.BLOCKED, check.stdout + check.stderr
        cited = {each["rule"] for each in json.loads(check.stdout)["refusals"]}
        assert hole.rules <= cited <= hole.rules | hole.also
        for run in (domain.preview(), domain.try_apply()):
            assert run.status != 0, run.output
            assert "Traceback" not in run.output, run.output
            assert said(run) == cited, run.output
    assert (domain.recorded(), domain.bundle(), domain.leaf("web")["tls.crt"]) == before
    for service in ("web", "team"):
        require_verifies(domain, service)


def said(run: Run) -> set[str]:
    """The rules that the engine's output cites, outside of the guard's report."""
    lines = (line for line in run.output.splitlines() if "guard report: " not in line)
    return {rule for line in lines for rule in _CITED.findall(line)}


def require_verifies(domain: Domain, service: str) -> None:
    """Assert that OpenSSL accepts a live leaf under the live bundle."""
    with domain.api() as api:
        chain = cluster.secret(api, domain.name, f"{service}-tls")["tls.crt"]
    folder = Path(domain.stack.project)
    (folder / "chain.pem").write_text(chain)
    (folder / "roots.pem").write_text(domain.bundle())
    options = ["-x509_strict", "-CAfile", "roots.pem", "-untrusted", "chain.pem"]
    done = subprocess.run(
        ["openssl", "verify", *options, "chain.pem"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_partner_s_root_is_trusted_beside_the_anchors(domain: Domain) -> None:
    """It is in every bundle, a rotation goes on beside it, and its live leaf holds it."""
    root = material.root("partner", common_name="Root of a partner")
    (domain.stack.project / "partner.pem").write_text(root)
    with domain.edited():
        domain.values["trust"]["partners"] = {"acme": {"certificate": "partner.pem"}}
        domain.apply()
        assert root.strip() in domain.bundle()
        domain.add("g2")
        preview = domain.preview()
        assert preview.status == 0, preview.output
    domain.apply()
    assert root.strip() not in domain.bundle()
