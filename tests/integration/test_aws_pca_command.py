"""``mtls-pki aws-pca`` on moto's server, kept to AWS's pages (``lab.aws_pca_authority``)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from lab import aws_pca, ports
from lab.paths import Paths
from lab.processes import start, stop
from tests.integration.support.cluster import wait_for
from tests.unit.stack_project import PROJECT, STACK

pytestmark = [pytest.mark.xdist_group("aws-pca-command"), pytest.mark.timeout(300)]

REGION = "eu-central-1"
# Each step of AWS at which a run can end, in the order of the first CA.
OPERATIONS = (
    "CreateCertificateAuthority",
    "IssueCertificate",
    "ImportCertificateAuthorityCertificate",
    "GetCertificateAuthorityCertificate",
)


@dataclass
class Account:
    """The account, and a project whose stack file has no anchor of it yet."""

    url: str
    faults: Path
    projects: Path
    made: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def client(self) -> Any:
        return boto3.client(
            "acm-pca",
            region_name=REGION,
            endpoint_url=self.url,
            aws_access_key_id="lab",
            aws_secret_access_key="lab",  # noqa: S106 the server takes any
        )

    def authorities(self, stack: str) -> Counter[str]:
        """How many CAs of each type carry the tags of a stack."""
        client, found = self.client, Counter[str]()
        for page in client.get_paginator("list_certificate_authorities").paginate():
            for ca in page["CertificateAuthorities"]:
                tags = client.list_tags(CertificateAuthorityArn=ca["Arn"])["Tags"]
                if {"Key": "mtls-pki:owner", "Value": f"mtls-pki/{stack}"} in tags:
                    found[ca["Type"]] += 1
        return found

    def fail(self, **faults: str) -> None:
        """Answer these operations with these errors from now on."""
        self.faults.write_text(json.dumps(faults))


@dataclass
class Project:
    """One project, whose stack nobody else in the account has."""

    account: Account
    directory: Path

    @property
    def stack(self) -> str:
        return self.directory.name

    @property
    def file(self) -> Path:
        return self.directory / f"Pulumi.{self.stack}.yaml"

    def config(self) -> dict[str, Any]:
        config: dict[str, Any] = yaml.safe_load(self.file.read_text())["config"]
        return config

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "mtls_pki", "aws-pca", *arguments],
            cwd=self.directory,
            env={**os.environ, **self.account.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments, **environment) as process:
            out, error = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, out, error)


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with tempfile.TemporaryDirectory(prefix="mtls-pki-aws-") as root:
        paths = Paths(root=Path(root), name="aws")
        chosen = {aws_pca.NAME: ports.choose(None, avoid=())}
        program = aws_pca.AWS_PCA.program
        spec = program.spec(paths, chosen, aws_pca.AWS_PCA.binary())
        pid_file = paths.pid_file(aws_pca.NAME)
        start(
            spec,
            pid_file=pid_file,
            log=paths.log(aws_pca.NAME),
            environment={"PATH": os.environ["PATH"], "HOME": root},
        )
        try:
            wait_for(lambda: aws_pca.AWS_PCA.advance(paths, chosen) is None, "AWS Private CA")
            url = aws_pca.endpoint(chosen)
            yield Account(
                url=url,
                faults=aws_pca.faults(paths),
                projects=Path(root),
                environment={
                    "AWS_ENDPOINT_URL": url,
                    "AWS_REGION": REGION,
                    "AWS_ACCESS_KEY_ID": "lab",
                    "AWS_SECRET_ACCESS_KEY": "lab",
                    "AWS_CONFIG_FILE": os.devnull,
                    "AWS_EC2_METADATA_DISABLED": "true",
                    "PYTHONPATH": str(Path(__file__).parents[2]),
                },
            )
        finally:
            stop([pid_file])


@pytest.fixture
def project(account: Account) -> Iterator[Project]:
    account.made += 1
    made = Project(account, account.projects / f"stack-{account.made}")
    made.directory.mkdir()
    (made.directory / "Pulumi.yaml").write_text(PROJECT)
    made.file.write_text(STACK)
    yield made
    account.faults.unlink(missing_ok=True)


def test_both_cas_are_made_and_an_anchor_is_written(account: Account, project: Project) -> None:
    before = project.file.read_text()
    done = project.run("create", "g2", "--organization", "Example Ltd")
    assert done.returncode == 0, done.stderr
    assert account.authorities(project.stack) == {"ROOT": 1, "SUBORDINATE": 1}
    config = project.config()
    assert config["mtls-pki:anchors"]["g2"] == {
        "role": "incoming",
        "backend": "aws-pca",
        "certificate": "trust/g2.pem",
        "issuingCa": {"certificate": "trust/g2-issuing.pem"},
    }
    arn = config["mtls-pki:issuing"]["awsPca"]["authorities"]["g2"]
    assert arn.startswith(f"arn:aws:acm-pca:{REGION}:")
    # Nothing else of the file changed, comments included.
    assert {line for line in before.splitlines() if "issuing:" not in line} <= {
        *project.file.read_text().splitlines()
    }
    assert "+    g2:" in done.stdout
    trust = project.directory / "trust"
    verified = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-CAfile", "g2.pem", "g2-issuing.pem"],
        cwd=trust,
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.stdout == "g2-issuing.pem: OK\n", verified.stderr
    text = (trust / "g2-issuing.pem").read_text()
    assert "PRIVATE" not in text + done.stdout + done.stderr


def test_the_same_command_again_makes_nothing(account: Account, project: Project) -> None:
    assert project.run("create", "g2").returncode == 0
    before = project.file.read_text()
    again = project.run("create", "g2")
    assert again.returncode == 0, again.stderr
    assert "making the CA" not in again.stderr
    assert "says so already" in again.stderr
    assert account.authorities(project.stack) == {"ROOT": 1, "SUBORDINATE": 1}
    assert project.file.read_text() == before


def test_a_dry_run_makes_and_writes_nothing(account: Account, project: Project) -> None:
    done = project.run("create", "g2", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "root-g2.example.org: would be made" in done.stderr
    assert account.authorities(project.stack) == {}
    assert project.file.read_text() == STACK
    assert not (project.directory / "trust").exists()


@pytest.mark.parametrize("operation", OPERATIONS)
def test_it_goes_on_where_aws_refused(account: Account, project: Project, operation: str) -> None:
    account.fail(**{operation: "AccessDeniedException"})
    refused = project.run("create", "g2")
    assert refused.returncode == 1, refused.stderr
    assert "AccessDeniedException" in refused.stderr
    assert "compare its IAM policy" in refused.stderr
    assert "the same command goes on from there" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert project.file.read_text() == STACK
    account.fail()
    assert project.run("create", "g2").returncode == 0
    assert account.authorities(project.stack) == {"ROOT": 1, "SUBORDINATE": 1}


@pytest.mark.parametrize("step", [1, 2, 4, 6])
def test_it_goes_on_after_it_was_killed(account: Account, project: Project, step: int) -> None:
    with project.start("create", "g2") as process:
        assert process.stderr is not None
        for _ in range(step):
            process.stderr.readline()
        process.send_signal(signal.SIGKILL)
    done = project.run("create", "g2")
    assert done.returncode == 0, done.stderr
    assert account.authorities(project.stack) == {"ROOT": 1, "SUBORDINATE": 1}
    assert project.config()["mtls-pki:anchors"]["g2"]["role"] == "incoming"


def test_a_ca_that_exists_is_brought_by_its_arn(account: Account, project: Project) -> None:
    assert project.run("create", "g2").returncode == 0
    arn = project.config()["mtls-pki:issuing"]["awsPca"]["authorities"]["g2"]
    project.file.write_text(STACK)
    shown = project.run("add", "g3", arn, "--dry-run", "--directory", "other")
    assert shown.returncode == 0, shown.stderr
    assert not list((project.directory / "other").glob("*"))
    assert project.file.read_text() == STACK
    elsewhere = account.projects / "elsewhere"
    done = project.run("add", "g3", arn, "--directory", str(elsewhere))
    assert done.returncode == 0, done.stderr
    config = project.config()
    assert config["mtls-pki:issuing"]["awsPca"]["authorities"] == {"g3": arn}
    assert config["mtls-pki:anchors"]["g3"]["certificate"] == str(elsewhere / "g3.pem")


def test_a_root_signs_no_leaves(account: Account, project: Project) -> None:
    assert project.run("create", "g2").returncode == 0
    roots = [
        ca["Arn"]
        for ca in account.client.list_certificate_authorities()["CertificateAuthorities"]
        if ca["Type"] == "ROOT"
    ]
    refused = project.run("add", "g3", roots[0])
    assert refused.returncode == 1
    assert f"create GENERATION --root {roots[0]}" in refused.stderr
    shared = project.run("create", "g3", "--root", roots[0])
    assert shared.returncode == 1
    assert "is the root of anchors.g2 already" in shared.stderr
    project.file.write_text(STACK)
    # Which is what the remedy says.
    below = project.run("create", "g3", "--root", roots[0])
    assert below.returncode == 0, below.stderr
    assert account.authorities(project.stack) == {"ROOT": 1, "SUBORDINATE": 2}


def test_a_retired_generation_takes_its_arn_with_it(project: Project) -> None:
    assert project.run("create", "g2").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "mtls_pki", "retire", "g2"],
        cwd=project.directory,
        env={**os.environ, **project.account.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "g2" not in json.dumps(project.config(), default=str)


@pytest.mark.parametrize(
    ("arguments", "environment", "words"),
    [
        (("add", "g2", "arn:aws:s3:::bucket"), {}, "no ARN of a private CA"),
        (("create", "g2"), {"AWS_REGION": ""}, "give --region, or set AWS_REGION"),
        (
            ("create", "g2"),
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""},
            "set AWS_PROFILE",
        ),
        (
            ("create", "g2"),
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"},
            "nothing answers at AWS's endpoint",
        ),
        (("create", "g1"), {}, "anchors.g1 is there already"),
    ],
)
def test_bad_input_gets_one_clear_message(
    account: Account,
    project: Project,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    words: str,
) -> None:
    done = project.run(*arguments, **environment)
    assert done.returncode == 1, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert project.file.read_text() == STACK
    assert account.authorities(project.stack) == {}
