"""``status``, ``check`` and ``plan``: what they say, and their exit status."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from rich.console import Console

from mtls_pki.clusters.observed_domain import observe_domain
from mtls_pki.clusters.sources.table import SOURCES
from mtls_pki.commands.main import main
from mtls_pki.commands.status_view import status_view
from mtls_pki.rotation.roles import Role
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import (
    CONFIG_MAPS,
    STAGE,
    bundle,
    certificate,
    chain,
    fingerprint,
    request,
)
from tests.unit.stack_project import HELD, YOUNG, Project, Say, spread, stage, steady

CERTIFICATES = "/apis/cert-manager.io/v1/certificates"
REQUESTS = "/apis/cert-manager.io/v1/certificaterequests"


def own(found: dict[str, Any]) -> dict[str, Any]:
    """The same as an object of the stack."""
    found["metadata"]["annotations"] = {"mtls-pki/owner": "mtls-pki/dev"}
    return found


def issued(api: Api, *anchors: str) -> None:
    """The one service of the stack has a leaf below each of these."""
    api.objects[CERTIFICATES] = [own(certificate("web", revision=1))]
    api.objects[REQUESTS] = [request(chain(each), name="web-1") for each in anchors]


def test_a_steady_domain_says_the_next_thing(project: Project, api: Api, said: Say) -> None:
    steady(api)
    issued(api, "g1")
    assert project.run("status") == 0
    out, err = said()
    assert err == ""
    assert "example.org: steady, one anchor, nothing under way" in out
    assert fingerprint("g1") in out  # whole, where it goes to a pipe
    assert "1 of 1" in out
    assert "1 h" in out
    assert "next: nothing needs to be done" in out
    assert "Add g2 as incoming: can be applied now" in out
    assert "\x1b" not in out


def test_a_declared_certificate_that_is_not_there_is_told(
    project: Project, api: Api, said: Say
) -> None:
    steady(api)
    assert project.run("status") == 0
    out = said()[0]
    assert "1 Certificates of the stack file are not there; `pulumi up` makes those" in out
    assert "dev/app Certificate web: is not there" in out
    assert "next: see to the warnings; no rotation is under way" in out
    assert "nothing needs to be done" not in out
    # It may be new in this very change.
    assert project.run("check") == 0


def test_a_declared_leaf_that_no_verifier_takes_is_broken_now(
    project: Project, api: Api, said: Say
) -> None:
    steady(api)
    issued(api, "stranger")
    assert project.run("status") == 0
    out = said()[0]
    assert "1 leaves of the stack chain to no anchor of it, so no verifier takes them" in out
    assert "next: see to the warnings" in out
    assert project.run("check") == 6
    out = said()[0]
    assert out.startswith("safe: ")
    assert "broken now, with this change and without it:" in out
    assert "dev/app Certificate web: issuer" in out
    assert project.run("check", "--json") == 6
    document = json.loads(said()[0])
    assert document["exitCode"] == 6
    assert [each["notice"] for each in document["brokenNow"]] == ["leaf-untrusted"]


def test_a_declared_certificate_without_a_leaf_is_broken_now(
    project: Project, api: Api, said: Say
) -> None:
    steady(api)
    api.objects[CERTIFICATES] = [own(certificate("web", revision=None, notAfter=None))]
    assert project.run("status") == 0
    assert "1 Certificates of the stack have no leaf that is valid now" in said()[0]
    assert project.run("check") == 6
    issued(api, "g1")
    assert project.run("check") == 0


@pytest.mark.parametrize("width", [72, 80, 200])
def test_status_fits_the_terminal(project: Project, api: Api, width: int) -> None:
    steady(api)
    domain = observe_domain(project.stack().settings(), sources=SOURCES)
    console = Console(width=width, force_terminal=True)
    with console.capture() as captured:
        console.print(status_view(domain, domain.plan(), file="x", width=width))
    assert "\x1b" in captured.get()
    assert (fingerprint("g1") in captured.get()) == (width == 200)
    assert fingerprint("g1")[:12] in captured.get()


def test_before_the_first_update(project: Project, api: Api, said: Say) -> None:
    assert project.run("status") == 0
    out = said()[0]
    assert "example.org: not applied yet" in out
    assert "next: `pulumi up`" in out
    assert project.run("check") == 0
    assert said()[0].startswith("safe: g1: absent -> issuing")


def test_a_change_that_is_not_applied_is_told(project: Project, api: Api, said: Say) -> None:
    steady(api)
    project.run("add", "g2", "--valid-from", "2026-11-02T00:00:00Z")
    said()
    assert project.run("status") == 0
    out = said()[0]
    assert "not applied yet: Pulumi.dev.yaml asks for g2: absent -> incoming" in out
    assert project.run("check") == 0
    assert said()[0] == "safe: g2: absent -> incoming\n"


def test_promotion_is_safe_after_the_hold_down(project: Project, api: Api, said: Say) -> None:
    spread(api, project)
    said()
    assert project.run("status") == 0
    assert "next: promote g2: can be applied now" in said()[0]
    project.run("promote")
    said()
    assert project.run("check") == 0
    assert said()[0].startswith("safe: g1: issuing -> outgoing, g2: incoming -> issuing")


def test_promotion_is_blocked_before(project: Project, api: Api, said: Say) -> None:
    spread(api, project, YOUNG)
    said()
    assert project.run("status") == 0
    out = said()[0]
    assert "next: promote g2: not before 2026-11-23T12:01:30Z" in out
    assert "    dev/app ConfigMap mesh-trust[ca.crt]" in out
    project.run("promote")
    said()
    assert project.run("check") == 3
    assert "[bundles-hold-anchor;" in said()[0]
    assert project.run("check", "--json") == 3
    document = json.loads(said()[0])
    assert (document["kind"], document["exitCode"]) == ("verdict", 3)
    assert document["earliest"] == "2026-11-23T12:01:30Z"


def test_a_leaf_of_the_old_anchor_blocks_its_removal(project: Project, api: Api, said: Say) -> None:
    project.run("add", "g2", "--valid-from", "2026-11-02T00:00:00Z")
    project.run("promote")
    api.objects[STAGE] = stage(g1=Role.OUTGOING, g2=Role.ISSUING)
    api.objects[CONFIG_MAPS] = [bundle("app", "g1", "g2", managed=(HELD,))]
    api.objects["/apis/cert-manager.io/v1/certificates"] = [certificate("rogue", revision=1)]
    api.objects["/apis/cert-manager.io/v1/certificaterequests"] = [
        request(chain("g1"), name="rogue-1", certificate="rogue")
    ]
    said()
    assert project.run("status") == 0
    assert "    dev/app Certificate rogue: chains to g1" in said()[0]
    project.run("retire")
    said()
    assert project.run("check") == 3
    assert "dev/app Certificate rogue: chains to g1" in said()[0]


def test_a_cluster_that_cannot_be_read(project: Project, api: Api, said: Say) -> None:
    steady(api)
    api.refused[STAGE] = 403
    for command, code in (("status", 4), ("check", 4), ("plan", 4)):
        assert project.run(command) == code
    out = said()[0]
    assert "example.org: unknown" in out
    assert "is forbidden; grant what deploy/rbac-evidence.yaml grants" in out


def test_an_unfinished_update_is_judged_for_the_cluster_that_lags(
    project: Project, api: Api, said: Say
) -> None:
    """One cluster records what the file asks for, and so has nothing to refuse; the other has."""
    spread(api, project, YOUNG)
    project.run("promote")
    kubeconfig = project.stack().settings().clusters["dev"].kubeconfig
    text = project.read().replace(
        "  mtls-pki:anchors:", f"    late: {{kubeconfig: {kubeconfig}}}\n  mtls-pki:anchors:"
    )
    project.write(text)
    said()
    answers = iter(
        [stage(g1=Role.OUTGOING, g2=Role.ISSUING), stage(g1=Role.ISSUING, g2=Role.INCOMING)]
    )

    def switch() -> None:
        api.objects[STAGE] = next(answers)
        api.between[STAGE] = switch

    api.between[STAGE] = switch
    assert project.run("check") == 3
    assert "g2: incoming -> issuing" in said()[0]


@pytest.mark.parametrize(
    ("form", "beginning"),
    [("text", "example.org is steady"), ("markdown", "# Rotation of"), ("html", "<!doctype html>")],
)
def test_a_plan_in_every_form(
    project: Project, api: Api, said: Say, form: str, beginning: str
) -> None:
    steady(api)
    assert project.run("plan", "--format", form) == 0
    printed = said()[0]
    assert printed.startswith(beginning)
    assert project.run("plan", "--format", form, "--output", "plan.out") == 0
    assert (project.directory / "plan.out").read_text() == printed
    assert said() == ("", "")


def test_json_documents(project: Project, api: Api, said: Say) -> None:
    steady(api)
    for command, kind in (("status", "position"), ("check", "verdict"), ("plan", "plan")):
        assert project.run(command, "--json") == 0
        document = json.loads(said()[0])
        assert document["schema"] == "mtls-pki/rotation-report/v1"
        assert document["kind"] == kind


def test_mistakes_in_the_file_are_told_as_they_are(project: Project, said: Say) -> None:
    project.write(project.read().replace("role: issuing ", "role: isuing "))
    assert project.run("status") == 1
    out, err = said()
    assert out == ""
    assert err.startswith(
        "mtls-pki: Pulumi.dev.yaml has 1 mistake; nothing was touched:\n  anchors.g1.role:"
    )


def test_an_unusable_kubeconfig_is_missing_evidence(project: Project, said: Say) -> None:
    assert project.run("check") == 4
    assert "dev.kubeconfig cannot be used" in said()[0]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("add",),
        ("plan", "--format", "pdf"),
        ("reissue", "--batch", "0"),
        ("reissue", "--rate", "-1"),
        ("reissue", "--timeout", "1d"),
    ],
)
def test_a_wrong_command_line_is_2(project: Project, said: Say, arguments: tuple[str, ...]) -> None:
    assert project.run(*arguments) == 2
    assert "usage: mtls-pki" in said()[1]


@pytest.mark.parametrize(
    "command", ["status", "check", "plan", "add", "promote", "retire", "reissue"]
)
def test_help_has_examples_and_exit_status(project: Project, said: Say, command: str) -> None:
    assert project.run(command, "--help") == 0
    out = said()[0]
    assert f"mtls-pki {command}" in out
    assert "exit status:" in out


def test_an_unwritable_output_is_told(project: Project, api: Api, said: Say) -> None:
    steady(api)
    assert project.run("plan", "--output", "no/where") == 1
    assert said()[1] == "mtls-pki: --output no/where: No such file or directory\n"


def test_the_module_runs(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["mtls-pki", "promote"])
    assert main() == 1
