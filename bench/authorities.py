"""Leaves through the issuers of each backend, on one control plane."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from bench import comparison, configuration
from bench.errors import BenchError
from bench.measurement import Record
from bench.progress import Progress
from bench.scene import Project, make_project, scene
from lab import aws_pca, ports, state
from lab.control_plane import ControlPlane
from lab.vault import VaultFiles, address

_HOLD_DOWN = timedelta(minutes=2)  # Nothing rotates here.
_AWS_SECRET = "/api/v1/namespaces/cert-manager/secrets/aws"  # noqa: S105 a path
_AWS_KEYS = {"AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "lab"}


@dataclass(frozen=True, kw_only=True)
class Authority:
    """One backend of the comparison; ``up`` and ``apply`` are its subjects.

    Attributes:
        name: of the backend.
        title: for people.
        issuer_end: how the name of its issuers ends.
        with_: add-ons of the control plane that it needs.
    """

    name: str
    title: str
    issuer_end: str
    with_: tuple[str, ...] = ()

    @property
    def up(self) -> str:
        """Subject of `pulumi up`."""
        return f"{self.name}-issuer-up"

    @property
    def apply(self) -> str:
        """Subject of server-side apply."""
        return f"{self.name}-issuer-apply"


AUTHORITIES = (
    Authority(name="ca", title="CA", issuer_end="-i1"),
    Authority(name="vault", title="Vault", issuer_end="-vault", with_=("vault",)),
    Authority(
        name="step-ca", title="step-ca", issuer_end="-step", with_=("step-issuer", "step-ca")
    ),
    Authority(
        name="aws-pca",
        title="AWS (emulated)",
        issuer_end="-pca",
        with_=("aws-privateca-issuer", "aws-pca"),
    ),
)
"""The first is what the others are compared with."""


def measure(root: Path, record: Record, size: int, progress: Progress, *, number: int = 0) -> None:
    """Measure every issuer at ``size`` Certificates: by ``up``, and by server-side apply.

    Each repetition (``number``) begins with another one: whoever comes later finds a control plane
    that has worked already.

    Raises:
        BenchError: a step failed, or a leaf is not signed by the issuer that is measured.
        LabError: the control plane or an authority cannot be had.
    """
    progress(f"{size} certificates: starting a control plane with every authority")
    with_ = tuple(each for authority in AUTHORITIES for each in authority.with_)
    first = number % len(AUTHORITIES)
    with scene(root, "bench", with_=with_) as made:
        for authority in (*AUTHORITIES[first:], *AUTHORITIES[:first]):
            project = make_project(
                root / f"bench-{authority.name}-program",
                stack=f"bench-{authority.name}",
                environment=_environment(made.plane, authority),
            )
            _Comparison(made.plane, project, authority, size, progress).run(record)


def _environment(plane: ControlPlane, authority: Authority) -> dict[str, str]:
    if authority.name == "vault":
        token = VaultFiles(paths=plane.paths).token.read_text(encoding="utf-8")
        return {"VAULT_TOKEN": token}
    if authority.name == "aws-pca":
        endpoint = aws_pca.endpoint(state.load(plane.paths.state).ports)
        return {**_AWS_KEYS, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-central-1"}
    return {}


class _Comparison:
    """One stack of them."""

    def __init__(
        self,
        plane: ControlPlane,
        project: Project,
        backend: Authority,
        size: int,
        progress: Progress,
    ) -> None:
        self._plane = plane
        self._project = project
        self._backend = backend
        self._size = size
        self._progress = progress
        self._port = ports.choose(None, avoid=())
        self._made: dict[str, Any] = {}

    def run(self, record: Record) -> None:
        """Measure ``up`` and apply, and remove the Certificates of apply again."""
        self._say("up: all but the Certificates")
        self._configure(0)
        self._project.up()
        self._say("up: Certificates, until all are Ready")
        self._configure(self._size)
        declared = self._project.up()
        record.add(
            self._backend.up,
            self._size,
            seconds=declared.seconds,
            cpu_seconds=declared.cpu_seconds,
        )
        names = configuration.Names(backend=self._backend.name)
        self._require_issuer(comparison.Namespace(self._plane, names.namespace))
        self._say(f"{comparison.method()}: the same Certificates, until all are Ready")
        certificates = comparison.copies(self._project.exported(), names.compared)
        namespace = comparison.Namespace(self._plane, names.compared)
        watch = namespace.ready_watch([each["metadata"]["name"] for each in certificates])
        started = time.perf_counter()
        namespace.apply(certificates)
        applied = time.perf_counter()
        watch.wait()
        record.add(
            self._backend.apply,
            self._size,
            seconds=time.perf_counter() - started,
            seconds_applied=applied - started,
        )
        self._require_issuer(namespace)
        self._say("removing those again")
        namespace.empty()

    def _configure(self, count: int) -> None:
        values = configuration.settings_of(
            self._backend.name,
            cluster=self._plane.name,
            kubeconfig=str(self._plane.kubeconfig),
            count=count,
            hold_down=_HOLD_DOWN,
            issuing=self._issuing(),
        )
        if self._backend.name == "aws-pca":
            values |= self._in_aws(values)
        self._project.configure(values)

    def _issuing(self) -> dict[str, Any]:
        if self._backend.name == "vault":
            paths = self._plane.paths
            server = address(state.load(paths.state).ports)
            bundle = str(VaultFiles(paths=paths).authority.certificate)
            return {"vault": {"server": server, "caBundle": bundle}}
        if self._backend.name == "step-ca":
            namespace = configuration.Names(backend=self._backend.name).namespace
            url = f"https://{ports.LOOPBACK}:{self._port}"
            return {"stepCa": {"namespace": namespace, "deploy": False, "urls": {"g1": url}}}
        if self._backend.name == "aws-pca":
            return {"awsPca": {"credentials": {"name": "aws", "namespace": "cert-manager"}}}
        return {}

    def _in_aws(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Have the CAs made, once, and return the sections that say so."""
        if not self._made:
            manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "aws"}}
            with closing(self._plane.api()) as api:
                api.apply_text(_AWS_SECRET, json.dumps({**manifest, "stringData": _AWS_KEYS}))
            self._project.configure({**values, "anchors": {}})
            self._project.command("aws-pca", "create", "g1")
            written = yaml.safe_load(self._project.stack_file.read_text(encoding="utf-8"))
            config = written["config"]
            self._made = {
                key: config[f"{configuration.PROJECT}:{key}"] for key in ("anchors", "issuing")
            }
        return self._made

    def _require_issuer(self, namespace: comparison.Namespace) -> None:
        signers = namespace.signers()
        right = [signer for signer in signers if signer.endswith(self._backend.issuer_end)]
        if len(right) != self._size:
            raise BenchError(
                f"{len(right)} of {self._size} leaves are signed by the issuer of backend "
                f"{self._backend.name} after all were reported Ready"
            )

    def _say(self, text: str) -> None:
        self._progress(f"{self._size} certificates, {self._backend.name}: {text}")
