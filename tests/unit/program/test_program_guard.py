"""When the guard speaks: its report before a refusal, once a preview, and never at ``up``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pulumi
import pytest
from pulumi import Output

from mtls_pki.program import guard
from mtls_pki.program.deletion import DeletionGuard
from mtls_pki.program.hooks import ClusterGuard
from mtls_pki.rotation.evidence import ClusterUnreachable, Evidence
from mtls_pki.rotation.guard_report import MARK, GuardReport, read_report
from mtls_pki.rotation.stage import STAGE_KEY, Anchor, TrustStage
from tests.unit.program.engine import Program, run_code, run_program
from tests.unit.program.stacks import TWO_CLUSTERS
from tests.unit.rotation.cases import bundle, cluster, evidence, fingerprint, leaf, stage
from tests.unit.settings.configuration import G2, changed, load

SPREADING = stage(g1="issuing", g2="incoming")
STEADY = stage(g1="issuing")
NEXT = G2 | {"validFrom": "2026-11-01T00:00:00Z"}
ADDED = {"clusters": TWO_CLUSTERS, "anchors.g2": NEXT}
PROMOTED = {
    "clusters": TWO_CLUSTERS,
    "anchors.g1.role": "outgoing",
    "anchors.g2": NEXT | {"role": "issuing"},
}
Judge = Callable[..., tuple[Program, list[str]]]


def there(*stages: TrustStage | None) -> Evidence:
    """Both clusters with these records; None for one that cannot be read."""
    return evidence(
        *(
            ClusterUnreachable(cluster=name, error="away")
            if recorded is None
            else cluster(name, bundles=[bundle("g1")], leaves=[leaf("web", "g1")], gate=recorded)
            for name, recorded in zip(TWO_CLUSTERS, stages, strict=True)
        )
    )


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Judges a change by evidence, and returns what was said and what each hook refused with."""

    def run(
        changes: dict[str, Any],
        seen: Evidence,
        hooks: Sequence[str] = tuple(TWO_CLUSTERS),
        *,
        preview: bool = True,
        state: TrustStage | None = None,
    ) -> tuple[Program, list[str]]:
        monkeypatch.setattr(guard, "collect_evidence", lambda *_, **__: seen)
        settings = load(changes)
        refused: list[str] = []

        def code() -> None:
            known = {g: Output.from_input(fingerprint(g)) for g in settings.anchors}
            judging = guard.TrustGuard(settings)
            deletion = DeletionGuard(settings, judging)
            called = [ClusterGuard(settings, name, judging, deletion).gate for name in hooks]

            async def ask() -> bool:
                for hook in called:
                    try:
                        await hook.callback(arguments(state))  # type: ignore[misc]
                    except pulumi.RunError as error:
                        refused.append(f"{len(reports(program))} {error}")
                return True

            judging.announce(known, up_refuses=True)
            Output.from_input(asyncio.ensure_future(ask())).apply(lambda _: None)

        program = Program()
        run_code(code, preview=preview, into=program)
        return program, refused

    return run


def arguments(state: TrustStage | None) -> pulumi.ResourceHookArgs:
    data = {"data": {} if state is None else {STAGE_KEY: state.to_json()}}
    return pulumi.ResourceHookArgs(
        urn="urn", id="", name="gate", type="x:y:Z", new_inputs={}, old_inputs=data
    )


def reports(program: Program) -> list[GuardReport]:
    return [read_report(line) for line in program.logged if line.startswith(MARK)]


def test_the_report_is_sent_before_anything_is_refused(judge: Judge) -> None:
    program, refused = judge(PROMOTED, there(SPREADING, SPREADING))
    (report,) = reports(program)
    (judgement,) = report.judgements
    first, second = refused
    assert first == f"1 {judgement.message}"
    assert second.removeprefix("1 ") in report.echoes
    assert report.up_refuses
    assert [reason.rule for reason in judgement.reasons] == ["bundles-hold-anchor"]


def test_a_run_that_changes_nothing_reports_as_well(judge: Judge) -> None:
    program, refused = judge({"clusters": TWO_CLUSTERS}, there(STEADY, STEADY), hooks=())
    (report,) = reports(program)
    assert refused == []
    assert report.stage == STEADY
    assert report.judgements[0].message == ""


def test_clusters_of_different_stages_are_judged_in_one_report(judge: Judge) -> None:
    program, refused = judge(PROMOTED, there(SPREADING, STEADY))
    (report,) = reports(program)
    messages = [judgement.message for judgement in report.judgements]
    assert len(set(messages)) == 2
    assert [text.removeprefix("1 ") for text in refused] == messages


def test_a_stage_that_only_the_state_knows_is_reported_before_it_is_refused(judge: Judge) -> None:
    """No cluster can be read, so what the hook judges was not known before it was called."""
    program, refused = judge(PROMOTED, there(None, None), state=STEADY)
    first, second = reports(program)
    assert first.judgements[0].unread == tuple(TWO_CLUSTERS)
    assert [judgement.message for judgement in first.judgements] == [""]
    assert refused[0] == f"2 {second.judgements[0].message}"
    assert refused[1].removeprefix("2 ") in second.echoes


def test_an_update_sends_no_report(judge: Judge) -> None:
    program, refused = judge(PROMOTED, there(SPREADING, SPREADING), preview=False)
    assert len(refused) == 2
    assert not [line for line in program.logged if MARK in line]


def test_the_report_knows_issuers_of_before_and_after(judge: Judge) -> None:
    program, _ = judge(ADDED | {"issuing.stable": True}, there(SPREADING, SPREADING))
    (report,) = reports(program)
    # Of the leaves that are out there, and of the configuration.
    assert report.issuers == {"mtls-ca": "g1", "mtls-ca-g1": "g1", "mtls-ca-g1-i1": "g1"}
    assert report.stable_issuer == "mtls-ca"


def test_the_program_reports_in_a_preview_of_a_new_stack() -> None:
    (report,) = reports(run_program(changed({}), preview=True))
    assert report.stage.anchors == {
        "g1": Anchor(role=report.stage.anchors["g1"].role, fingerprint=None)
    }
    assert reports(run_program(changed({}))) == []
