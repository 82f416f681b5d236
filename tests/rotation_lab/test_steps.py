"""One rotation, step by step: what each stage allows and refuses, and who understands whom."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.support.stack import Run
from tests.rotation_lab.conftest import MakeDomain
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.handshakes import STACKS, Cell, Party

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("rotation-steps"),
    pytest.mark.timeout(900),
]

NAME = "steps"
TOO_EARLY = "10m"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A previewed edit of one stage; ``refused`` are words of the refusal, empty where allowed."""

    name: str
    stage: str
    edit: Callable[[Domain], None]
    refused: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.name


def _roles(**roles: str | None) -> Callable[[Domain], None]:
    """Give these generations these roles; None removes one."""

    def edit(domain: Domain) -> None:
        for generation, role in roles.items():
            if role is None:
                del domain.anchors[generation]
            elif generation in domain.anchors:
                domain.anchors[generation]["role"] = role
            else:
                domain.add(generation, role)

    return edit


def _early(edit: Callable[[Domain], None]) -> Callable[[Domain], None]:
    """Make the same edit while the hold-down has not passed."""

    def early(domain: Domain) -> None:
        edit(domain)
        domain.values["trust"] = {**domain.values["trust"], "holdDown": TOO_EARLY}

    return early


def _other_key(domain: Domain) -> None:
    domain.anchors["g1"]["keyAlgorithm"] = "P-384"


def _canary(domain: Domain) -> None:
    domain.values["services"]["web"]["anchor"] = "g2"


def _nothing(domain: Domain) -> None:
    """Leave all as it is."""


_TABLE = (
    Case(name="nothing changes", stage="steady", edit=_nothing),
    Case(name="add", stage="steady", edit=_roles(g2="incoming")),
    Case(
        name="swap in one step",
        stage="steady",
        edit=_roles(g1="outgoing", g2="issuing"),
        refused=("never added and starts to issue in one update", "anchors.g2.role"),
    ),
    Case(
        name="two rotations at once",
        stage="steady",
        edit=_roles(g2="incoming", g3="incoming"),
        refused=("One rotation at a time", "g2, g3"),
    ),
    Case(
        name="remove the last anchor",
        stage="steady",
        edit=_roles(g1=None, g2="incoming"),
        refused=("0 anchors have role issuing",),
    ),
    Case(
        name="a new key under the same name",
        stage="steady",
        edit=_other_key,
        refused=("keeps its key for ever", "g1"),
    ),
    Case(
        name="promote before the hold-down",
        stage="added",
        edit=_early(_roles(g1="outgoing", g2="issuing")),
        refused=(
            "has held it for the hold-down",
            f"east/{NAME} ConfigMap {NAME}-trust[ca.crt]",
            "less than the hold-down ago",
            "earliest",
        ),
    ),
    Case(
        name="a canary before the hold-down",
        stage="added",
        edit=_early(_canary),
        refused=("has held it for the hold-down", f"{NAME}/web"),
    ),
    Case(
        name="never issue",
        stage="added",
        edit=_roles(g2="outgoing"),
        refused=("a step is never skipped", "from incoming to outgoing"),
    ),
    Case(
        name="promote and retire at once",
        stage="added",
        edit=_roles(g1=None, g2="issuing"),
        refused=("a step is never skipped", "anchors.g1.role goes from issuing to absent"),
    ),
    Case(name="give up", stage="added", edit=_roles(g2=None)),
    Case(
        name="retire before the hold-down",
        stage="promoted",
        edit=_early(_roles(g1=None)),
        refused=("no live leaf in any cluster needs it", f"east/{NAME} Certificate web"),
    ),
    Case(
        name="the next rotation before this one is finished",
        stage="promoted",
        edit=_roles(g3="incoming"),
        refused=("One rotation at a time", "outgoing: g1"),
    ),
    Case(name="go back", stage="promoted", edit=_roles(g1="issuing", g2="incoming")),
)


@dataclass(kw_only=True)
class Walk:
    """What a whole rotation has shown: previews by case, and each stage's leaf, key and bundle."""

    domain: Domain
    previews: dict[str, Run] = field(default_factory=dict)
    leaves: dict[str, dict[str, str]] = field(default_factory=dict)
    bundles: dict[str, str] = field(default_factory=dict)
    rogue: Run | None = None

    def look(self, stage: str) -> None:
        """Record the stage as it is, and preview every edit that the table has for it."""
        self.leaves[stage] = self.domain.leaf("web")
        self.bundles[stage] = self.domain.bundle()
        for case in _TABLE:
            if case.stage == stage:
                with self.domain.edited():
                    case.edit(self.domain)
                    self.previews[case.name] = self.domain.preview()


