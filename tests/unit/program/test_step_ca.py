"""What the program declares of a step-ca, and of the issuers that ask it to sign."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.unit.program.conftest import _clusters_are_ready
from tests.unit.program.engine import Program, run_program
from tests.unit.settings.configuration import G2, changed

__all__ = ["_clusters_are_ready"]

STEP_CA: dict[str, Any] = {
    "issuing.backend": "step-ca",
    "issuing.stable": True,
    "issuing.stepCa": {"namespace": "app"},
}
ELSEWHERE = {
    "issuing.stepCa": {
        "namespace": "app",
        "deploy": False,
        "urls": {"g1": "https://ca.example.org:9443"},
    }
}


def configuration(program: Program, name: str = "step-ca-g1-i1") -> dict[str, Any]:
    text = program.object("ConfigMap", f"{name}-config").inputs["data"]["ca.json"]
    document: dict[str, Any] = json.loads(text)
    return document


@pytest.fixture(scope="module")
def program() -> Program:
    return run_program(changed(STEP_CA))


def test_the_issuers_name_the_provisioner_by_its_thumbprint(program: Program) -> None:
    (provisioner,) = configuration(program)["authority"]["provisioners"]
    for name in ("mtls-ca", "mtls-ca-g1-i1-step"):
        issuer = program.object("StepClusterIssuer", name)
        assert issuer.spec["url"] == "https://step-ca-g1-i1.app.svc"
        assert issuer.spec["provisioner"] == {
            "name": "cert-manager",
            "kid": provisioner["key"]["kid"],
            "passwordRef": {
                "name": "step-ca-g1-i1-provisioner-password",
                "key": "password",
                "namespace": "app",
            },
        }
    certificate = program.object("Certificate", "web")
    assert certificate.spec["issuerRef"]["group"] == "certmanager.step.sm"


def test_cert_manager_may_approve_for_each_issuer_and_for_no_other(program: Program) -> None:
    granted = {
        resource
        for role in program.of("ClusterRole")
        for rule in role.inputs["rules"]
        for resource in rule["resourceNames"]
    }
    assert granted == {
        "stepclusterissuers.certmanager.step.sm/mtls-ca",
        "stepclusterissuers.certmanager.step.sm/mtls-ca-g1-i1-step",
    }


def test_no_key_and_no_password_is_in_a_config_map(program: Program) -> None:
    passwords = {
        secret.inputs["stringData"].value["password"]
        for secret in program.of("Secret")
        if "password" in secret.inputs["stringData"].value
    }
    assert len(passwords) == 1
    public = json.dumps([each.inputs for each in program.of("ConfigMap")])
    assert "PRIVATE KEY" not in public
    assert not [each for each in passwords if each in public]
    certificates = program.object("ConfigMap", "step-ca-g1-i1-certs").inputs["data"]
    # Its own chain ends below the root, which clients have.
    assert certificates["intermediate_ca.crt"].count("BEGIN CERTIFICATE") == 1
    assert set(certificates) == {"intermediate_ca.crt", "root_ca.crt"}


def test_the_next_generation_has_a_step_ca_of_its_own_and_clients_trust_both() -> None:
    incoming = {"anchors.g1.role": "outgoing", "anchors.g2": {**G2, "role": "issuing"}}
    program = run_program(changed({**STEP_CA, **incoming}))
    assert (
        configuration(program)["authority"] != configuration(program, "step-ca-g2-i1")["authority"]
    )
    service = program.object("Service", "step-ca")
    assert service.spec["selector"]["app.kubernetes.io/instance"] == "step-ca-g2-i1"
    for name in ("mtls-ca-g1-i1-step", "mtls-ca-g2-i1-step"):
        bundle = base64.b64decode(program.object("StepClusterIssuer", name).spec["caBundle"])
        assert bundle.count(b"BEGIN CERTIFICATE") == 2


def test_where_somebody_else_runs_it_only_its_files_are_declared() -> None:
    program = run_program(changed({**STEP_CA, **ELSEWHERE}))
    assert not [*program.of("StatefulSet"), *program.of("Service"), *program.of("NetworkPolicy")]
    read = configuration(program)
    assert read["address"] == ":9443"
    assert "ca.example.org" in read["dnsNames"]
    issuer = program.object("StepClusterIssuer", "mtls-ca-g1-i1-step")
    assert issuer.spec["url"] == "https://ca.example.org:9443"


def test_an_issuer_of_a_namespace_reads_the_password_there() -> None:
    program = run_program(
        changed(
            {
                **STEP_CA,
                "issuing.kind": "Issuer",
                "issuing.stepCa": {"namespace": "identity"},
            }
        )
    )
    places = {
        secret.inputs["metadata"]["namespace"]
        for secret in program.of("Secret")
        if secret.inputs["metadata"]["name"].endswith("provisioner-password")
    }
    assert places == {"identity", "app"}
    issuer = program.object("StepIssuer", "mtls-ca-g1-i1-step")
    assert "namespace" not in issuer.spec["provisioner"]["passwordRef"]


def test_a_pod_runs_with_as_little_as_it_needs(program: Program) -> None:
    (workload,) = program.of("StatefulSet")
    pod = workload.spec["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    # What `ca.json` names is mounted.
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    read = configuration(program)
    for path in (*read["root"], read["crt"], read["key"], f"{read['db']['dataSource']}/x"):
        assert path.rpartition("/")[0] in mounted
