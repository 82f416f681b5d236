"""One size on one scene: ``up`` and apply, previews, state, and a rotation."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from bench import comparison, configuration
from bench.errors import BenchError
from bench.measurement import Record
from bench.progress import Progress
from bench.scene import Scene
from mtls_pki.clusters.connection import Cluster, ClusterAddress
from mtls_pki.clusters.sources.bundles import BundleSource
from mtls_pki.registry import extensions
from mtls_pki.settings.model import settings_model

UP, APPLY, BASE = "up", "apply", "base"
PREVIEW, EMPTY_PREVIEW = "preview", "empty-preview"
ROTATION, ROTATION_BOUND = "rotation", "rotation-bound"
ROTATION_ADD, ROTATION_WAIT, ROTATION_PROMOTE = "rotation-add", "rotation-wait", "rotation-promote"
PREVIEW_REPETITIONS = 3

_BEFORE = {"g1": "issuing"}
_ADDED = {"g1": "issuing", "g2": "incoming"}
_PROMOTED = {"g1": "outgoing", "g2": "issuing"}


class StackBench:
    """Measures one size; the steps build on each other, so each is taken once."""

    def __init__(
        self, scene: Scene, record: Record, size: int, hold_down: timedelta, progress: Progress
    ) -> None:
        """Nothing is done yet.

        Args:
            size: number of service certificates.
            hold_down: of the rotation.
        """
        self._scene = scene
        self._record = record
        self._size = size
        self._hold_down = hold_down
        self._progress = progress

    def run(self, parts: Collection[str]) -> None:
        """Take the steps that ``parts`` (``up``, ``preview``, ``rotation``) need.

        Raises:
            BenchError: a step failed, or did not do what it is measured for.
        """
        self._declare()
        if "preview" in parts:
            self._preview()
        if "up" in parts or "rotation" in parts:
            self._apply()
        if "rotation" in parts:
            self._rotate()

    def _declare(self) -> None:
        """Base and services apart, so that the second `up` makes the Certificates and no more."""
        self._say("up: namespaces, anchor, bundle, issuer")
        self._configure(_BEFORE, count=0)
        base = self._scene.project.up()
        self._record.add(BASE, self._size, seconds=base.seconds, cpu_seconds=base.cpu_seconds)
        self._say("up: Certificates, until all are Ready")
        self._configure(_BEFORE)
        declared = self._scene.project.up()
        self._record.add(
            UP,
            self._size,
            seconds=declared.seconds,
            cpu_seconds=declared.cpu_seconds,
            peak_bytes=declared.peak_bytes,
            state_bytes=self._scene.project.state_bytes(),
        )
        self._require_signer("g1")

    def _preview(self) -> None:
        self._scene.empty.up()
        for number in range(1, PREVIEW_REPETITIONS + 1):
            self._say(f"preview {number} of {PREVIEW_REPETITIONS}: no change, and an empty program")
            for subject, project in (
                (PREVIEW, self._scene.project),
                (EMPTY_PREVIEW, self._scene.empty),
            ):
                run = project.preview()
                self._record.add(
                    subject,
                    self._size,
                    seconds=run.seconds,
                    cpu_seconds=run.cpu_seconds,
                    peak_bytes=run.peak_bytes,
                )

    def _apply(self) -> None:
        self._say(f"{comparison.method()}: the same Certificates, until all are Ready")
        certificates = comparison.copies(self._scene.project.exported(), configuration.COMPARED)
        namespace = comparison.Namespace(self._scene.plane, configuration.COMPARED)
        names = [each["metadata"]["name"] for each in certificates]
        watch = namespace.ready_watch(names)
        started = time.perf_counter()
        namespace.apply(certificates)
        applied = time.perf_counter()
        watch.wait()
        ready = time.perf_counter()
        self._record.add(
            APPLY, self._size, seconds=ready - started, seconds_applied=applied - started
        )
        self._say("removing those again")
        namespace.empty()

    def _rotate(self) -> None:
        self._say("rotation: add g2")
        self._configure(_ADDED)
        started = time.perf_counter()
        self._scene.project.up()
        added = time.perf_counter()
        self._say(f"rotation: hold-down of {self._hold_down}")
        self._await_hold_down()
        self._configure(_PROMOTED)
        held = time.perf_counter()
        self._say("rotation: promote g2, until all leaves are under it")
        self._scene.project.up()
        self._require_signer("g2")
        promoted = time.perf_counter()
        for subject, seconds in (
            (ROTATION, promoted - started),
            (ROTATION_ADD, added - started),
            (ROTATION_WAIT, held - added),
            (ROTATION_PROMOTE, promoted - held),
        ):
            self._record.add(subject, self._size, seconds=seconds)
        issue = self._record.typical(APPLY, self._size)
        if issue is not None:
            bound = self._hold_down.total_seconds() + issue
            self._record.add(ROTATION_BOUND, self._size, seconds=bound)

    def _await_hold_down(self) -> None:
        """Sleep until the bundles have been in place for the hold-down, by the server's record."""
        values = self._scene.settings(_ADDED, self._size, self._hold_down)
        plane = self._scene.plane
        address = ClusterAddress(name=plane.name, kubeconfig=str(plane.kubeconfig))
        settings = settings_model(extensions()).model_validate(
            values, context={"owner": "mtls-pki/bench"}
        )
        bundles = BundleSource().trusted(Cluster(address), settings, None).bundles
        changes = [bundle.changed_at for bundle in bundles]
        latest = max(change for change in changes if change is not None)
        # The record has whole seconds.
        due = latest + self._hold_down + timedelta(seconds=1)
        time.sleep(max(0.0, (due - datetime.now(UTC)).total_seconds()))

    def _configure(self, anchors: dict[str, str], count: int | None = None) -> None:
        self._scene.configure(
            anchors=anchors,
            count=self._size if count is None else count,
            hold_down=self._hold_down,
        )

    def _require_signer(self, generation: str) -> None:
        """Check that every leaf of the stack is there, signed by the issuer of ``generation``.

        Raises:
            BenchError: one is not: whatever was measured is not what it is called.
        """
        signers = comparison.Namespace(self._scene.plane, configuration.NAMESPACE).signers()
        right = [signer for signer in signers if f"-{generation}-" in signer]
        if len(right) != self._size:
            raise BenchError(
                f"{len(right)} of {self._size} leaves are signed by {generation} after `pulumi up` "
                "said that it was done"
            )

    def _say(self, text: str) -> None:
        self._progress(f"{self._size} certificates: {text}")
