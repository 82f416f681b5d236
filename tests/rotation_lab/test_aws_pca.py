"""Rotations of a domain whose leaves AWS Private CA signs, one private CA for each generation.

The CAs are made by ``mtls-pki aws-pca`` on moto's server, kept to AWS's pages (``lab.aws_pca_*``);
the issuer is the real aws-privateca-issuer.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator

import pytest

from lab import aws_pca
from lab.control_plane import ControlPlane
from lab.state import load
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Fleet
from tests.rotation_lab.vault_mount import require_used

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-aws-pca"),
    pytest.mark.timeout(900),
]

NAME = "clouded"
SERVICES = 3
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}


@pytest.fixture(scope="module")
def plane(lab: Lab) -> Iterator[ControlPlane]:
    """A control plane with aws-privateca-issuer, and AWS Private CA beside it."""
    with lab.during(NAME, with_=("aws-privateca-issuer", "aws-pca", "node")) as plane:
        with contextlib.closing(plane.api()) as api:
            manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws"}}
            path = "/api/v1/namespaces/cert-manager/secrets/aws"
            api.apply_text(path, json.dumps({**manifest, "stringData": CREDENTIALS}))
        yield plane


@pytest.fixture(scope="module")
def domain(make_stack: MakeStack, plane: ControlPlane) -> Domain:
    endpoint = aws_pca.endpoint(load(plane.paths.state).ports)
    environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-central-1"}
    domain = Domain(
        NAME,
        make_stack(NAME, environment),
        (plane,),
        anchors={},
        issuing={
            "backend": "aws-pca",
            "name": f"{NAME}-ca",
            "stable": True,
            "leaf": {"duration": "24h", "renewBefore": "8h"},
            "awsPca": {"credentials": {"name": "aws", "namespace": "cert-manager"}},
        },
        services={
            f"service-{number}": {"namespace": NAME, "clusters": [plane.name]}
            for number in range(SERVICES)
        },
    )
    create(domain, "g1")
    domain.apply()
    return domain


@pytest.fixture(scope="module")
def generations() -> Iterator[str]:
    """Names of generations that were not used yet."""
    return (f"g{number}" for number in itertools.count(2))


def create(domain: Domain, generation: str) -> None:
    done = domain.rotation("aws-pca", "create", generation)
    assert done.returncode == 0, done.stderr
    domain.values = domain.stack.read()


def retire(domain: Domain) -> None:
    done = domain.rotation("retire")
    assert done.returncode == 0, done.stderr
    domain.values = domain.stack.read()


def test_the_policy_allows_one_template_of_one_ca(domain: Domain) -> None:
    policy = json.loads(domain.stack.must("stack", "output", "awsPcaPolicy", "--json").output)
    issue, _ = policy["Statement"]
    assert issue["Resource"] == [*domain.values["issuing"]["awsPca"]["authorities"].values()]
    assert issue["Condition"]["StringEquals"]["acm-pca:TemplateArn"] == [
        "arn:aws:acm-pca:::template/BlankEndEntityCertificate_APICSRPassthrough/V1"
    ]


def test_a_generation_that_is_given_up_before_it_issues(
    domain: Domain, fleet: Fleet, generations: Iterator[str]
) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    with fleet.without_failure():
        create(domain, new)
        domain.apply()
        domain.hold_down()
        domain.promote()
        domain.apply()
        domain.hold_down()
        # The commit before: the old one issues again, and the new one stays until its leaves moved.
        domain.anchors[new]["role"], domain.anchors[old]["role"] = "outgoing", "issuing"
        domain.apply()
        domain.hold_down()
        retire(domain)
        domain.apply()
    assert domain.anchors_in_bundles() == {domain.fingerprint(old)}
    assert new not in domain.values["issuing"]["awsPca"]["authorities"]


def test_a_whole_rotation(domain: Domain, fleet: Fleet, generations: Iterator[str]) -> None:
    old, new = domain.in_role("issuing"), next(generations)
    with fleet.without_failure() as handshakes:
        create(domain, new)
        domain.apply()
        domain.hold_down()
        with fleet.meeting():
            domain.promote()
            domain.apply()
        # Another team's, on the issuer of the old generation, which signs as before.
        laggard = domain.certificate(
            "laggard",
            f"{NAME}-ca-{old}-i1-pca",
            kind="AWSPCAClusterIssuer",
            group="awspca.cert-manager.io",
        )
        domain.hold_down()
        retire(domain)
        domain.refused(domain.try_apply(), f"Certificate laggard: chains to {old}")
        domain.remove(laggard)
        domain.apply()
        domain.hold_down()
    require_used(fleet.count(handshakes), f"{old}-i1-pca", f"{new}-i1-pca")
    assert domain.anchors_in_bundles() == {domain.fingerprint(new)}
    assert old not in domain.recorded().anchors


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("AccessDeniedException", "compare its IAM policy"),
        ("ThrottlingException", "too many calls"),
    ],
)
def test_what_aws_refuses_is_named_and_comes_back_when_it_does_not(
    domain: Domain, plane: ControlPlane, code: str, remedy: str
) -> None:
    """The trap of every issuer that others than cert-manager sign for: it waits for an hour."""
    late = [f"{code.lower()}-{number}" for number in range(2)]
    faults = aws_pca.faults(plane.paths)
    with domain.edited() as values:
        values["issuing"]["readyTimeout"] = "10s"
        values["services"] |= {name: {"namespace": NAME} for name in late}
        faults.write_text(json.dumps({"IssueCertificate": code}))
        try:
            failed = domain.try_apply()
            assert failed.status != 0
            assert code in failed.output
            assert remedy in failed.output
            shown = domain.rotation("status").stdout
            assert "2 Certificates could not be issued" in shown
            assert all(f"Certificate {name}" in shown for name in late), shown
            # Still refused: one was tried, and the other is left alone.
            again = domain.rotation("reissue", "--failed")
            assert again.returncode == 1
            assert remedy in again.stderr, again.stderr
            assert "were not touched" in again.stderr
        finally:
            faults.unlink()
        done = domain.rotation("reissue", "--failed")
        assert done.returncode == 0, done.stderr
        assert "2 of 2 reissued" in done.stdout
        domain.apply()
        assert "could not be issued" not in domain.rotation("status").stdout
    domain.apply()
    # cert-manager leaves the Secrets, which another test's retirement would wait for.
    for name in late:
        domain.delete(f"/api/v1/namespaces/{NAME}/secrets/{name}-tls")
