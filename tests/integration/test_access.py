"""Client certificates by Kubernetes' own signing requests, under the roles that deploy/ ships."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.lab_fixtures import Lab
from tests.integration.support.project import PROJECT as CHECKOUT
from tests.unit.stack_project import PROJECT, STACK

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("access"), pytest.mark.timeout(300)]

KUBECTL = Path(sys.executable).with_name("kubectl")
REQUESTERS, APPROVERS = "example:access-requesters", "example:access-approvers"
ADMINS = "example:admins"
CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_BINDING_PATH = f"{_BINDINGS}/mtls-pki-access-user"


@pytest.fixture(scope="module")
def access_plane(lab: Lab) -> Iterator[ControlPlane]:
    with lab.during("access") as plane, contextlib.closing(plane.api()) as api:
        for name in ("request", "approve", "user"):
            text = (CHECKOUT / f"deploy/rbac-access-{name}.yaml").read_text()
            for manifest in yaml.safe_load_all(text):
                api.apply(manifest)
        yield plane


@pytest.fixture(scope="module")
def admin(access_plane: ControlPlane) -> Iterator[Api]:
    with contextlib.closing(access_plane.api()) as api:
        yield api


@dataclass
class Desk:
    """A project of the person who asks, and one of the person who approves."""

    directory: Path
    plane: ControlPlane

    def run(self, group: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``mtls-pki access ARGUMENTS`` of somebody who is in ``group`` and in no other."""
        kubeconfig = self.directory / f"{group.partition(':')[2]}.kubeconfig"
        if not kubeconfig.exists():
            self.plane.kubeconfig_for(f"somebody in {group}", [group], kubeconfig)
        (self.directory / "Pulumi.yaml").write_text(PROJECT)
        text = STACK.replace("dev.kubeconfig", str(kubeconfig))
        (self.directory / "Pulumi.dev.yaml").write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "mtls_pki", "access", *arguments],
            cwd=self.directory,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, group: str, *arguments: str) -> str:
        done = self.run(group, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def request(self, name: str, subject: str, *options: str) -> Path:
        """Make a key and a request as the guide does, with openssl."""
        file = self.directory / f"{name}.csr"
        subprocess.run(
            [
                *("openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
                *("-nodes", "-keyout", str(file.with_suffix(".key")), "-out", str(file)),
                *("-subj", subject, *options),
            ],
            check=True,
            capture_output=True,
        )
        return file

    def fetch(self, name: str, key: Path, output: Path) -> subprocess.CompletedProcess[str]:
        """``mtls-pki access kubeconfig`` of a requester."""
        options = ("--key", str(key), "--output", str(output))
        return self.run(REQUESTERS, "kubeconfig", name, *options)

    def kubectl(self, kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [KUBECTL, "--kubeconfig", kubeconfig, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(self.directory)},
        )


@pytest.fixture
def desk(access_plane: ControlPlane, tmp_path: Path) -> Desk:
    return Desk(tmp_path, access_plane)


def name_of(output: str) -> str:
    return next(
        line.split()[1].rstrip(":") for line in output.splitlines() if line.startswith("request ")
    )


def test_the_walk_through(desk: Desk, admin: Api) -> None:
    """Key, request, approval by kubectl, kubeconfig, renewal, withdrawal."""
    file = desk.request("jane", f"/O={ADMINS}/CN=jane")
    told = desk.must(REQUESTERS, "request", str(file), "--valid-for", "1h")
    name = name_of(told)
    assert f"kubectl certificate approve {name}" in told
    assert ADMINS in told
    waiting = desk.fetch(str(file), file.with_suffix(".key"), desk.directory / "none")
    assert waiting.returncode == 1
    assert "waits for approval" in waiting.stderr
    # Asking again is asking once, and says how far it is.
    assert name_of(desk.must(REQUESTERS, "request", str(file), "--valid-for", "1h")) == name

    # Whoever asks cannot approve.
    refused = desk.run(REQUESTERS, "approve", name, "--yes")
    assert refused.returncode == 1
    assert "deploy/rbac-access-approve.yaml" in refused.stderr
    approver = desk.plane.kubeconfig_for("boss", [APPROVERS], desk.directory / "boss")
    approved = desk.kubectl(approver, "certificate", "approve", name)
    assert approved.returncode == 0, approved.stderr

    first = desk.directory / "jane.kubeconfig"
    assert desk.fetch(str(file), file.with_suffix(".key"), first).returncode == 0
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert desk.kubectl(first, "get", "namespaces").returncode == 0
    who = json.loads(desk.kubectl(first, "auth", "whoami", "-o", "json").stdout)
    assert who["status"]["userInfo"]["username"] == "jane"
    # The signer takes five minutes off what was asked for.
    certificate = yaml.safe_load(first.read_text())["users"][0]["user"]["client-certificate-data"]
    checked = desk.must(REQUESTERS, "check", str(first))
    assert "certificate O=example:admins,CN=jane" in checked or "CN=jane" in checked
    assert "cluster CA" in checked
    assert "PRIVATE" not in checked
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "keyUsage,extendedKeyUsage"],
        input=base64.b64decode(certificate),
        capture_output=True,
        check=True,
    ).stdout.decode()
    assert "Digital Signature" in shown
    assert "TLS Web Client Authentication" in shown

    # Renewal: a new key; the old one works until its end.
    new = desk.request("jane-2", f"/O={ADMINS}/CN=jane")
    renewed = name_of(desk.must(REQUESTERS, "request", str(new)))
    assert renewed != name
    assert "approved" in desk.must(APPROVERS, "approve", renewed, "--yes")
    second = desk.directory / "jane-2.kubeconfig"
    assert desk.fetch(renewed, new.with_suffix(".key"), second).returncode == 0
    for kubeconfig in (first, second):
        assert desk.kubectl(kubeconfig, "get", "namespaces").returncode == 0

    # Withdrawal: nothing is revoked; the binding goes, for everybody in the group.
    binding = admin.request("GET", _BINDING_PATH)
    admin.request("DELETE", _BINDING_PATH)
    try:
        for kubeconfig in (first, second):
            denied = desk.kubectl(kubeconfig, "get", "namespaces")
            assert denied.returncode != 0
            assert "forbidden" in denied.stderr.lower()
    finally:
        del binding["metadata"]["resourceVersion"], binding["metadata"]["uid"]
        admin.request("POST", _BINDINGS, binding)


