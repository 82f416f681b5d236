"""A backend and a consumer need a row in their table and no change anywhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from mtls_pki.program.clusters import require_clusters
from mtls_pki.rotation.roles import Role
from tests.unit.clusters.api_server import address, serve
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import CONFIG_MAPS, bundle
from tests.unit.evidence.objects import STAGE as STAGE_PATH
from tests.unit.extensions.fakes import registered
from tests.unit.program.conftest import _clusters_are_ready
from tests.unit.program.engine import Program, run_program
from tests.unit.program.policy_findings import findings
from tests.unit.settings.configuration import G2, changed, load, told
from tests.unit.stack_project import HELD, STACK, Project, Say, stage

__all__ = ["_clusters_are_ready", "registered"]

pytestmark = pytest.mark.usefixtures("registered")

SAFE: dict[str, Any] = {
    "issuing.backend": "safe",
    "issuing.safe": {"drawer": "12"},
    "issuing.stable": True,
    "consumers.fieldRadio": {"namespace": "app"},
}


@pytest.fixture
def program() -> Program:
    return run_program(changed(SAFE))


def test_the_program_declares_what_they_say(program: Program) -> None:
    issuer = program.object("SafeClusterIssuer", "mtls-ca-g1-i1-safe")
    assert issuer.inputs["apiVersion"] == "safe.example.org/v1beta1"
    assert issuer.spec == {"safe": {"drawer": "12"}}
    component = next(each for each in program.resources if each.urn == issuer.parent)
    assert component.type == "mtls-pki:index:Issuer"
    certificate = program.object("Certificate", "web")
    assert certificate.spec["issuerRef"] == {
        "name": "mtls-ca-g1-i1-safe",
        "kind": "SafeClusterIssuer",
        "group": "safe.example.org",
    }
    # The key of the issuing CA is in the safe, so this stack makes only the anchor's.
    assert [key.name for key in program.of("PrivateKey")] == ["g1-key"]
    radio = program.object("ConfigMap", "radio")
    assert list(radio.inputs["data"]) == ["g1.pem"]
    assert any("gate" in urn for urn in radio.dependencies)
    assert {"explain-dev", "explain-safe/dev"} <= set(program.hooks)


def test_the_policy_pack_takes_the_issuers_for_the_stacks_own(program: Program) -> None:
    assert not [found for found in findings(program) if "issuer-of-domain" in found]


def test_an_authority_that_is_not_ready_stops_the_run() -> None:
    with pytest.raises(pulumi.RunError, match="the safe is locked"):
        run_program(changed({**SAFE, "issuing.safe.drawer": "locked"}))


def test_their_mistakes_come_with_all_others() -> None:
    assert told({**SAFE, "issuing.safe.drawer": "unknown", "services.web.namespace": "x"}) == [
        "services.web.namespace: 'x' gets no trust bundle; add it to trust.namespaces",
        "issuing.safe.drawer: 'unknown': write its number",
    ]
    assert told({**SAFE, "issuing.safe": {"drawr": "1", "drawer": "1"}}) == [
        "issuing.safe.drawr: unknown key; did you mean drawer?"
    ]
    assert told({**SAFE, "consumers.fieldRadio": {}}) == [
        "consumers.fieldRadio.namespace: missing; write it"
    ]
    assert told({"issuing.backend": "drawer"}) == [
        "issuing.backend: 'drawer': write one of: 'ca', 'vault', 'step-ca', 'aws-pca' or 'safe'"
    ]


def test_a_generation_may_be_of_another_backend() -> None:
    settings = load({**SAFE, "issuing.backend": "ca", "anchors.g2": {**G2, "backend": "safe"}})
    assert settings.backend_of("g1").name == "ca"
    assert settings.backend_of("g2").name == "safe"


def rotating(project: Project, api: Api, *, held: str) -> None:
    """A stack whose g1 is outgoing, with both registered and ``held`` in the radios."""
    text = project.read()
    assert text.startswith(STACK[:20])
    project.run("add", "g2", "--valid-from", "2026-11-02T00:00:00Z")
    project.run("promote")
    more = (
        "  mtls-pki:consumers: {fieldRadio: {namespace: app, held: " + held + "}}\n"
        "  mtls-pki:issuing: {stable: true, safe: {drawer: '12'}}\n"
    )
    project.write(project.read().replace("  mtls-pki:issuing: {stable: true}\n", more))
    api.objects[STAGE_PATH] = stage(g1=Role.OUTGOING, g2=Role.ISSUING)
    api.objects[CONFIG_MAPS] = [bundle("app", "g1", "g2", managed=(HELD,))]


def test_a_leaf_of_a_source_blocks_the_removal_of_its_anchor(
    project: Project, api: Api, said: Say
) -> None:
    rotating(project, api, held="[g1, g2]")
    said()
    assert project.run("status") == 0
    out = said()[0]
    assert "app safe entry printer: chains to g1" in out
    assert "safe: closed" in out
    project.run("retire")
    said()
    assert project.run("check") == 3
    assert "dev/app safe entry printer: chains to g1" in said()[0]
    assert project.run("status", "--json") == 0
    assert json.loads(said()[0])["safe"] == {"closed": True}


def test_a_bundle_of_a_consumer_counts_like_any_other(
    project: Project, api: Api, said: Say
) -> None:
    rotating(project, api, held="[g1]")
    said()
    project.run("status")
    assert "dev/field Radio radio[roots]" in said()[0]


def test_without_them_their_names_are_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert told(SAFE) == [
        "issuing.backend: 'safe': write one of: 'ca', 'vault', 'step-ca' or 'aws-pca'",
        "issuing.safe: unknown key; did you mean stable?",
        "consumers.fieldRadio: unknown key; known here: envoy, gloo, istio, monitoring, nats, "
        "postgresql",
    ]


def test_issuers_whose_api_is_not_served_are_told_before_the_first_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: False)
    with serve() as server:
        server.served = {"cert-manager.io/v1"}
        for namespace in ("app", "cert-manager"):
            server.answers[f"/api/v1/namespaces/{namespace}"] = (200, {})
        kubeconfig = {"kubeconfig": address(tmp_path, server.url).kubeconfig}
        with pytest.raises(pulumi.RunError) as caught:
            require_clusters(load({**SAFE, "clusters.dev": kubeconfig}))
        assert str(caught.value).splitlines()[1:] == [
            "cluster dev: safe.example.org/v1beta1 is not installed; install the controller of its "
            "issuers, which the safe needs in every cluster"
        ]
        require_clusters(load({"clusters.dev": kubeconfig}))
