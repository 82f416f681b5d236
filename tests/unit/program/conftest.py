"""The program in an empty directory, with nothing read from clusters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mtls_pki.program import barrier, clusters, guard
from mtls_pki.rotation.evidence import ClusterEvidence, Evidence
from mtls_pki.settings.model import Settings
from tests.unit.pki.material import NOW


def _nothing_missing(settings: Settings) -> clusters.Readiness:
    """Stands for `require_clusters`, where every cluster is as it should be."""
    return clusters.Readiness(usable=frozenset(settings.clusters))


def _nothing_there(settings: Settings, **_: object) -> Evidence:
    """Stands for `collect_evidence`, in clusters that this stack has not touched yet."""
    return Evidence(
        observed_at=NOW,
        clusters=tuple(ClusterEvidence(cluster=cluster) for cluster in settings.clusters),
    )


_REQUIRE_ALLOWED = guard.TrustGuard.require_allowed


@pytest.fixture
def require_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a refused update stop before it declares anything, as it really does."""
    monkeypatch.setattr(guard.TrustGuard, "require_allowed", _REQUIRE_ALLOWED)


@pytest.fixture(scope="module", autouse=True)
def _clusters_are_ready() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clusters, "require_clusters", _nothing_missing)
        patch.setattr(clusters, "_exists", lambda *_: False)
        patch.setattr(guard, "collect_evidence", _nothing_there)
        patch.setattr(barrier, "_wait_in_thread", lambda *_: "")
        # These tests are about what is declared, also for changes that no cluster would allow now.
        patch.setattr(guard.TrustGuard, "require_allowed", lambda _: None)
        yield


@pytest.fixture(autouse=True)
def _empty_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
