"""What the program declares where a Vault holds the issuing CAs."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulumi
import pytest

from mtls_pki.backends.vault import declare
from mtls_pki.backends.vault.names import issuer_name_of
from mtls_pki.backends.vault.preflight import VaultReading
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.program import clusters
from mtls_pki.settings.model import Settings
from tests.unit.clusters.api_server import address
from tests.unit.pki import material
from tests.unit.pki.assertions import assert_is_issuing_ca
from tests.unit.program.engine import Program, run_program
from tests.unit.program.policy_findings import findings
from tests.unit.settings.configuration import G2, changed
from tests.unit.vaults.configuration import VAULT

IssuerId = Callable[[str], str]
TWO = {**VAULT, "anchors.g1.role": "outgoing", "anchors.g2": G2 | {"role": "issuing"}}


def _id_of(chain_pem: str) -> str:
    subject = parse_certificates(chain_pem, origin="issuing CA")[0].subject.rfc4514_string()
    return f"id of {subject}"


def _find_issuer(settings: Settings, directory: Path) -> IssuerId:
    return _id_of


@pytest.fixture(autouse=True)
def reading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the Vault is said to hold; nothing yet, unless a test says so."""
    held: dict[str, Any] = {}
    address(tmp_path, "https://127.0.0.1:6443")
    (tmp_path / "api-ca.pem").write_text(material.root("api"))
    monkeypatch.setattr(declare, "require_vault", lambda *_: VaultReading(**held))
    monkeypatch.setattr(declare, "find_issuer", _find_issuer)
    monkeypatch.setattr(clusters, "generations_in_use", lambda *_: frozenset())
    return held


def declared(changes: dict[str, Any] | None = None, **options: Any) -> Program:
    reach = {"clusters.dev.apiServerCa": "api-ca.pem"}
    return run_program(changed({**VAULT, **reach, **(changes or {})}), **options)


def role_id(generation: str) -> str:
    return f"id of CN=issuing-{generation}-i1-vault.example.org"


def test_the_key_is_made_inside_and_no_other_key_is_declared() -> None:
    program = declared()
    request = program.one("SecretBackendIntermediateCertRequest", "pki-mesh-g1-i1-request")
    assert request.inputs["type"] == "internal"
    assert [key.name for key in program.of("PrivateKey")] == ["g1-key"]
    assert program.of("Secret") == []
    imported = program.one("SecretBackendIntermediateSetSigned", "pki-mesh-g1-i1-certificate")
    issuing, root = parse_certificates(imported.inputs["certificate"], origin="chain")
    assert_is_issuing_ca(issuing, root=root, path_length=0)


def test_mount_and_issuing_ca_are_protected_and_stay_and_protection_can_be_taken_off() -> None:
    for changes, protect in (({}, True), ({"issuing.vault.protect": False}, False)):
        program = declared(changes)
        mount, issuer = (
            program.one("Mount", "pki-mesh"),
            program.one("SecretBackendIssuer", "pki-mesh-g1-i1"),
        )
        assert (mount.protect, issuer.protect) == (protect, protect)
        assert mount.retain_on_delete
        assert issuer.retain_on_delete is protect


def test_each_role_names_its_issuer_by_id_and_is_compared() -> None:
    program = declared(TWO)
    for generation in ("g1", "g2"):
        role = program.one("SecretBackendRole", f"pki-mesh-{generation}-i1-role")
        assert role.inputs["issuerRef"] == role_id(generation)
        assert role.hooks["after_create"] == role.hooks["after_update"] == ("compare-vault",)
        assert role.inputs["allowAnyName"] is False
        assert role.inputs["noStore"] is True
        policy = program.one("Policy", f"pki-mesh-{generation}-i1-policy").inputs["policy"]
        assert policy.startswith(f'path "pki-mesh/sign/pki-mesh-{generation}-i1" {{')
        assert policy.count("path") == 1
        assert '"not_after"  = []' in policy
        issuer = program.one("SecretBackendIssuer", f"pki-mesh-{generation}-i1")
        root = program.one("SecretBackendIssuer", f"pki-mesh-{generation}-root")
        assert root.inputs["usage"] == "read-only"
        assert issuer.inputs["manualChains"] == [role_id(generation), root.inputs["issuerRef"]]
    default = program.one("SecretBackendConfigIssuers", "pki-mesh-default")
    assert default.inputs["default"] == role_id("g2")