def test_a_key_of_somebody_else_is_not_written(desk: Desk) -> None:
    file, other = desk.request("kim", "/CN=kim"), desk.request("other", "/CN=kim")
    name = name_of(desk.must(REQUESTERS, "request", str(file)))
    desk.must(APPROVERS, "approve", name, "--yes")
    output = desk.directory / "kim.kubeconfig"
    refused = desk.fetch(name, other.with_suffix(".key"), output)
    assert refused.returncode == 1
    assert "certifies another key" in refused.stderr
    assert "PRIVATE" not in refused.stderr
    assert not output.exists()
    output.write_text("mine")
    again = desk.fetch(name, file.with_suffix(".key"), output)
    assert again.returncode == 1
    assert "is there already" in again.stderr
    assert output.read_text() == "mine"


def test_denied_stays_denied(desk: Desk) -> None:
    file = desk.request("lou", "/CN=lou")
    name = name_of(desk.must(REQUESTERS, "request", str(file)))
    desk.must(APPROVERS, "deny", name, "--yes", "--reason", "left the team")
    again = desk.run(REQUESTERS, "request", str(file))
    assert again.returncode == 1
    assert "ask again with a new key" in again.stderr
    late = desk.run(APPROVERS, "approve", name, "--yes")
    assert late.returncode == 1
    assert "cannot be taken back" in late.stderr
    fetched = desk.fetch(name, file.with_suffix(".key"), desk.directory / "lou.kubeconfig")
    assert fetched.returncode == 1
    assert "left the team" in fetched.stderr
    assert "ask again with a new key" in fetched.stderr


