"""One wait for all Certificates: what is not Ready is named, and every way to apply goes on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from lab.errors import LabError
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import small_stack
from tests.integration.support.killing import kill_session
from tests.integration.support.stack import Run, Stack
from tests.unit.pki import material

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

POLICIES = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture
def stack_of(make_stack: MakeStack, plane: ControlPlane) -> Any:
    """Make a stack with so many services, not applied yet."""

    def make(name: str, count: int) -> Stack:
        stack = make_stack(name)
        stack.write(small_stack(name, plane.kubeconfig, services=services(name, count)))
        stack.init()
        return stack

    return make


def services(namespace: str, count: int) -> dict[str, Any]:
    return {f"s{number:02}": {"namespace": namespace} for number in range(count)}


def failed(run: Run, *said: str) -> None:
    assert run.status != 0, run.output
    assert "Traceback" not in run.output
    for text in said:
        assert text in run.output, run.output


def spoil(api: Api, stack: Stack) -> None:
    """Give the issuer a key that is not its certificate's, so that it signs nothing any more."""
    path = f"/api/v1/namespaces/{stack.name}/secrets/{stack.name}-ca-g1-i1"
    cluster.patch(api, path, {"stringData": {"tls.key": material.key_pem("another")}})


def renew(api: Api, namespace: str, name: str) -> None:
    """Have a Certificate issued again, as `cmctl renew` does."""
    path = f"{cluster.CERT_MANAGER}/namespaces/{namespace}/certificates/{name}"
    live = api.request("GET", path)
    others = [each for each in live["status"]["conditions"] if each["type"] != "Issuing"]
    issuing = {"type": "Issuing", "status": "True", "reason": "Test", "message": "again"}
    body = {"status": {"conditions": [*others, issuing]}}
    api.request("PATCH", f"{path}/status", body, content_type="application/merge-patch+json")


@contextmanager
def denied(api: Api, namespace: str, name: str) -> Iterator[None]:
    """The API server refuses a Certificate of this name, and says so."""
    policy = f"no-{namespace}-{name}"
    rule = {
        "apiGroups": ["cert-manager.io"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["certificates"],
    }
    fine = f"object.metadata.namespace != '{namespace}' || object.metadata.name != '{name}'"
    made: dict[str, Mapping[str, Any]] = {
        "ValidatingAdmissionPolicy": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [rule]},
            "validations": [{"expression": fine, "message": "not this one"}],
        },
        "ValidatingAdmissionPolicyBinding": {
            "policyName": policy,
            "validationActions": ["Deny"],
        },
    }
    collections = {
        "ValidatingAdmissionPolicy": f"{POLICIES}/validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": f"{POLICIES}/validatingadmissionpolicybindings",
    }
    for kind, spec in made.items():
        head = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind}
        api.request("POST", collections[kind], {**head, "metadata": {"name": policy}, "spec": spec})
    _wait_until_denied(api, namespace, name)
    try:
        yield
    finally:
        for kind in reversed(collections):
            api.request("DELETE", f"{collections[kind]}/{policy}")


def _wait_until_denied(api: Api, namespace: str, name: str) -> None:
    """The API server learns of a policy a moment after it is made."""
    collection = f"{cluster.CERT_MANAGER}/namespaces/{namespace}/certificates?dryRun=All"
    spec = {"secretName": name, "dnsNames": [name], "issuerRef": {"name": name}}
    head = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate"}

    def refused() -> bool:
        try:
            api.request("POST", collection, {**head, "metadata": {"name": name}, "spec": spec})
        except LabError as error:
            return "not this one" in str(error)
        return False

    cluster.wait_for(refused, "refusal")


def test_every_certificate_that_is_not_ready_is_named_in_one_message(
    api: Api, stack_of: Any
) -> None:
    stack = stack_of("unreadies", 0)
    stack.up()
    spoil(api, stack)
    values = stack.read()
    stack.write({**values, "services": services("unreadies", 13)})
    run = stack.try_up_in_vain(20)
    failed(
        run,
        "cluster dev: 13 of 13 Certificates are not Ready, and none became so for 20s",
        "Certificate unreadies/s00: ",
        "provided PrivateKey doesn't match parent's PublicKey",
        "and 3 more: unreadies/s10, unreadies/s11, unreadies/s12",
        "mtls-pki reissue --failed",
    )
    assert run.output.count("and 3 more:") == 1
    # The way out that it names is one, and no object was made twice.
    stack.refresh()
    stack.try_up_in_vain(5)
    assert stack.rotation("reissue", "--failed").returncode == 0
    assert stack.up().changes == {}


