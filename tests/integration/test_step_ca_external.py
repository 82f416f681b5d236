"""A step-ca that somebody else made with ``step ca init``, brought by its address and its chain."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from lab import ports, toolchain
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.chains import openssl_complaint
from tests.integration.support.configuration import small_stack
from tests.integration.support.stack import Stack

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("step-ca-external"),
    pytest.mark.timeout(600),
]

NAME = "theirs"
SECONDS = 30


@dataclass(frozen=True)
class Theirs:
    """The running step-ca, with the files that its owner hands over."""

    url: str
    home: Path
    kid: str

    @property
    def root(self) -> Path:
        return self.home / "certs/root_ca.crt"

    @property
    def intermediate(self) -> Path:
        return self.home / "certs/intermediate_ca.crt"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theirs]:
    home = tmp_path_factory.mktemp("theirs")
    port = ports.choose(None, avoid=())
    password = home / "password"
    password.write_text("the password of somebody else")
    binaries = {**toolchain.ensure("step"), **toolchain.ensure("step-ca")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "STEPPATH": str(home)}
    subprocess.run(
        [
            *(
                binaries["step"],
                "ca",
                "init",
                "--name",
                "Theirs",
                "--deployment-type",
                "standalone",
            ),
            *("--dns", ports.LOOPBACK, "--address", f"{ports.LOOPBACK}:{port}"),
            *("--provisioner", "admin", "--password-file", password),
        ],
        check=True,
        capture_output=True,
        env=environment,
    )
    configuration = json.loads((home / "config/ca.json").read_text())
    (provisioner,) = configuration["authority"]["provisioners"]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [binaries["step-ca"], "--password-file", password, home / "config/ca.json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        made = Theirs(f"https://{ports.LOOPBACK}:{port}", home, provisioner["key"]["kid"])
        pool = urllib3.PoolManager(ca_certs=str(made.root), retries=False)
        end = time.monotonic() + SECONDS
        while True:
            with contextlib.suppress(urllib3.exceptions.HTTPError):
                if pool.request("GET", f"{made.url}/health").status == 200:
                    break
            assert time.monotonic() < end, (home / "log").read_text()
            time.sleep(0.1)
        yield made
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def plane(lab: Lab) -> Iterator[ControlPlane]:
    with lab.during(NAME, with_=("step-issuer",)) as plane:
        yield plane


def configuration(plane: ControlPlane, theirs: Theirs, **external: Any) -> dict[str, Any]:
    values = small_stack(NAME, plane.kubeconfig)
    values["anchors"] = {
        "g1": {
            "role": "issuing",
            "certificate": str(theirs.root),
            "issuingCa": {"certificate": str(theirs.intermediate)},
        }
    }
    values["issuing"] = {
        "backend": "step-ca",
        "name": f"{NAME}-ca",
        "leaf": {"duration": "12h", "renewBefore": "4h"},
        "readyTimeout": "30s",
        "stepCa": {
            "namespace": NAME,
            "urls": {"g1": theirs.url},
            "external": {
                "g1": {
                    "kid": theirs.kid,
                    "provisioner": "admin",
                    "passwordSecret": {"namespace": "cert-manager", "name": "theirs"},
                    **external,
                }
            },
        },
    }
    return values


@pytest.fixture(scope="module")
def stack(make_stack: MakeStack, plane: ControlPlane, theirs: Theirs) -> Stack:
    password = (theirs.home / "password").read_text()
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "theirs"},
        "stringData": {"password": password},
    }
    with contextlib.closing(plane.api()) as api:
        api.apply_text("/api/v1/namespaces/cert-manager/secrets/theirs", json.dumps(secret))
    stack = make_stack(NAME)
    stack.write(configuration(plane, theirs))
    stack.init()
    return stack


def test_its_name_in_place_of_its_kid_is_a_mistake(
    stack: Stack, plane: ControlPlane, theirs: Theirs
) -> None:
    stack.write(configuration(plane, theirs, kid="admin"))
    refused = stack.preview()
    assert refused.status != 0
    assert "issuing.stepCa.external.g1.kid: 'admin' is no thumbprint" in refused.output


def test_it_signs_below_the_anchor(
    stack: Stack, plane: ControlPlane, theirs: Theirs, tmp_path: Path
) -> None:
    stack.write(configuration(plane, theirs))
    stack.up()
    with contextlib.closing(plane.api()) as api:
        leaf = cluster.secret(api, NAME, "web-tls")
        bundle = cluster.config_map(api, NAME, f"{NAME}-trust")["ca.crt"]
    assert not (complaint := openssl_complaint(leaf["tls.crt"], bundle)), complaint
    # Nothing of it is made here: no key, no provisioner, no Secret of an issuing CA.
    exported = json.loads(stack.must("stack", "export").output)
    kinds = {each["type"] for each in exported["deployment"]["resources"]}
    assert "tls:index/privateKey:PrivateKey" not in kinds
    assert "mtls-pki:index:StepCa" not in kinds
    outputs = json.loads(stack.must("stack", "output", "--json").output)["stepCa"]["g1"]
    step = toolchain.ensure("step")["step"]
    fingerprint = subprocess.run(
        [step, "certificate", "fingerprint", theirs.root],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert outputs["fingerprint"] == fingerprint
    # What a person does with the outputs.
    subprocess.run(
        [step, "ca", "bootstrap", "--ca-url", outputs["url"], "--fingerprint", fingerprint],
        check=True,
        capture_output=True,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STEPPATH": str(tmp_path / "step")},
    )
    assert (tmp_path / "step/certs/root_ca.crt").read_text().strip() == outputs["root"].strip()
    assert stack.preview("--expect-no-changes").status == 0
