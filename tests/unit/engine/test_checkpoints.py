"""Which updates may write their state once, and how the engine is told."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mtls_pki.engine import update as updating
from mtls_pki.engine.checkpoints import needs_checkpoints
from mtls_pki.engine.cli import Done
from mtls_pki.engine.digest import Step
from mtls_pki.engine.update import SKIP, Update, update

CERTIFICATE = "kubernetes:cert-manager.io/v1:Certificate"
ISSUER = "kubernetes:cert-manager.io/v1:ClusterIssuer"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 a type
KEY = "tls:index/privateKey:PrivateKey"
GATE, BUNDLE, RELAY = (f"mtls-pki:index:{name}" for name in ("TrustGate", "TrustBundle", "Relay"))


def step(op: str, kind: str, *parents: str, protected: bool = False) -> Step:
    return Step(op=op, kind=kind, name="it", parents=parents, protected=protected)


FINE = [
    *(step(op, CERTIFICATE) for op in ("create", "update", "delete", "replace", "delete-replaced")),
    *(step(op, ISSUER) for op in ("create", "update", "delete", "create-replacement")),
    step("create", CONFIG_MAP, BUNDLE),
    step("create", CONFIG_MAP, GATE),
    step("update", CONFIG_MAP, RELAY),
    step("delete", CONFIG_MAP, RELAY),
    step("create", "kubernetes:core/v1:Namespace"),
    step("update", SECRET),
    step("update", ISSUER, protected=True),
    step("create", GATE),
    step("delete", RELAY),
    step("create", "pulumi:providers:kubernetes"),
    step("update", "pulumi:providers:vault"),
    *(step("same", kind) for kind in (KEY, SECRET, "vault:index/mount:Mount")),
    step("read", "aws:acmpca/certificate:Certificate"),
]
NEEDY = [
    *(step(op, KEY) for op in ("create", "update", "delete", "replace")),
    *(step(op, SECRET) for op in ("create", "delete", "replace", "create-replacement")),
    *(step(op, "vault:index/mount:Mount") for op in ("create", "update", "delete", "replace")),
    step("create", "aws:acmpca/certificate:Certificate"),
    *(step(op, CERTIFICATE, protected=True) for op in ("create", "delete", "replace")),
    step("create", GATE, protected=True),
    # Nothing names one that nobody declares.
    step("create", CONFIG_MAP),
    step("create", CONFIG_MAP, RELAY),
    step("create", "kubernetes:rbac.authorization.k8s.io/v1:Role"),
    step("replace", "pulumi:providers:kubernetes"),
    *(step(op, CERTIFICATE) for op in ("import", "discard", "a step of a later engine")),
]


@pytest.mark.parametrize("one", FINE, ids=lambda each: f"{each.op}-{each.kind}")
def test_what_can_be_made_again_over_itself_needs_none(one: Step) -> None:
    assert needs_checkpoints([one]) == []


@pytest.mark.parametrize("one", NEEDY, ids=lambda each: f"{each.op}-{each.kind}")
def test_one_thing_that_could_be_lost_needs_them_all(one: Step) -> None:
    (reason,) = needs_checkpoints([*FINE, one])
    assert reason.endswith(" it")


class Engine:
    """Stands for ``pulumi``: previews end with these events."""

    def __init__(self, *steps: Mapping[str, Any]) -> None:
        self.steps = steps
        self.statuses = [0, 0]
        self.knows = f"{SKIP}   Skip saving state checkpoints"
        self.ran: list[tuple[str, ...]] = []
        self.skipped = False

    def attach(self, *arguments: str, environment: Mapping[str, str] | None = None) -> int:
        self.ran.append(arguments)
        if "--event-log" in arguments:
            log = Path(arguments[arguments.index("--event-log") + 1])
            events = ({"resourcePreEvent": {"metadata": each}} for each in self.steps)
            log.write_text("".join(json.dumps(each) + "\n" for each in events))
        if arguments[0] == "up":
            # Never what is in the environment already.
            self.skipped = {"true": True, "false": False}[(environment or {})[SKIP]]
        return self.statuses.pop(0)

    def run(self, *arguments: str) -> Done:
        assert arguments == ("about", "env")
        return Done(status=0, output=self.knows)


def event(op: str, kind: str) -> dict[str, Any]:
    return {"op": op, "urn": f"urn:pulumi:dev::mtls-pki::{kind}::it", "old": None, "new": {}}


def run(
    monkeypatch: pytest.MonkeyPatch,
    engine: Engine,
    options: Sequence[str] = (),
    *,
    answer: bool | None = None,
    **more: bool,
) -> tuple[int, list[str]]:
    monkeypatch.setattr(updating, "attach_pulumi", engine.attach)
    monkeypatch.setattr(updating, "run_pulumi", engine.run)
    said: list[str] = []
    confirm = None if answer is None else lambda: bool(answer)
    return update(Update(options=options, confirm=confirm, **more), say=said.append), said


def test_the_update_is_told_after_its_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(event("create", CERTIFICATE), event("same", KEY))
    status, said = run(monkeypatch, engine, ("--stack", "dev", "--continue-on-error"))
    assert (status, engine.skipped) == (0, True)
    previewed, applied = engine.ran
    assert previewed[:3] == ("preview", "--stack", "dev")
    assert "--continue-on-error" not in previewed
    assert applied == ("up", "--stack", "dev", "--continue-on-error", "--yes", "--skip-preview")
    assert said == [
        "the state is written once, at the end: whatever changes here can be made again over itself"
    ]


@pytest.mark.parametrize(
    ("engine", "more", "word"),
    [
        (Engine(event("create", KEY)), {}, "it creates PrivateKey it"),
        (Engine(event("create", CERTIFICATE)), {"every_checkpoint": True}, ""),
        (Engine(event("same", CERTIFICATE)), {}, ""),
    ],
    ids=["a key", "turned off", "no change"],
)
def test_else_every_checkpoint_is_written(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, more: dict[str, bool], word: str
) -> None:
    status, said = run(monkeypatch, engine, **more)
    assert (status, engine.skipped) == (0, False)
    assert word in " ".join(said)
    assert len(engine.ran) == 2


def promotion(count: int, op: str = "create") -> list[dict[str, Any]]:
    """A new CA Secret, and Certificates that move to its issuer."""
    secret = {**event(op, SECRET), "urn": f"urn:pulumi:dev::mtls-pki::{SECRET}::ca"}
    moving = [event("update", CERTIFICATE) for _ in range(count)]
    return [secret, event("update", CONFIG_MAP), *moving]


def test_many_certificates_follow_in_an_update_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Engine(*promotion(20))
    engine.statuses = [0, 0, 0]
    status, said = run(monkeypatch, engine, ("--stack", "dev"))
    assert (status, engine.skipped) == (0, True)
    _, first, second = engine.ran
    assert [first[n + 1] for n, part in enumerate(first) if part == "--target"] == [
        f"urn:pulumi:dev::mtls-pki::{CONFIG_MAP}::it",
        f"urn:pulumi:dev::mtls-pki::{SECRET}::ca",
    ]
    assert second == ("up", "--stack", "dev", "--yes", "--skip-preview")
    assert said[0].startswith("two updates: the first writes the state at every step (it creates ")


def test_a_first_update_that_fails_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(*promotion(20))
    engine.statuses = [0, 1]
    status, _ = run(monkeypatch, engine)
    assert (status, engine.skipped, len(engine.ran)) == (1, False, 2)


@pytest.mark.parametrize(
    ("steps", "options", "more"),
    [
        (promotion(19), (), {}),
        (promotion(20, "delete"), (), {}),
        (promotion(20), ("--target", "**ca"), {}),
        (promotion(20), ("--exclude=**ca",), {}),
        (promotion(20), (), {"every_checkpoint": True}),
    ],
    ids=["few", "something goes", "a target", "an exclusion", "turned off"],
)
def test_else_there_is_one_update(
    monkeypatch: pytest.MonkeyPatch,
    steps: list[dict[str, Any]],
    options: tuple[str, ...],
    more: dict[str, bool],
) -> None:
    engine = Engine(*steps)
    status, _ = run(monkeypatch, engine, options, **more)
    assert (status, engine.skipped, len(engine.ran)) == (0, False, 2)


def test_an_engine_that_does_not_know_it_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(event("create", CERTIFICATE))
    engine.knows = "PULUMI_SKIP_CONFIRMATIONS  something else"
    status, said = run(monkeypatch, engine)
    assert (status, engine.skipped) == (0, False)
    assert "this pulumi does not know" in said[0]


def test_nothing_is_applied_after_a_preview_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(event("create", CERTIFICATE))
    engine.statuses = [255]
    assert run(monkeypatch, engine) == (255, [])


def test_nothing_is_applied_without_a_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(event("create", CERTIFICATE))
    status, _ = run(monkeypatch, engine, answer=False)
    assert status != 0
    assert len(engine.ran) == 1


@pytest.mark.parametrize(
    ("options", "more"), [((), {"skip_preview": True}), (("--strict",), {})], ids=["none", "own"]
)
def test_without_a_preview_here_it_is_the_engines_own(
    monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], more: dict[str, bool]
) -> None:
    engine = Engine()
    status, said = run(monkeypatch, engine, options, **more)
    assert (status, said, engine.skipped) == (0, [], False)
    ((verb, *_),) = engine.ran
    assert verb == "up"