@pytest.fixture(scope="module")
def walk(make_domain: MakeDomain) -> Walk:
    """A rotation from g1 to g2, with everything that is looked at on the way."""
    domain = make_domain(NAME)
    walk = Walk(domain=domain)
    domain.apply()
    walk.look("steady")
    domain.add("g2")
    domain.apply()
    walk.look("added")
    domain.hold_down()
    domain.promote()
    domain.apply()
    walk.look("promoted")
    rogue = domain.certificate("rogue", domain.issuer("g1"))
    domain.hold_down()
    domain.retire()
    walk.rogue = domain.try_apply()
    walk.bundles["refused"] = domain.bundle()
    domain.remove(rogue)
    domain.apply()
    walk.look("retired")
    return walk


@pytest.mark.parametrize("case", _TABLE, ids=str)
def test_a_preview_allows_and_refuses_what_the_table_says(walk: Walk, case: Case) -> None:
    run = walk.previews[case.name]
    if not case.refused:
        assert run.status == 0, run.output
        return
    assert run.status != 0, run.output
    assert "Traceback" not in run.output
    missing = [word for word in case.refused if word not in run.output]
    assert not missing, f"{missing} is not in\n{run.output}"


def test_a_rogue_certificate_that_chains_to_the_old_anchor_keeps_it_by_name(walk: Walk) -> None:
    assert walk.rogue is not None
    walk.domain.refused(
        walk.rogue,
        f"east/{NAME} Certificate rogue: chains to g1",
        f"issuer Issuer/{walk.domain.issuer('g1')}",
        "not declared by this stack",
    )
    assert walk.bundles["refused"] == walk.bundles["promoted"]


@pytest.mark.parametrize("stack", STACKS)
def test_who_understands_whom(walk: Walk, stack: str) -> None:
    """Every leaf with every bundle, on both sides: 36 cells, the 4-cell matrix of each step in it.

    Two parties that may meet are at most one step apart, each with the leaf and the bundle of
    either side of that step; all of those cells must hold. All others hold exactly if each side's
    issuer is in the other side's bundle, so the steps that are refused would break them.
    """
    leaves = {"old": walk.leaves["steady"], "new": walk.leaves["retired"]}
    trusts = {"steady": {"old"}, "added": {"old", "new"}, "retired": {"new"}}
    assert walk.bundles["promoted"] == walk.bundles["added"]
    assert walk.leaves["added"] == walk.leaves["steady"]
    assert walk.leaves["promoted"] == walk.leaves["retired"]
    keys = [*itertools.product(leaves, trusts, leaves, trusts)]
    results = STACKS[stack](
        [
            Cell(
                host=f"web.{NAME}.svc.cluster.local",
                client=_party(leaves[client], walk.bundles[client_trust]),
                server=_party(leaves[server], walk.bundles[server_trust]),
            )
            for client, client_trust, server, server_trust in keys
        ]
    )
    held = {key for key, error in zip(keys, results, strict=True) if not error}
    assert held == {
        (client, client_trust, server, server_trust)
        for client, client_trust, server, server_trust in keys
        if server in trusts[client_trust] and client in trusts[server_trust]
    }
    for step in (("steady", "added"), ("added", "promoted"), ("promoted", "retired")):
        for cell in _meetings(step):
            assert cell in held, f"{step}: {cell}"
    # Promotion without the step before it.
    assert not set(_meetings(("steady", "promoted"))) <= held
    assert not set(_meetings(("steady", "retired"))) <= held


def _meetings(step: tuple[str, str]) -> list[tuple[str, str, str, str]]:
    """The cells of a step: leaf and bundle of either of its stages, on either side."""
    leaf = {"steady": "old", "added": "old", "promoted": "new", "retired": "new"}
    bundle = {"steady": "steady", "added": "added", "promoted": "added", "retired": "retired"}
    return [
        (leaf[a], bundle[b], leaf[c], bundle[d]) for a, b, c, d in itertools.product(step, repeat=4)
    ]


def _party(leaf: dict[str, Any], roots: str) -> Party:
    return Party(chain=leaf["tls.crt"], key=leaf["tls.key"], roots=roots)
