"""What the stack has left behind: who names it, and what `prune` makes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from mtls_pki.clusters import left_behind
from mtls_pki.commands import prune_work
from mtls_pki.exit_status import ExitStatus
from mtls_pki.rotation.owned_object import ObjectKey
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import (
    CERTIFICATES,
    CLUSTER_ISSUERS,
    CONFIG_MAPS,
    bundle,
    certificate,
    issuer,
    owned,
)
from tests.unit.stack_project import Project, Say, steady

OURS = owned("2026-11-23T11:00:00Z", "f:spec", manager="mtls-pki")


def left(live: dict[str, Any], owner: str = "mtls-pki/dev", **more: Any) -> dict[str, Any]:
    """The object as this stack writes it."""
    annotations = {"mtls-pki/owner": owner, "mtls-pki/trust-domain": "example.org"}
    live["metadata"] |= {"annotations": annotations, "managedFields": [OURS], **more}
    return live


@pytest.fixture
def domain(api: Api) -> Api:
    """A steady domain with one declared Certificate, one that is left, and three of others."""
    steady(api)
    copied = left(certificate("copied"))
    copied["metadata"]["managedFields"] = [owned("2026-11-23T11:00:00Z", "f:spec", manager="x")]
    api.objects[CERTIFICATES] = [
        left(certificate("web")),
        left(certificate("gone")),
        left(certificate("theirs"), owner="mtls-pki/other"),
        certificate("teams"),
        copied,
    ]
    return api


def undeclared(project: Project, said: Say) -> list[str]:
    said()
    project.run("status", "--json")
    found: list[str] = json.loads(said()[0])["undeclared"]
    return found


def test_what_this_stack_wrote_and_does_not_declare_is_named(
    domain: Api, project: Project, said: Say
) -> None:
    entries = ["dev/app/Certificate/gone"]
    assert undeclared(project, said) == entries
    project.run("status")
    out, _ = said()
    assert "of this stack, and not in its stack file: 1" in out
    assert entries[0] in out
    # It changes nothing in what is allowed.
    assert project.run("check") == ExitStatus.DONE


def test_issuers_and_bundles_are_named_too(domain: Api, project: Project, said: Say) -> None:
    domain.objects[CLUSTER_ISSUERS] = [left(issuer("mtls-ca-g0-i1"))]
    maps = domain.objects[CONFIG_MAPS]
    assert isinstance(maps, list)
    maps.append(left(bundle("elsewhere", "g1")))
    assert undeclared(project, said) == [
        "dev/ClusterIssuer/mtls-ca-g0-i1",
        "dev/app/Certificate/gone",
        "dev/elsewhere/ConfigMap/mesh-trust",
    ]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> set[ObjectKey]:
    """What the state knows, in the engine's place."""
    known: set[ObjectKey] = set()
    monkeypatch.setattr(prune_work, "known_objects", lambda stack: frozenset(known))
    return known


@pytest.fixture
def deleted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that were to be deleted; what is there is read before."""
    paths: list[str] = []

    def delete(_: object, path: str, uid: str) -> bool:
        paths.append(path)
        return True

    monkeypatch.setattr(left_behind.ClusterWriter, "delete", delete)
    return paths


GONE = "/apis/cert-manager.io/v1/namespaces/app/certificates/gone"


def there(api: Api, path: str, live: Mapping[str, Any]) -> None:
    kind = {"apiVersion": "cert-manager.io/v1", "kind": "Certificate"}
    api.objects[path] = {**kind, **live}


def test_it_is_shown_and_then_deleted(
    domain: Api, project: Project, said: Say, state: set[ObjectKey], deleted: list[str]
) -> None:
    there(domain, GONE, left(certificate("gone")))
    assert project.run("prune", "--dry-run") == ExitStatus.DONE
    assert said()[0] == "dev/app/Certificate/gone: goes\n"
    assert deleted == []
    # Nobody can be asked here.
    assert project.run("prune") == ExitStatus.WRONG_COMMAND_LINE
    assert deleted == []
    said()
    assert project.run("prune", "--yes") == ExitStatus.DONE
    assert said()[0].endswith("dev/app/Certificate/gone: deleted\n")
    assert deleted == [GONE]


def test_one_that_became_anothers_meanwhile_stays(
    domain: Api, project: Project, said: Say, state: set[ObjectKey], deleted: list[str]
) -> None:
    there(domain, GONE, left(certificate("gone"), owner="mtls-pki/other"))
    assert project.run("prune", "--yes") == ExitStatus.DONE
    assert "dev/app/Certificate/gone: was gone already" in said()[0]
    assert deleted == []


def test_what_the_state_knows_stays(
    domain: Api, project: Project, said: Say, state: set[ObjectKey], deleted: list[str]
) -> None:
    state.add(("dev", "Certificate", "app", "gone"))
    assert project.run("prune", "--yes") == ExitStatus.DONE
    assert "dev/app/Certificate/gone: stays, the state knows it" in said()[0]
    assert deleted == []


def test_an_issuer_that_is_named_stays(
    domain: Api, project: Project, said: Say, state: set[ObjectKey], deleted: list[str]
) -> None:
    name = {"name": "mtls-ca-g0-i1", "kind": "ClusterIssuer"}
    domain.objects[CLUSTER_ISSUERS] = [left(issuer("mtls-ca-g0-i1"))]
    domain.objects[CERTIFICATES] = [left(certificate("web")), certificate("old", issuer=name)]
    assert project.run("prune", "--yes") == ExitStatus.DONE
    said_of_it = said()[0].splitlines()[0]
    assert said_of_it == "dev/ClusterIssuer/mtls-ca-g0-i1: stays, Certificate app/old names it"
    assert deleted == []