def test_a_renewed_certificate_is_another_issuer_of_another_name() -> None:
    """No two issuers of a mount may have one name, and the provider cannot give one another id."""
    renewed = {"issuing.intermediate": {"validFor": "17520h"}, "anchors.g1.validFor": "90000h"}
    for name in ("g1-i1", "g1-root"):
        issuers = [
            declared(changes).one("SecretBackendIssuer", f"pki-mesh-{name}")
            for changes in ({}, renewed)
        ]
        first, second = (each.inputs["issuerName"] for each in issuers)
        assert first != second
        assert {issuer_name_of(first), issuer_name_of(second)} == {name}
        assert all(each.replace_on_changes == ("issuerRef",) for each in issuers)


def test_an_issuer_has_an_account_of_its_own_and_its_login_nothing_but_its_path() -> None:
    program = declared({"issuing.kind": "Issuer"})
    name = "mtls-ca-g1-i1-vault"
    spec = program.object("Issuer", name).spec["vault"]
    assert spec["path"] == "pki-mesh/sign/pki-mesh-g1-i1"
    kubernetes = spec["auth"]["kubernetes"]
    assert kubernetes["mountPath"] == "/v1/auth/kubernetes-dev"
    assert kubernetes["serviceAccountRef"]["name"] == name
    login = program.one("AuthBackendRole", f"dev-{name}-app-login")
    assert login.inputs["roleName"] == kubernetes["role"]
    assert login.inputs["boundServiceAccountNames"] == [name]
    assert login.inputs["boundServiceAccountNamespaces"] == ["app"]
    assert login.inputs["audience"] == f"vault://app/{name}"
    assert login.inputs["tokenPolicies"] == ["pki-mesh-g1-i1"]
    assert login.inputs["tokenNoDefaultPolicy"] is True
    assert program.object("ServiceAccount", name).inputs["automountServiceAccountToken"] is False


def test_a_cluster_issuer_uses_the_cluster_resource_namespace() -> None:
    program = declared()
    login = program.one("AuthBackendRole", "dev-mtls-ca-g1-i1-vault-login")
    assert login.inputs["boundServiceAccountNamespaces"] == ["cert-manager"]
    assert login.inputs["audience"] == "vault://mtls-ca-g1-i1-vault"


def test_the_token_is_no_input_of_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "s.of-a-test")
    program = declared({"issuing.vault.namespace": "team"})
    (provider,) = [each for each in program.resources if each.type == "pulumi:providers:vault"]
    assert "token" not in provider.inputs
    assert provider.inputs["namespace"] == "team"
    assert provider.inputs["address"] == "https://127.0.0.1:8200"
    assert "s.of-a-test" not in repr(program.resources)
    assert program.object("ClusterIssuer", "mtls-ca-g1-i1-vault").spec["vault"]["namespace"] == (
        "team"
    )


