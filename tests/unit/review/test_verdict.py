"""What the page makes of the guard's report, and of messages that are not the guard's."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtls_pki import review as review_package
from mtls_pki.engine.digest import Diagnostic, Preview
from mtls_pki.review.review import review
from mtls_pki.review.verdict import Outcome, Spoken, spoken
from mtls_pki.rotation.guard_report import Subject, report_line
from mtls_pki.rotation.report import REPORT_SCHEMA, refusal_message
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.verdict import Verdict, judge
from tests.unit.review.previews import digest, html, markdown, recorded, reviewed, step
from tests.unit.rotation.cases import NOW, cluster, evidence, place, request, stage

STEADY = stage(g1="issuing")
SPREADING = stage(g1="issuing", g2="incoming")
WRONG = stage(g1="outgoing", g2="outgoing")
HOOK = 'error: Preview failed: before hook "guard-dev" failed: '


def refused() -> Verdict:
    verdict = judge(request(SPREADING, WRONG), evidence(cluster()), now=NOW, mode=Mode.PREVIEW)
    assert len(verdict.refusals) > 1
    return verdict


def heard(verdict: Verdict, *said: tuple[str, str], **subject: object) -> Spoken:
    line = report_line((verdict,), Subject(stage=WRONG, **subject), at=NOW)  # type: ignore[arg-type]
    lines = (("info", f"{line}\n"), *said)
    return spoken(
        Preview(
            stack="review",
            project="mtls-pki",
            steps=(),
            diagnostics=tuple(Diagnostic(severity=each, message=text) for each, text in lines),
        )
    )


@pytest.mark.parametrize("indent", ["\n", "\n    "])
def test_a_refusal_is_told_from_the_report_and_not_twice(indent: str) -> None:
    verdict = refused()
    echo = "refused, for the reasons given for east"
    message = f"{HOOK}{refusal_message(verdict)}\n".replace("\n", indent)
    said = heard(
        verdict,
        ("error", message),
        ("error", message),
        ("error", f"{HOOK}{echo}\n"),
        ("error", "error: preview failed\n"),
        echoes=(echo,),
    )
    assert said.outcome is Outcome.REFUSED
    assert [reason.rule for reason in said.reasons] == [
        refusal.rule.identifier for refusal in verdict.refusals
    ]
    assert said.errors == ()


def test_what_no_hook_refused_is_no_refusal() -> None:
    """As where the state says that nothing changes, although a gate was edited by hand."""
    said = heard(refused())
    assert (said.outcome, said.reasons) == (Outcome.SAFE, ())


def test_words_that_only_look_like_a_refusal_are_an_error() -> None:
    message = f"{HOOK}{refusal_message(refused())}, or so it seems"
    said = heard(refused(), ("error", message))
    assert said.outcome is Outcome.FAILED
    (error,) = said.errors
    assert error.head.startswith('Preview failed: before hook "guard-dev" failed: refused: ')


def test_another_error_stands_on_the_page_of_a_refusal() -> None:
    verdict = refused()
    said = heard(
        verdict, ("error", f"{HOOK}{refusal_message(verdict)}"), ("error", "error: disk is full\n")
    )
    assert said.outcome is Outcome.REFUSED
    assert [error.head for error in said.errors] == ["disk is full"]


def test_a_cluster_that_the_guard_could_not_read_is_unseen() -> None:
    asked = request(STEADY, STEADY, places=(place(cluster="west"),))
    verdict = judge(asked, evidence(cluster(gate=STEADY)), now=NOW, mode=Mode.PREVIEW)
    said = heard(verdict)
    assert (said.outcome, said.unread) == (Outcome.UNSEEN, ("west",))


def test_what_is_missing_in_a_cluster_is_no_verdict_but_said_on_top() -> None:
    text = "cluster dev: namespace shop does not exist; create it (`pulumi up` will refuse)"
    whole = digest(said=(("warning", text),), up_refuses=True)
    found = reviewed(whole)
    assert found.outcome is Outcome.SAFE
    assert found.said.up_refuses
    page = markdown(whole)
    assert "> [!WARNING]\n> **The update will refuse** as long as the warnings hold." in page
    # Its words alone say nothing.
    assert "The update will refuse" not in markdown(digest(said=(("warning", text),)))


def test_without_a_report_nothing_is_called_safe() -> None:
    silent = recorded("promote")
    del silent["diagnostics"]
    assert reviewed(silent).outcome is Outcome.UNSEEN
    page = markdown(silent)
    assert "**Not known to be safe:** the guard's report is not in the preview." in page
    assert "The guard agrees" not in page


def test_a_program_without_a_gate_has_no_guard_that_could_report() -> None:
    silent = digest(step("create", "kubernetes:core/v1:ConfigMap", "other", new={}))
    silent["diagnostics"] = []
    assert reviewed(silent).outcome is Outcome.SAFE
    # Whoever takes the gate out of a program has not taken it out of the preview.
    gate = step("delete", "mtls-pki:index:TrustGate", "east-gate", old={})
    silent["steps"].append(gate)
    assert reviewed(silent).outcome is Outcome.UNSEEN


def test_a_report_of_a_newer_version_is_said_on_top() -> None:
    newer = recorded("promote")
    (line,) = newer["diagnostics"]
    line["message"] = line["message"].replace(REPORT_SCHEMA, "mtls-pki/rotation-report/v2")
    assert reviewed(newer).outcome is Outcome.UNSEEN
    assert "use the mtls-pki that the stack's program uses." in markdown(newer)
    assert "use the mtls-pki that the stack&#x27;s program uses." in html(newer)


def test_a_run_that_failed_before_the_guard_spoke_has_failed() -> None:
    assert review(_failed(), stack="review").outcome is Outcome.FAILED
    assert "Not known to be safe" not in markdown("mistake")


def _failed() -> Preview:
    error = Diagnostic(severity="error", message="error: no such stack\n")
    return Preview(stack="review", project="mtls-pki", steps=(), diagnostics=(error,))


def test_the_report_itself_is_not_shown() -> None:
    for name in ("promote", "retire-too-early", "unreachable"):
        assert "guard report" not in markdown(name)


def test_messages_are_not_recognised_by_patterns() -> None:
    for path in Path(review_package.__path__[0]).glob("*.py"):
        assert "import re\n" not in path.read_text(), path