def test_approved_and_failed_at_once_is_told(desk: Desk, admin: Api) -> None:
    """A request with usages that the signer refuses: taken, approved, and never signed."""
    file = desk.request("max", "/CN=max")
    name = name_of(desk.must(REQUESTERS, "request", str(file)))
    spec = admin.request("GET", f"{CSRS}/{name}")["spec"]
    admin.request("DELETE", f"{CSRS}/{name}")
    wrong = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            **{key: spec[key] for key in ("request", "signerName")},
            "usages": ["client auth", "server auth"],
        },
    }
    admin.request("POST", CSRS, wrong)
    desk.must(APPROVERS, "approve", name, "--yes")
    fetched = desk.fetch(name, file.with_suffix(".key"), desk.directory / "max.kubeconfig")
    assert fetched.returncode == 1
    assert "was approved, but the signer refuses it (SignerValidationFailure" in fetched.stderr


def test_cleaned_away_before_it_was_fetched(desk: Desk, admin: Api) -> None:
    file = desk.request("nat", "/CN=nat")
    name = name_of(desk.must(REQUESTERS, "request", str(file)))
    admin.request("DELETE", f"{CSRS}/{name}")
    fetched = desk.fetch(str(file), file.with_suffix(".key"), desk.directory / "nat.kubeconfig")
    assert fetched.returncode == 1
    assert "the cluster has removed it" in fetched.stderr
    assert "submit it again" in fetched.stderr


@pytest.mark.parametrize(
    ("subject", "options", "words"),
    [
        ("/O=system:masters/CN=eve", (), "system:masters may do everything"),
        ("/CN=system:admin", (), "names that begin with system:"),
        ("/O=team", (), "0 CN; write one"),
        ("/CN=eve/OU=it", (), "its subject has OU"),
        ("/CN=eve", ("--valid-for", "5m"), "issues nothing below 10m0s"),
    ],
)
def test_what_nobody_is_given_is_refused_before_it_is_submitted(
    desk: Desk, admin: Api, subject: str, options: tuple[str, ...], words: str
) -> None:
    before = len(admin.request("GET", CSRS)["items"])
    file = desk.request("eve", subject)
    refused = desk.run(REQUESTERS, "request", str(file), *options)
    assert refused.returncode == 1
    assert words in refused.stderr
    assert len(admin.request("GET", CSRS)["items"]) == before


def _cut(text: str) -> str:
    return text[: len(text) // 2]


@pytest.mark.parametrize(
    ("change", "words"), [(_cut, "is no PEM"), (lambda _: "hello", "is no PEM")]
)
def test_a_file_that_is_no_request(desk: Desk, change: Callable[[str], str], words: str) -> None:
    file = desk.request("ann", "/CN=ann")
    file.write_text(change(file.read_text()))
    refused = desk.run(REQUESTERS, "request", str(file))
    assert refused.returncode == 1
    assert words in refused.stderr


def test_a_cluster_ca_that_went_stale_is_found(desk: Desk, access_plane: ControlPlane) -> None:
    kubeconfig = desk.plane.kubeconfig_for("old", ["old"], desk.directory / "old")
    document = yaml.safe_load(kubeconfig.read_text())
    other = desk.directory / "other"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", f"{other}.key", "-out", f"{other}.crt", "-subj", "/CN=former"),
        ],
        check=True,
        capture_output=True,
    )
    stale = base64.b64encode(Path(f"{other}.crt").read_bytes()).decode()
    document["clusters"][0]["cluster"]["certificate-authority-data"] = stale
    kubeconfig.write_text(yaml.safe_dump(document))
    checked = desk.run(REQUESTERS, "check", str(kubeconfig))
    assert checked.returncode == 1
    assert "the cluster has another CA now" in checked.stderr


def test_an_approval_that_nobody_can_confirm_needs_yes(desk: Desk) -> None:
    file = desk.request("pat", "/CN=pat")
    name = name_of(desk.must(REQUESTERS, "request", str(file)))
    asked = desk.run(APPROVERS, "approve", name)
    assert asked.returncode == 2
    assert "give --yes" in asked.stderr


@pytest.mark.parametrize("name", ["../../v1/secrets", "NAME", "a b", "admin.csr"])
def test_what_is_no_name_is_asked_of_nobody(desk: Desk, name: str) -> None:
    refused = desk.run(APPROVERS, "approve", name, "--yes")
    assert refused.returncode == 1
    wanted = "the cluster has removed it" if name == "admin.csr" else "is neither a file nor"
    assert wanted in refused.stderr
