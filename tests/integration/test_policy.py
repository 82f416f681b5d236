"""The policy pack under the real engine: each rule broken alone, and the real stacks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lab import toolchain
from lab.api import Api
from lab.control_plane import ControlPlane
from lab.pulumi_cli import Engine, open_engine
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import small_stack
from tests.integration.support.policy import (
    WITH_PACK,
    analyze,
    assert_no_finding,
    export_state,
    findings,
    judge_state,
)
from tests.integration.support.secrets import assert_no_private_key
from tests.integration.support.stack import Stack
from tests.unit.pki import material

_PROGRAM = Path(__file__).parent / "policy_program"
_VENV = Path(__file__).parents[2] / ".venv"
# What the program breaks -> the rule that says so, where it is not called the same.
_RULE = {"vault-role": "leaf-names", "patch": "leaf-is-no-ca"}
BREAKS = {
    "private-key-in-clear": "ConfigMap shop/notes in dev: a private key is in data.text.",
    "private-key-in-outputs": "Stack violations-dev: a private key is in output note.",
    "anchor-protected": "PrivateKey g1-key: the key of anchor g1 is not protected",
    "pki-mount-protected": "Mount pki: mount pki is not protected",
    "key-algorithm": "PrivateKey g1-key: its key is P-224",
    "leaf-lifetime": "Certificate shop/web in dev: spec.duration is 720h, allowed: 24h.",
    "leaf-usages": "Certificate shop/web in dev: spec.usages has any",
    "leaf-names": "Certificate shop/web in dev: the name *.shop.svc is a wildcard.",
    "vault-role": "SecretBackendRole mesh: allowAnyName is true",
    "leaf-is-no-ca": "Certificate shop/web in dev: spec.isCA is true",
    "patch": "CertificatePatch shop/web in dev: spec.isCA is true",
    "bundle-roots-only": "ConfigMap shop/mesh-trust in dev: data.ca.crt holds CN=i1.example.org",
    "bundle-not-empty": "ConfigMap shop/mesh-trust in dev: data.ca.crt holds no certificate.",
    "bundle-everywhere": "namespace shop in dev: it has Certificate shop/web",
    "issuer-of-domain": "Certificate shop/web in dev: its issuer Issuer/shop/other-ca",
    "identity-of-domain": "spiffe://example.com/ns/shop/sa/web is of trust domain example.com",
    "generation-names": "TrustAnchor g1 and TrustAnchor g2: CN=root-g1.example.org is the subject",
    "vault-over-tls": "vault vault: address is no https URL",
}


class Violations:
    """The small program, previewed with one rule broken at a time."""

    def __init__(self, directory: Path) -> None:
        toolchain.ensure("pulumi-resource-vault")
        project = directory / "project"
        shutil.copytree(_PROGRAM, project)
        definition = (project / "Pulumi.yaml").read_text()
        (project / "Pulumi.yaml").write_text(definition.replace("../../../.venv", str(_VENV)))
        root = material.root("g1")
        pems = {
            "root": root,
            "issuing": material.issuing("i1", root_pem=root, root_key=material.key_pem("g1")),
            "other": material.root("g2"),
            "namesake": material.root("g2", common_name="root-g1.example.org"),
            "key": material.key_pem("i1"),
        }
        (project / "material.json").write_text(json.dumps(pems))
        self.directory = directory
        self.engine: Engine = open_engine(project, directory)
        assert self.engine.run("stack", "init", "dev").returncode == 0

    def preview(self, broken: str, *options: str) -> tuple[int, str]:
        """Exit status and output of the preview with this rule broken."""
        done = self.engine.run(
            *("preview", "--stack", "dev", *WITH_PACK, *options),
            extra_environment={"BREAK": broken},
        )
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def violations(tmp_path_factory: pytest.TempPathFactory) -> Violations:
    return Violations(tmp_path_factory.mktemp("violations"))


@pytest.mark.engine
@pytest.mark.xdist_group("violations")
def test_the_small_program_itself_keeps_every_rule(violations: Violations) -> None:
    status, output = violations.preview("nothing")
    assert status == 0, output
    assert findings(output) == []


@pytest.mark.engine
@pytest.mark.xdist_group("violations")
@pytest.mark.parametrize("broken", BREAKS)
def test_a_rule_that_is_broken_alone_is_the_one_finding(
    violations: Violations, broken: str
) -> None:
    status, output = violations.preview(broken)
    assert status != 0
    assert findings(output) == [_RULE.get(broken, broken)]
    assert BREAKS[broken] in output
    assert "What to do: " in output
    # The engine shows what a program exports in clear text; that the pack says nothing of it is
    # held by the unit tests.
    if broken != "private-key-in-outputs":
        assert_no_private_key({"output": output}, keys=[material.key_pem("i1")])


@pytest.mark.engine
@pytest.mark.xdist_group("violations")
def test_a_rule_can_be_advisory_and_its_parameters_are_configured(violations: Violations) -> None:
    config = violations.directory / "policy.json"
    for chosen, reported in (
        ({"leaf-lifetime": "advisory"}, ["leaf-lifetime"]),
        ({"leaf-lifetime": {"maxDuration": "720h"}}, []),
        ({"all": "disabled"}, []),
    ):
        config.write_text(json.dumps(chosen))
        status, output = violations.preview("leaf-lifetime", "--policy-pack-config", str(config))
        assert status == 0, output
        assert findings(output) == reported
    config.write_text(json.dumps({"leaf-lifetime": {"maxDuration": "30d"}}))
    status, output = violations.preview("nothing", "--policy-pack-config", str(config))
    assert status != 0
    assert "maxDuration" in output


@pytest.mark.lab
@pytest.mark.engine
@pytest.mark.xdist_group("stacks")
def test_the_dev_stack_keeps_every_rule(dev_stack: Stack) -> None:
    assert_no_finding(dev_stack)


@pytest.mark.lab
@pytest.mark.engine
@pytest.mark.xdist_group("stacks")
def test_an_update_stops_at_the_object_that_breaks_a_rule(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    stack = make_stack("policy")
    stack.write(small_stack("policy", plane.kubeconfig))
    stack.init()
    new = stack.preview(*WITH_PACK)
    assert (new.status, findings(new.output)) == (0, []), new.output
    whole = stack.try_up(*WITH_PACK)
    assert (whole.status, findings(whole.output)) == (0, []), whole.output

    services = {"web": {"namespace": "policy"}, "late": {"namespace": "policy", "duration": "72h"}}
    stack.write(small_stack("policy", plane.kubeconfig, services=services))
    refused = stack.try_up(*WITH_PACK)
    assert refused.status != 0
    assert findings(refused.output) == ["leaf-lifetime"]
    assert "Certificate policy/late in dev: spec.duration is 72h0m0s" in refused.output
    assert "late" not in cluster.certificates(api, "policy")

    stack.up()
    state = export_state(stack)
    analyzed = analyze(stack, state)
    assert analyzed.status != 0
    assert findings(analyzed.output) == ["leaf-lifetime"]
    assert judge_state(state).returncode == 0
    # Whoever analyses a state need not be able to decrypt it.
    stack.environment |= {"PULUMI_CONFIG_PASSPHRASE": "not the right one"}
    blind = analyze(stack, state)
    assert "secret values redacted" in blind.output
    assert findings(blind.output) == ["leaf-lifetime"]
