"""Leaves through a Vault's issuer and through a CA issuer, on one control plane."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import comparison, configuration
from bench.errors import BenchError
from bench.measurement import Record
from bench.progress import Progress
from bench.scene import Project, make_project, scene
from lab import state
from lab.control_plane import ControlPlane
from lab.vault import VaultFiles, address

CA_UP, CA_APPLY = "ca-issuer-up", "ca-issuer-apply"
VAULT_UP, VAULT_APPLY = "vault-issuer-up", "vault-issuer-apply"
_HOLD_DOWN = timedelta(minutes=2)  # Nothing rotates here.


@dataclass(frozen=True, kw_only=True)
class _Backend:
    """One stack of the comparison; ``up`` and ``apply`` are its subjects."""

    name: str
    up: str
    apply: str

    @property
    def issuer_end(self) -> str:
        """How the name of its issuers ends."""
        return "-vault" if self.name == "vault" else "-i1"


_CA = _Backend(name="ca", up=CA_UP, apply=CA_APPLY)
_VAULT = _Backend(name="vault", up=VAULT_UP, apply=VAULT_APPLY)


def measure(root: Path, record: Record, size: int, progress: Progress, *, number: int = 0) -> None:
    """Measure both issuers at ``size`` Certificates: by ``up``, and by server-side apply.

    Every second repetition (``number``) begins with the Vault: whoever is second finds a control
    plane that has worked already.

    Raises:
        BenchError: a step failed, or a leaf is not signed by the issuer that is measured.
        LabError: the control plane or its Vault cannot be had.
    """
    progress(f"{size} certificates: starting a control plane with a Vault")
    with scene(root, "bench", with_=("vault",)) as made:
        token = VaultFiles(paths=made.plane.paths).token.read_text(encoding="utf-8")
        with_token = replace(
            make_project(root / "bench-vault-program"), environment={"VAULT_TOKEN": token}
        )
        order = [(_CA, made.project), (_VAULT, with_token)]
        for backend, project in reversed(order) if number % 2 else order:
            _Comparison(made.plane, project, backend, size, progress).run(record)


class _Comparison:
    """One stack of the two."""

    def __init__(
        self,
        plane: ControlPlane,
        project: Project,
        backend: _Backend,
        size: int,
        progress: Progress,
    ) -> None:
        self._plane = plane
        self._project = project
        self._backend = backend
        self._size = size
        self._progress = progress

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
        self._project.configure(
            configuration.settings_of(
                self._backend.name,
                cluster=self._plane.name,
                kubeconfig=str(self._plane.kubeconfig),
                count=count,
                hold_down=_HOLD_DOWN,
                vault=self._vault() if self._backend is _VAULT else None,
            )
        )

    def _vault(self) -> dict[str, Any]:
        paths = self._plane.paths
        return {
            "server": address(state.load(paths.state).ports),
            "caBundle": str(VaultFiles(paths=paths).authority.certificate),
        }

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