def test_what_is_not_the_vaults_address_here_goes_to_the_provider_alone(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(material.root("vault"))
    program = declared(
        {"issuing.vault.address": "https://127.0.0.1:9200", "issuing.vault.caBundle": "ca.pem"}
    )
    (provider,) = [each for each in program.resources if each.type == "pulumi:providers:vault"]
    assert provider.inputs["address"] == "https://127.0.0.1:9200"
    spec = program.object("ClusterIssuer", "mtls-ca-g1-i1-vault").spec["vault"]
    assert spec["server"] == "https://127.0.0.1:8200"
    assert base64.b64decode(spec["caBundle"]).decode() == material.root("vault")


def test_an_adopted_mount_is_neither_declared_nor_given_another_default() -> None:
    program = declared({"issuing.vault.adopt": True})
    assert program.of("Mount") == []
    assert program.of("SecretBackendConfigIssuers") == []
    assert program.of("SecretBackendRole")


def test_a_compromised_generation_loses_role_and_usage() -> None:
    g1 = {"role": "compromised", "fingerprint": "ab" * 32, "acceptOutage": True}
    changes = {f"anchors.g1.{key}": value for key, value in g1.items()}
    program = declared({**changes, "anchors.g2": G2 | {"role": "issuing"}})
    assert [role.name for role in program.of("SecretBackendRole")] == ["pki-mesh-g2-i1-role"]
    issuer = program.one("SecretBackendIssuer", "pki-mesh-g1-i1")
    assert "issuing-certificates" not in issuer.inputs["usage"]


def test_failures_are_explained_by_who_knows_them() -> None:
    moving = {**TWO, "anchors.g1.backend": "ca"}
    program = declared(moving)
    ours = program.object("ClusterIssuer", "mtls-ca-g1-i1")
    theirs = program.object("ClusterIssuer", "mtls-ca-g2-i1-vault")
    assert ours.hooks["on_error"] == ("explain-dev",)
    assert theirs.hooks["on_error"] == ("explain-vault/dev",)
    assert program.object("Certificate", "web").hooks["on_error"] == ("explain-vault/dev",)
    role = program.one("SecretBackendRole", "pki-mesh-g2-i1-role")
    assert role.hooks["on_error"] == ("explain:vault",)


def test_a_mount_that_stands_already_says_whose_it_is(reading: dict[str, Any]) -> None:
    reading |= {"mount_exists": True, "auth_paths": frozenset({"kubernetes-dev"})}
    program = declared()
    mount, method = program.one("Mount", "pki-mesh"), program.one("AuthBackend", "kubernetes-dev")
    assert (
        mount.inputs["description"]
        == method.inputs["description"]
        == ("mTLS trust of example.org (mtls-pki)")
    )
    assert mount.inputs["maxLeaseTtlSeconds"] == 24 * 3600


def test_everything_in_the_vault_comes_after_the_gate() -> None:
    """The SDK registers a component after what it depends on, and its children after it."""
    program = declared()
    gate = program.object("ConfigMap", "mesh-trust-stage")
    for kind in ("VaultPki", "VaultAuth"):
        (component,) = program.of(kind)
        assert gate.urn in component.dependencies
    above = {each.urn: each.kind for each in program.resources}
    held = [each for each in program.resources if each.type.startswith("vault:")]
    assert {above[each.parent] for each in held} == {"VaultPki", "VaultAuth"}


def test_an_api_server_whose_ca_nobody_names_is_a_mistake() -> None:
    with pytest.raises(pulumi.RunError, match=r"clusters\.dev\.apiServerCa: missing"):
        run_program(changed(VAULT))


def test_a_cluster_that_is_away_holds_nothing_in_the_vault_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    address(tmp_path, "https://127.0.0.1:6443", name="away")
    reach = {"kubeconfig": "away.kubeconfig", "apiServerCa": "api-ca.pem"}
    monkeypatch.setattr(
        clusters, "require_clusters", lambda _: clusters.Readiness(usable=frozenset({"dev"}))
    )
    program = declared({"clusters.away": reach})
    gates = {gate.name: gate.urn for gate in program.of("ConfigMap") if "gate" in gate.name}
    for kind in ("VaultPki", "VaultAuth"):
        for component in program.of(kind):
            assert gates["dev-gate"] in component.dependencies
            assert gates["away-gate"] not in component.dependencies


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize("changes", [{}, TWO], ids=["one", "outgoing"])
def test_no_rule_of_the_policy_pack_finds_fault(changes: dict[str, Any], preview: bool) -> None:
    assert findings(declared(changes, preview=preview)) == []


def test_the_policy_pack_does_see_the_vault() -> None:
    (finding,) = findings(declared({"issuing.vault.protect": False}))
    assert finding.startswith("pki-mount-protected: ")
