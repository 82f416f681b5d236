"""A project directory with a stack file, in which commands run, and domains for its cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mtls_pki.commands.main import main
from mtls_pki.registry import extensions
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import Anchor, TrustStage
from mtls_pki.settings.stack_file.reading import StackFile, open_stack_file
from tests.unit.evidence.api import Api
from tests.unit.evidence.objects import CONFIG_MAPS, STAGE, bundle, fingerprint, owned, root

PROJECT = "name: mtls-pki\nruntime: python\n"
# As a person writes it: comments, quotes, blocks and flows beside each other.
STACK = """\
# The dev stack.
config:
  mtls-pki:trustDomain: example.org
  mtls-pki:clusters:
    dev: {kubeconfig: dev.kubeconfig}
  mtls-pki:anchors:
    # the first root
    g1:
      role: issuing   # for now
      commonName: 'root-g1.example.org'
      validFrom: 2026-11-01T00:00:00Z
      validFor: 87600h
      pathLength: 1
    # g2: {role: incoming}  an example that nobody removed

  # where trust goes
  mtls-pki:trust: {namespaces: [app], holdDown: "2m"}
  mtls-pki:issuing: {stable: true}
  mtls-pki:services:
    web: {namespace: app}
encryptionsalt: v1:abc=
"""


class Project:
    """A project directory that is the current one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "Pulumi.dev.yaml"
        (directory / "Pulumi.yaml").write_text(PROJECT)
        self.write(STACK)

    def write(self, text: str) -> None:
        with self.file.open("w", newline="") as file:
            file.write(text)

    def read(self) -> str:
        with self.file.open(newline="") as file:
            return file.read()

    def stack(self) -> StackFile:
        return open_stack_file(self.directory, None, {}, extensions())

    def run(self, *arguments: str) -> int:
        return main(arguments)


Say = Callable[[], tuple[str, str]]
"""Returns what was printed since the last call: standard output and standard error."""


HELD = owned("2026-11-23T11:00:00Z", "f:data", "f:ca.crt")
YOUNG = owned("2026-11-23T11:59:30Z", "f:data", "f:ca.crt")


def stage(**roles: Role) -> dict[str, Any]:
    """The record of a stage of these generations."""
    anchors = {g: Anchor(role=role, fingerprint=fingerprint(g)) for g, role in roles.items()}
    data = {"stage.json": TrustStage(anchors=anchors).to_json()}
    data |= {f"{generation}.pem": root(generation) for generation in roles}
    metadata = {"name": "mesh-trust-stage", "namespace": "cert-manager", "managedFields": []}
    return {"metadata": metadata, "data": data}


def steady(api: Api) -> None:
    api.objects[STAGE] = stage(g1=Role.ISSUING)
    api.objects[CONFIG_MAPS] = [bundle("app", "g1", managed=(HELD,))]


def spread(api: Api, project: Project, managed: dict[str, Any] = HELD) -> None:
    """The domain has learnt g2, and the stack file says so."""
    project.run("add", "g2", "--valid-from", "2026-11-02T00:00:00Z")
    api.objects[STAGE] = stage(g1=Role.ISSUING, g2=Role.INCOMING)
    api.objects[CONFIG_MAPS] = [bundle("app", "g1", "g2", managed=(managed,))]
