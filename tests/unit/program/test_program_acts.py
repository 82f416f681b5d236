"""Whoever acts is judged: before keys are made, behind the gate, and before a deletion."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pulumi
import pytest
from pulumi import Output

from mtls_pki.clusters.connection import ClusterError
from mtls_pki.components.kubernetes_options import GuardedObject
from mtls_pki.program import deletion, guard, secret_owner
from mtls_pki.program.deletion import DeletionGuard
from mtls_pki.program.hooks import ClusterGuard, KeyGuard
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.guards.deletion import Need, every_leaf, issued_by, kept_by
from mtls_pki.rotation.owned_object import OwnedObject
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.settings.model import Settings
from tests.unit.program.engine import Program, run_code, run_program
from tests.unit.rotation.cases import bundle, cluster, evidence, fingerprint, leaf, place, stage
from tests.unit.settings.configuration import G2, changed, load

STEADY = stage(g1="issuing")
NEXT = G2 | {"validFrom": "2026-11-01T00:00:00Z"}
SPREAD = {"anchors.g2": NEXT}
PROMOTED = {"anchors.g1.role": "outgoing", "anchors.g2": NEXT | {"role": "issuing"}}
BUNDLE = {"metadata": {"namespace": "app", "name": "mesh-trust"}}
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def there(recorded: TrustStage | None = STEADY, *, live: bool = True) -> Evidence:
    """The cluster `dev` with this record."""
    return evidence(
        cluster(
            "dev",
            bundles=[bundle("g1", at=place("dev", "app"))] if recorded else [],
            leaves=[leaf("web", "g1")] if live else [],
            gate=recorded,
        )
    )


Hook = Callable[[pulumi.ResourceHookArgs], Awaitable[None] | None]
Ask = Callable[..., list[str]]


def called(name: str, *, type_: str = CONFIG_MAP, old: Any = None) -> pulumi.ResourceHookArgs:
    return pulumi.ResourceHookArgs(
        urn="urn", id="", name=name, type=type_, new_inputs={}, old_inputs=old
    )


class Hooks:
    """All hooks of one run of a stack with the cluster `dev`."""

    def __init__(self, settings: Settings) -> None:
        self.guard = guard.TrustGuard(settings)
        self.keys = KeyGuard(settings, self.guard)
        self.deletion = DeletionGuard(settings, self.guard)
        self.cluster = ClusterGuard(settings, "dev", self.guard, self.deletion)

    def keep_bundle(self, needed_by: Need = every_leaf) -> None:
        """The configuration asks for the bundle."""
        resource = pulumi.CustomResource(CONFIG_MAP, "dev-mesh-trust-app", {})
        kept = GuardedObject(resource=resource, namespace="app", name="mesh-trust")
        self.deletion.keep("dev", [kept], needed_by=needed_by)


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Calls hooks one after the other; returns what each refused with, or an empty text."""

    def run(
        changes: dict[str, Any],
        seen: Evidence,
        acts: Callable[[Hooks], list[tuple[pulumi.ResourceHook, pulumi.ResourceHookArgs]]],
        *,
        preview: bool = False,
        known: bool = True,
    ) -> list[str]:
        monkeypatch.setattr(guard, "collect_evidence", lambda *_, **__: seen)
        settings = load(changes)
        answers: list[str] = []

        def code() -> None:
            hooks = Hooks(settings)

            async def say() -> bool:
                for hook, args in acts(hooks):
                    try:
                        answer = hook.callback(args)
                        assert answer is not None
                        await answer
                        answers.append("")
                    except pulumi.RunError as error:
                        answers.append(str(error))
                return True

            # Without it, whoever waited for an identity would judge by none.
            if known:
                fingerprints = {g: Output.from_input(fingerprint(g)) for g in settings.anchors}
                hooks.guard.announce(fingerprints, up_refuses=False)
            Output.from_input(asyncio.ensure_future(say())).apply(lambda _: None)

        run_code(code, preview=preview)
        return answers

    return run


