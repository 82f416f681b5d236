"""Whoever acts is judged, and what a refused, failed or killed run leaves is no obstacle."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.support import cluster
from tests.integration.support.killing import up_killed_after
from tests.integration.support.stack import Run
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-way-back"),
    pytest.mark.timeout(900),
]

NAME = "held"
LONG = "10m"
GATE = f"/api/v1/namespaces/cert-manager/configmaps/{NAME}-trust-stage"
BUNDLE = f"/api/v1/namespaces/{NAME}/configmaps/{NAME}-trust"
STATED = ("urn", "protect", "delete", "resourceHooks")


@pytest.fixture(scope="module")
def domain(make_domain: MakeDomain) -> Domain:
    """One cluster in which g2 was added just now; its hold-down outlasts the tests."""
    domain = make_domain(NAME)
    domain.values["trust"]["holdDown"] = LONG
    domain.apply()
    domain.add("g2")
    domain.apply()
    return domain


@pytest.fixture
def promotion(domain: Domain) -> Iterator[Domain]:
    """The domain with the promotion written, too early."""
    with domain.edited():
        domain.promote()
        domain.stack.write(domain.values)
        yield domain
    domain.stack.write(domain.values)


def state(domain: Domain) -> list[dict[str, Any]]:
    """What the engine knows of each resource, but for values, whose secrets it encrypts anew."""
    done = domain.stack.must("stack", "export", "--stack", domain.name)
    exported: dict[str, Any] = json.loads(done.output)["deployment"]
    resources = sorted(exported["resources"], key=lambda each: str(each["urn"]))
    return [{key: each.get(key) for key in STATED} for each in resources]


def by_itself(domain: Domain) -> Run:
    """As `make up` runs it."""
    domain.stack.engine.select_stack(domain.name)
    return domain.stack.try_up()


def plainly(domain: Domain) -> Run:
    """As a person runs it: with the preview before."""
    return domain.stack.command("up", "--yes", "--stack", domain.name)


def without_preview(domain: Domain) -> Run:
    return domain.stack.try_up()


# A refusal comes before anything is made, keys included


def test_a_refused_update_makes_nothing_and_the_file_put_back_applies(domain: Domain) -> None:
    before = state(domain)
    with domain.edited():
        # `rotation add g9` and `rotation promote g9` in one commit, on top of a running rotation.
        domain.add("g9", "issuing")
        domain.anchors["g1"]["role"] = "outgoing"
        domain.stack.write(domain.values)
        for run in (by_itself, plainly, without_preview):
            refused = domain.refused(run(domain), "added-and-issuing")
            assert "created" not in refused
            assert state(domain) == before
    assert domain.apply().changes == {}
    assert state(domain) == before


# Whoever acts is judged


@pytest.mark.parametrize(
    "options",
    [
        ("--target", "**:Certificate::*", "--target", "**:Issuer::*"),
        ("--exclude", "**::east-gate", "--exclude", "**::east-held-trust-held"),
    ],
    ids=" ".join,
)
def test_an_engine_option_does_not_go_around_the_guard(
    promotion: Domain, options: tuple[str, ...]
) -> None:
    leaf = promotion.leaf("web")["tls.crt"]
    preview = promotion.stack.preview(*options)
    promotion.refused(preview, "less than the hold-down ago", "bundles-hold-anchor")
    assert preview.output.count("bundles-hold-anchor]") <= 2  # in the report's line, and once
    promotion.refused(promotion.stack.try_up(*options), "less than the hold-down ago")
    assert promotion.leaf("web")["tls.crt"] == leaf
    with promotion.api() as api:
        issuers = cluster.names(api, f"{cluster.CERT_MANAGER}/namespaces/{NAME}/issuers")
    assert issuers == {promotion.issuer("g1")}


def test_a_record_that_says_more_than_what_happened_opens_nothing(promotion: Domain) -> None:
    """Edited by hand, or written by a run that was killed right afterwards."""
    before = state(promotion)
    with promotion.api() as api:
        recorded = cluster.config_map(api, "cert-manager", f"{NAME}-trust-stage")
        ahead = json.loads(recorded["stage.json"])
        ahead["anchors"]["g1"]["role"] = "outgoing"
        ahead["anchors"]["g2"]["role"] = "issuing"
        text = json.dumps(ahead, sort_keys=True, separators=(",", ":"))
        cluster.patch(api, GATE, {"data": {"stage.json": text}})
        try:
            promotion.refused(promotion.stack.preview(), "less than the hold-down ago")
            # And now a bundle loses g2.
            bundle = promotion.bundle()
            promotion.write_bundle(promotion.roots()[promotion.fingerprint("g1")])
            promotion.refused(promotion.stack.try_up(), "does not hold g2")
            promotion.write_bundle(bundle)
        finally:
            cluster.patch(api, GATE, {"data": {"stage.json": recorded["stage.json"]}})
    assert state(promotion) == before


# Nothing that is needed is deleted or replaced by an option of the engine


IN_USE = ("ConfigMap::east-held-trust-held", "ConfigMap::east-gate", "Certificate::east/held/web")


def test_what_is_in_use_is_not_replaced(domain: Domain) -> None:
    before = state(domain)
    with domain.api() as api:
        objects = cluster.settled_snapshot(api)
        for name in IN_USE:
            replace = ("--replace", f"**{name}")
            domain.refused(domain.stack.try_up(*replace), "is in use", f"{NAME} Certificate web")
        issuer = f"**::east-{domain.issuer('g1')}-{NAME}"
        domain.refused(domain.stack.preview("--replace", issuer), "is in use")
        assert cluster.changed_objects(objects, cluster.snapshot(api)) == set()
    assert state(domain) == before


def test_a_key_on_record_is_not_made_anew(domain: Domain) -> None:
    before = state(domain)
    for run in (domain.stack.preview, domain.stack.try_up):
        domain.refused(run("--replace", "**::g2-key"), "generation-keeps-its-key")
    assert state(domain) == before


def test_what_is_in_use_is_not_destroyed(domain: Domain) -> None:
    before = state(domain)
    with domain.api() as api:
        objects = cluster.settled_snapshot(api)
        for options in (("--target", "**::east-held-trust-held"), ("--skip-preview",)):
            destroy = ("destroy", "--yes", "--stack", NAME, *options)
            alone = domain.stack.command(*destroy)
            assert alone.status != 0
            assert "--run-program" in alone.output
            run = domain.stack.command(*destroy, "--run-program")
            domain.refused(run, "is in use", "abandon: [stack]")
        assert cluster.changed_objects(objects, cluster.snapshot(api)) == set()
    assert state(domain) == before
    assert domain.apply().changes == {}


# The way back after a run that was killed or has failed


def test_the_commit_before_applies_after_a_failure_or_a_kill_and_so_does_going_on(
    make_domain: MakeDomain,
) -> None:
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(10**6)))
    print(f"KILL_SEED={seed}")
    dice = random.Random(seed)  # noqa: S311
    domain = make_domain("back")
    domain.apply()

    def failed() -> object:
        # Nothing is Ready within a second, so it ends between record and Certificates.
        return domain.stack.try_up_in_vain(1).status

    def killed() -> object:
        return up_killed_after(domain.stack, dice.randint(1, 8), dice)

    steps: tuple[tuple[Callable[[], object], tuple[Callable[[], object], ...]], ...] = (
        (lambda: domain.add("g2"), (killed,)),
        (domain.promote, (failed, killed)),
        (domain.retire, (killed,)),
    )
    for step, ends in steps:
        before = copy.deepcopy(domain.values)
        step()
        after = copy.deepcopy(domain.values)
        for end in ends:
            domain.stack.write(after)
            print(f"{step} ended with {end()}")
            domain.values = copy.deepcopy(before)
            domain.stack.engine.select_stack(domain.name)
            domain.apply()
            require_recorded(domain)
            domain.hold_down()
        domain.values = copy.deepcopy(after)
        domain.apply()
        require_recorded(domain)
        domain.hold_down()
    assert domain.apply().changes == {}


def require_recorded(domain: Domain) -> None:
    """Assert that the record and the keys in the state are those of the file."""
    recorded = {g: anchor.role for g, anchor in domain.recorded().anchors.items()}
    assert recorded == {g: each["role"] for g, each in domain.anchors.items()}
    names = {str(each["urn"]).rpartition("::")[2] for each in state(domain)}
    keys = {name for name in names if name.endswith("-key")}
    assert keys == {f"{g}{part}-key" for g in domain.anchors for part in ("", "-i1")}
