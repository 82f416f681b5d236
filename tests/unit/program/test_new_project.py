"""The project that ``mtls-pki init`` makes declares a stack: its ``__main__.py`` is run."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from pulumi.runtime.config import set_all_config

from mtls_pki.commands.main import main
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.registry import extensions
from mtls_pki.settings.stack_file.reading import open_stack_file
from tests.unit.program.engine import run_code


def test_a_new_project_declares_its_anchor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "new"
    assert main(["init", str(directory), "--trust-domain", "new.example.org"]) == 0
    monkeypatch.chdir(directory)
    values = open_stack_file(directory, None, {}, extensions()).values()

    def code() -> None:
        set_all_config(
            {
                f"mtls-pki:{key}": value if isinstance(value, str) else json.dumps(value)
                for key, value in values.items()
            },
            [],
        )
        runpy.run_path(str(directory / "__main__.py"), run_name="__main__")

    program = run_code(code)
    assert program.one("TrustAnchor", "g1").type == "mtls-pki:index:TrustAnchor"
    bundle = program.object("ConfigMap", "mesh-trust", namespace="default").inputs["data"]
    (root,) = parse_certificates(bundle["ca.crt"], origin="bundle")
    assert root.subject.rfc4514_string() == "CN=root-g1.new.example.org"