@pytest.mark.usefixtures("require_allowed")
def test_a_refused_update_declares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "collect_evidence", lambda *_, **__: there())
    program = Program()
    with pytest.raises(pulumi.RunError, match="refused: "):
        run_program(changed(PROMOTED), into=program)
    assert program.resources == []
    # A preview makes nothing, and shows what would change beside the refusal.
    assert run_program(changed(PROMOTED), preview=True).of("PrivateKey")


@pytest.mark.usefixtures("require_allowed")
def test_a_record_that_is_ahead_of_what_happened_lets_nothing_be_declared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stage does not change, and still the update is refused, as `check` refuses it."""
    ahead = there(stage(g1="outgoing", g2="issuing"))
    monkeypatch.setattr(guard, "collect_evidence", lambda *_, **__: ahead)
    program = Program()
    with pytest.raises(pulumi.RunError, match="bundles-hold-anchor"):
        run_program(changed(PROMOTED), into=program)
    assert program.resources == []


def test_a_cluster_that_only_its_record_knows_is_refused_before_any_key_is_known(ask: Ask) -> None:
    """With `--parallel 1` a hook that waited for a key would wait for ever."""
    (answer,) = ask(
        {}, there(), lambda hooks: [(hooks.cluster.provider, called("dev"))], known=False
    )
    assert "clusters.dev.formerly" in answer
    fresh = there(None, live=False)
    assert ask({}, fresh, lambda hooks: [(hooks.cluster.provider, called("dev"))]) == [""]


def test_a_generation_on_record_gets_no_other_key(ask: Ask) -> None:
    answers = ask(
        SPREAD,
        there(),
        lambda hooks: [(hooks.keys.hook(g), called(f"{g}-key")) for g in ("g1", "g2")],
        known=False,
    )
    assert "generation-keeps-its-key" in answers[0]
    assert answers[1] == ""


def test_what_stands_behind_the_gate_is_judged_without_it(ask: Ask) -> None:
    """As with `--target` of issuers and Certificates, or `--exclude` of the gate."""
    for preview in (True, False):
        answers = ask(
            PROMOTED,
            there(stage(g1="issuing", g2="incoming")),
            lambda hooks: [(hooks.cluster.behind, called(f"cert-{n}")) for n in range(2)],
            preview=preview,
        )
        assert "bundles-hold-anchor" in answers[0]
        assert answers[1] == "refused, for the reasons given for dev"


def test_nothing_is_written_in_a_cluster_without_a_record(ask: Ask) -> None:
    behind = called("dev-mesh-trust-app")
    answers = ask(
        {},
        there(None, live=False),
        lambda hooks: [
            (hooks.cluster.behind, behind),
            (hooks.cluster.gate, called("dev-gate")),
            (hooks.cluster.behind, behind),
        ],
    )
    assert "cluster dev has no record of a stage" in answers[0]
    assert "--exclude" in answers[0]
    assert answers[1:] == ["", ""]


def test_an_engine_option_deletes_nothing_that_a_live_leaf_needs(ask: Ask) -> None:
    def delete(hooks: Hooks) -> list[Any]:
        hooks.keep_bundle()
        assert hooks.deletion.binding is not None
        return [(hooks.deletion.binding, called("dev-mesh-trust-app", old=BUNDLE))]

    (answer,) = ask({}, there(), delete, preview=True)
    assert "ConfigMap app/mesh-trust of cluster dev" in answer
    assert "monoskope Certificate web" in answer
    assert ask({}, there(live=False), delete) == [""]
    for entry in ("cluster/dev", "namespace/app", "bundle/mesh-trust"):
        assert ask({"abandon": [entry]}, there(), delete) == [""], entry
    (answer,) = ask({"abandon": ["namespace/other"]}, there(), delete)
    assert "is in use" in answer


def test_an_issuer_is_needed_by_its_leaves_and_a_certificate_by_its_own(ask: Ask) -> None:
    def delete(needed_by: Need) -> Callable[[Hooks], list[Any]]:
        def acts(hooks: Hooks) -> list[Any]:
            hooks.keep_bundle(needed_by)
            return [(hooks.deletion.binding, called("dev-mesh-trust-app", old=BUNDLE))]

        return acts

    (its_leaf,) = there().leaves
    for need in (issued_by("dev", its_leaf.issuer), kept_by("dev", "monoskope", "web")):
        (answer,) = ask({}, there(), delete(need))
        assert "is in use" in answer
    for no_need in (
        issued_by("dev", "Issuer/other"),
        issued_by("west", its_leaf.issuer),
        kept_by("dev", "monoskope", "db"),
    ):
        assert ask({}, there(), delete(no_need)) == [""]


def test_what_the_configuration_no_longer_asks_for_is_judged_like_the_change(ask: Ask) -> None:
    """Also of a cluster that has left: its hooks are called by a name that every run registers."""

    def delete(hooks: Hooks) -> list[Any]:
        return [(hooks.deletion.binding, called("west-mesh-trust-app", old=BUNDLE))]

    assert ask({}, there(), delete) == [""]
    (answer,) = ask(PROMOTED, there(stage(g1="issuing", g2="incoming")), delete)
    assert "bundles-hold-anchor" in answer


def test_a_renamed_object_is_not_the_one_that_the_configuration_asks_for(ask: Ask) -> None:
    other = {"metadata": {"namespace": "app", "name": "former-trust"}}

    def delete(hooks: Hooks) -> list[Any]:
        hooks.keep_bundle()
        return [(hooks.deletion.binding, called("dev-mesh-trust-app", old=other))]

    assert ask({}, there(), delete) == [""]


THEIRS = OwnedObject(
    cluster="dev", namespace="cert-manager", kind="Secret", name="mtls-ca-g1-i1", owner=None
)
SECRET = {"metadata": {"namespace": "cert-manager", "name": "mtls-ca-g1-i1"}}


def create_secret(hooks: Hooks) -> list[Any]:
    args = called("dev/cert-manager/mtls-ca-g1-i1")
    args.new_inputs = SECRET
    return [(hooks.cluster.secret_owner, args)]


@pytest.mark.parametrize(
    ("found", "changes", "said"),
    [
        (None, {}, ""),
        (replace(THEIRS, owner="mtls-pki/test"), {}, ""),
        (replace(THEIRS, owner="mtls-pki/pay"), {}, "owned by mtls-pki/pay"),
        (THEIRS, {}, f"adopt: [{THEIRS.entry}]"),
        (THEIRS, {"adopt": [THEIRS.entry]}, ""),
        (replace(THEIRS, by_program=True), {}, ""),
    ],
)
def test_a_secret_of_somebody_else_is_not_created_over(
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    found: OwnedObject | None,
    changes: dict[str, Any],
    said: str,
) -> None:
    monkeypatch.setattr(secret_owner, "find_object", lambda *_, **__: found)
    monkeypatch.setattr(secret_owner, "Cluster", lambda _: None)
    (answer,) = ask(changes, there(), create_secret)
    assert said in answer
    assert bool(answer) == bool(said)


def test_a_secret_that_cannot_be_seen_is_created_only_where_an_issuer_proves_it(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise ClusterError("dev", "reading is forbidden")

    monkeypatch.setattr(secret_owner, "find_object", forbidden)
    monkeypatch.setattr(secret_owner, "Cluster", lambda _: None)
    (answer,) = ask({}, there(), create_secret)
    assert "cannot be seen: reading is forbidden" in answer
    issuer = replace(THEIRS, kind="ClusterIssuer", namespace="", owner="mtls-pki/test")
    proven = replace(there().reachable[0], owned=(issuer,))
    assert ask({}, evidence(proven), create_secret) == [""]


def test_what_another_stack_has_taken_over_is_not_deleted(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(THEIRS, kind="ConfigMap", namespace="app", name="mesh-trust")
    monkeypatch.setattr(deletion, "Cluster", lambda _: None)

    def delete(hooks: Hooks) -> list[Any]:
        old = {**BUNDLE, "apiVersion": "v1", "kind": "ConfigMap"}
        return [(hooks.deletion.binding, called("dev-mesh-trust-app", old=old))]

    for owner, said in (("mtls-pki/pay", "belongs to mtls-pki/pay now"), ("mtls-pki/test", "")):
        owned = replace(found, owner=owner)
        monkeypatch.setattr(deletion, "find_object", lambda *_, owned=owned, **__: owned)
        (answer,) = ask({}, there(), delete)
        assert said in answer
        assert bool(answer) == bool(said)
