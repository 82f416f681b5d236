"""One size on one scene: ``up`` and apply, previews, state, and a rotation."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from bench import comparison, configuration
from bench.errors import BenchError
from bench.measurement import Record
from bench.progress import Progress
from bench.sampling import Run, ServersClock
from bench.scene import Scene
from mtls_pki.clusters.connection import Cluster, ClusterAddress
from mtls_pki.clusters.sources.bundles import BundleSource
from mtls_pki.registry import extensions
from mtls_pki.settings.model import settings_model

UPDATE, UPDATE_PREVIEW = "update", "update-preview"
UP, APPLY, BASE = "up", "apply", "base"
PREVIEW, BARE_PREVIEW, EMPTY_PREVIEW = "preview", "bare-preview", "empty-preview"
ROTATION, ROTATION_BOUND = "rotation", "rotation-bound"
ROTATION_ADD, ROTATION_WAIT, ROTATION_PROMOTE = "rotation-add", "rotation-wait", "rotation-promote"
PREVIEW_REPETITIONS = 3
PLAIN_SIZE = 250
"""Up to this size `pulumi up` with every checkpoint is measured; its time grows as N squared."""

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
        self._apply()
        if "preview" in parts:
            self._preview()
        self._say("removing what was applied for comparison")
        self._compared.empty()
        if "up" in parts and self._size <= PLAIN_SIZE:
            self._declare_plainly()
        if "rotation" in parts:
            self._rotate()

    def _declare(self) -> None:
        """Base and services apart, so that the second update makes the Certificates and no more."""
        self._say("mtls-pki up: namespaces, anchor, bundle, issuer")
        self._configure(_BEFORE, count=0)
        base = self._scene.project.update()
        self._record.add(BASE, self._size, seconds=base.seconds, cpu_seconds=base.cpu_seconds)
        self._configure(_BEFORE)
        self._say("its preview")
        previewed = self._scene.project.preview_of_changes()
        self._record.add(UPDATE_PREVIEW, self._size, seconds=previewed.seconds)
        self._say("mtls-pki up: Certificates, until all are Ready")
        with ServersClock(self._scene.plane) as servers:
            whole = self._scene.project.update()
        # It begins with such a preview.
        self._add(UPDATE, whole, servers, seconds=whole.seconds - previewed.seconds)
        self._require_signer("g1")

    def _declare_plainly(self) -> None:
        """The same by `pulumi up`, with every checkpoint and without a preview."""
        self._say("removing the Certificates of the stack")
        self._configure(_BEFORE, count=0)
        self._scene.project.update()
        comparison.Namespace(self._scene.plane, configuration.NAMESPACE).empty()
        self._configure(_BEFORE)
        self._say("pulumi up: Certificates, until all are Ready")
        with ServersClock(self._scene.plane) as servers:
            declared = self._scene.project.up()
        self._add(UP, declared, servers, seconds=declared.seconds)
        self._require_signer("g1")

    def _add(self, subject: str, run: Run, servers: ServersClock, *, seconds: float) -> None:
        self._record.add(
            subject,
            self._size,
            seconds=seconds,
            cpu_seconds=run.cpu_seconds + servers.seconds,
            **{f"{kind}_cpu_seconds": each for kind, each in run.cpu_of.items()},
            servers_cpu_seconds=servers.seconds,
            peak_bytes=run.peak_bytes,
            state_bytes=self._scene.project.state_bytes(),
        )

    def _preview(self) -> None:
        self._scene.empty.up()
        self._say("a bare program takes the same objects over")
        self._scene.declare_bare(self._certificates)
        for number in range(1, PREVIEW_REPETITIONS + 1):
            self._say(f"preview {number} of {PREVIEW_REPETITIONS}: no change, bare, and empty")
            for subject, project in (
                (PREVIEW, self._scene.project),
                (BARE_PREVIEW, self._scene.bare),
                (EMPTY_PREVIEW, self._scene.empty),
            ):
                run = project.preview()
                self._record.add(
                    subject,
                    self._size,
                    seconds=run.seconds,
                    cpu_seconds=run.cpu_seconds,
                    program_cpu_seconds=run.cpu_of.get("program", 0.0),
                    peak_bytes=run.peak_bytes,
                )

    def _apply(self) -> None:
        self._say(f"{comparison.method()}: the same Certificates, until all are Ready")
        names = [each["metadata"]["name"] for each in self._certificates]
        watch = self._compared.ready_watch(names)
        with ServersClock(self._scene.plane) as servers:
            started = time.perf_counter()
            self._compared.apply(self._certificates)
            applied = time.perf_counter()
            watch.wait()
            ready = time.perf_counter()
        self._record.add(
            APPLY,
            self._size,
            seconds=ready - started,
            seconds_applied=applied - started,
            servers_cpu_seconds=servers.seconds,
        )

    @cached_property
    def _certificates(self) -> list[dict[str, Any]]:
        return comparison.copies(self._scene.project.exported(), configuration.COMPARED)

    @cached_property
    def _compared(self) -> comparison.Namespace:
        return comparison.Namespace(self._scene.plane, configuration.COMPARED)

    def _rotate(self) -> None:
        self._say("rotation: add g2")
        self._configure(_ADDED)
        started = time.perf_counter()
        self._scene.project.update()
        added = time.perf_counter()
        self._say(f"rotation: hold-down of {self._hold_down}")
        self._await_hold_down()
        self._configure(_PROMOTED)
        held = time.perf_counter()
        self._say("rotation: promote g2, until all leaves are under it")
        self._scene.project.update()
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
