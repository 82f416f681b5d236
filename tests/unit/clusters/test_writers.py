"""What sends a request to a cluster, what writes to one, and what is granted for it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mtls_pki import clusters
from mtls_pki.clusters import issuing_condition, secret_restore

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "mtls_pki"
SENDS = {
    "mtls_pki.clusters.connection": {"GET"},
    "mtls_pki.clusters.writer": {"PATCH", "POST", "PUT", "DELETE"},
}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name, ast.parse(path.read_text(encoding="utf-8"))


def _calls(tree: ast.Module, method: str) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
    ]


def test_one_place_sends_requests() -> None:
    found = [
        name
        for name, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "ApiClient"
    ]
    assert found == ["mtls_pki.clusters.connection"]
    (connection,) = (tree for name, tree in _modules() if name == found[0])
    assert len(_calls(connection, "request")) == 1


def test_a_reading_connection_reads_and_only_the_writer_writes() -> None:
    used = {
        name: {ast.literal_eval(call.args[0]) for call in _calls(tree, "send")}
        for name, tree in _modules()
        if name.startswith("mtls_pki.clusters.") and _calls(tree, "send")
    }
    assert used == SENDS
    openers = {
        name
        for name, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and node.id == "ApiServer"
    }
    assert openers == set(SENDS)


def test_the_package_lists_every_module_that_writes() -> None:
    writing = {
        name.rpartition(".")[2]
        for name, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "mtls_pki.clusters.writer"
    }
    listed = re.findall(r"^\* ``(\w+)``", clusters.__doc__ or "", re.MULTILINE)
    assert sorted(writing) == sorted(listed)


@pytest.mark.parametrize(
    ("manifest", "needed"),
    [
        (
            issuing_condition.MANIFEST,
            {
                ("certificates", "get"),
                ("certificates/status", "patch"),
                ("certificaterequests", "delete"),
            },
        ),
        (
            secret_restore.MANIFEST,
            {("secrets", "get"), ("secrets", "create"), ("namespaces", "create")},
        ),
    ],
)
def test_the_manifest_grants_what_is_sent(manifest: str, needed: set[tuple[str, str]]) -> None:
    documents = list(yaml.safe_load_all((ROOT / manifest).read_text(encoding="utf-8")))
    granted = {
        (resource, verb)
        for document in documents
        if document["kind"] == "ClusterRole"
        for rule in document["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert needed <= granted
    assert not {verb for _, verb in granted - needed} & {"*", "delete", "update"}
