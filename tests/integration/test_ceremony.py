"""docs/ceremony.md, run as it is written: with OpenSSL for backend ca, with step for a Vault."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab import toolchain
from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.pki.parsing import parse_certificate, parse_certificates
from mtls_pki.pki.signatures import is_signed_by
from tests.integration.conftest import MakeStack
from tests.integration.support.cluster import secret
from tests.integration.support.configuration import small_stack
from tests.integration.support.stack import Stack
from tests.integration.support.vault import Vault

pytestmark = [pytest.mark.lab, pytest.mark.engine]

_PAGE = Path(__file__).parents[2] / "docs" / "ceremony.md"
_ROOT = """
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out root.key
openssl req -x509 -new -key root.key -subj /CN=offline-root -days 3650 -sha256 -out root.pem \
  -addext keyUsage=critical,keyCertSign,cRLSign -addext basicConstraints=critical,CA:TRUE,pathlen:1
"""


def _commands(kind: str) -> str:
    """The commands of the page's block: ``""`` for that of the request, else the tool's."""
    found = re.search(rf"^```sh{kind and ' ' + kind}\n(.*?)^```", _PAGE.read_text(), re.S | re.M)
    assert found, kind
    return found[1]


def _run(stack: Stack, directory: Path, commands: str) -> None:
    step = toolchain.ensure("step")["step"].parent
    environment = stack.engine.environment(stack.environment)
    path = os.pathsep.join((str(step), str(stack.engine.pulumi.parent), environment["PATH"]))
    # The stack's own directory is where a person runs `pulumi stack output`.
    commands = commands.replace(
        "pulumi stack output", f"pulumi --cwd {stack.project} stack output --stack {stack.name}"
    )
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=directory,
        env={**environment, "PATH": path, "STEPPATH": str(directory / "step")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _ceremony(
    stack: Stack,
    plane: ControlPlane,
    api: Api,
    tool: str,
    issuing: dict[str, Any],
    tmp_path: Path,
) -> None:
    name = f"ceremony-{tool}"
    _run(stack, tmp_path, _ROOT)
    trust = stack.project / "trust"
    trust.mkdir(exist_ok=True)
    (trust / "root.pem").write_bytes((tmp_path / "root.pem").read_bytes())
    anchor: dict[str, Any] = {
        "role": "issuing",
        "certificate": "trust/root.pem",
        "issuingCa": {"generation": "i1"},
    }
    configuration = small_stack(
        name, plane.kubeconfig, anchors={"g1": anchor}, issuing={"name": name, **issuing}
    )
    stack.write(configuration)

    first = stack.up()
    assert "anchor g1 does not issue yet" in first.output
    assert f"dev/{name}/web" not in first.steps
    again = stack.up()
    assert again.changes == {}

    _run(stack, tmp_path, _commands(""))
    _run(stack, tmp_path, _commands(tool))
    (trust / "issuing.pem").write_bytes((tmp_path / "issuing.pem").read_bytes())
    anchor["issuingCa"] = {"generation": "i1", "certificate": "trust/issuing.pem"}
    stack.write(configuration)
    second = stack.up()
    assert second.steps[f"dev/{name}/web"] == "create"
    assert "does not issue yet" not in second.output

    chain = parse_certificates(secret(api, name, "web-tls")["tls.crt"], origin="leaf")
    issued = parse_certificate((tmp_path / "issuing.pem").read_text(), origin="issuing CA")
    assert is_signed_by(chain[0], issued)

    del anchor["issuingCa"]["certificate"]
    stack.write(configuration)
    taken_out = stack.try_up()
    assert taken_out.status != 0
    assert "every Certificate of the stack would be deleted" in taken_out.output

    (trust / "issuing.pem").write_text(_of_another_key(stack, tmp_path))
    anchor["issuingCa"]["certificate"] = "trust/issuing.pem"
    stack.write(configuration)
    other = stack.preview()
    assert other.status != 0
    assert "does not certify the key of this stack's signing request" in other.output.replace(
        "\n", " "
    )


def _of_another_key(stack: Stack, directory: Path) -> str:
    """An issuing CA that the same root signed for somebody else's request."""
    request = "openssl req -new -newkey rsa:2048 -nodes -keyout other.key -subj /CN=other -out {}"
    _run(stack, directory, request.format("issuing.csr") + "\n" + _commands("openssl"))
    return (directory / "issuing.pem").read_text()


@pytest.mark.xdist_group("stacks")
def test_with_openssl_for_a_key_in_this_stack(
    plane: ControlPlane, api: Api, make_stack: MakeStack, tmp_path: Path
) -> None:
    stack = make_stack("openssl")
    stack.init()
    _ceremony(stack, plane, api, "openssl", {}, tmp_path)


@pytest.mark.xdist_group("vault")
def test_with_step_for_a_key_in_a_vault(
    vault_plane: ControlPlane, make_stack: MakeStack, tmp_path: Path
) -> None:
    vault = Vault(vault_plane)
    stack = make_stack("step", {"VAULT_TOKEN": vault.root_token})
    stack.init()
    section = {"server": vault.address, "caBundle": "trust/vault-ca.pem", "mount": "pki-ceremony"}
    shutil.copy(vault.ca_file, stack.project / "trust/vault-ca.pem")
    with contextlib.closing(vault_plane.api()) as api:
        _ceremony(
            stack,
            vault_plane,
            api,
            "step",
            {"backend": "vault", "vault": {**section, "authPath": "ceremony"}},
            tmp_path,
        )