def test_an_up_without_a_change_asks_too_and_a_preview_never_waits(api: Api, stack_of: Any) -> None:
    stack = stack_of("broke", 2)
    stack.up()
    spoil(api, stack)
    api.request("DELETE", "/api/v1/namespaces/broke/secrets/s00-tls")
    run = stack.try_up_in_vain(10)
    assert run.changes == {}
    failed(run, "cluster dev: 1 of 2 Certificates is not Ready", "Certificate broke/s00: ")
    assert "broke/s01" not in run.output
    begun = time.monotonic()
    preview = stack.preview()
    assert preview.status == 0, preview.output
    # Its readyTimeout is five minutes.
    assert time.monotonic() - begun < 120


def test_a_leaf_of_another_ca_under_the_issuers_name_is_not_ready(api: Api, stack_of: Any) -> None:
    """cert-manager compares names, so to it that Certificate is Ready."""
    stack = stack_of("usurped", 2)
    stack.up()
    strange = {"tls.crt": material.root("strange"), "tls.key": material.key_pem("strange")}
    path = "/api/v1/namespaces/usurped/secrets/usurped-ca-g1-i1"
    cluster.patch(api, path, {"stringData": strange})
    renew(api, "usurped", "s01")
    cluster.wait_for(
        lambda: cluster.certificates(api, "usurped")["s01"]["status"].get("revision") == 2,
        "second leaf",
    )
    failed(
        stack.try_up_in_vain(10),
        "cluster dev: 1 of 2 Certificates is not Ready",
        "Certificate usurped/s01: its leaf, of CertificateRequest s01-2, does not lead to the "
        "anchor of Issuer usurped-ca-g1-i1",
    )
    stack.refresh()
    stack.try_up_in_vain(5)
    renew(api, "usurped", "s01")
    assert stack.up().changes == {}


def test_a_target_is_made_alone_and_others_are_not_waited_for(api: Api, stack_of: Any) -> None:
    stack = stack_of("aimed", 1)
    stack.up()
    values = stack.read()
    stack.write({**values, "services": services("aimed", 3)})
    run = stack.up("--target", "**aimed/s01")
    assert set(run.changes) == {"dev/aimed/s01"}
    live = cluster.certificates(api, "aimed")
    assert set(live) == {"s00", "s01"}
    assert all(map(cluster.is_ready, live.values()))
    assert set(stack.up().changes) == {"dev/aimed/s02"}


def test_what_can_be_applied_is_awaited_beside_what_cannot(api: Api, stack_of: Any) -> None:
    stack = stack_of("partly", 1)
    stack.up()
    values = stack.read()
    stack.write({**values, "services": services("partly", 4)})
    with denied(api, "partly", "s02"):
        run = stack.try_up("--continue-on-error")
    failed(run, "not this one")
    live = cluster.certificates(api, "partly")
    assert set(live) == {"s00", "s01", "s03"}
    # They were waited for, and nothing is said of them.
    assert all(map(cluster.is_ready, live.values()))
    assert "are not Ready" not in run.output
    assert set(stack.up().changes) == {"dev/partly/s02"}


@contextmanager
def waiting(api: Api, stack: Stack, count: int) -> Iterator[subprocess.Popen[bytes]]:
    """An `up` of so many Certificates that do not become Ready, while nothing but that keeps it."""
    spoil(api, stack)
    stack.write({**stack.read(), "services": services(stack.name, count)})
    running = stack.start_up()
    try:
        # The engine writes down each that was applied.
        cluster.wait_for(lambda: len(stack.certificates_in_state()) == count, "certificates")
        assert running.poll() is None
        yield running
    finally:
        kill_session(running.pid)
        running.wait()


def test_a_run_that_is_killed_while_it_waits_is_gone_on_with(api: Api, stack_of: Any) -> None:
    stack = stack_of("cut", 0)
    stack.up()
    with waiting(api, stack, 3):
        pass
    stack.must("cancel", "--yes", "cut")
    run = stack.try_up_in_vain(10)
    assert not {op for op in run.changes.values() if op != "update"}, run.changes
    failed(run, "cluster dev: 3 of 3 Certificates are not Ready")


def test_ctrl_c_ends_the_wait(api: Api, stack_of: Any) -> None:
    stack = stack_of("broken-off", 0)
    stack.up()
    with waiting(api, stack, 2) as running:
        running.terminate()
        # It would wait for five minutes.
        assert running.wait(60) != 0
    assert stack.try_up_in_vain(5).changes == {}


def test_a_target_of_a_stack_that_has_no_anchor_yet_waits_for_nothing(stack_of: Any) -> None:
    stack = stack_of("not-begun", 1)
    run = stack.up("--target", "**::dev/not-begun")
    assert set(run.changes) == {"tls", "dev", "dev/not-begun"}
