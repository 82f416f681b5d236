"""What every test shares: nothing of the developer's own Pulumi, Kubernetes and Vault set-up."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import hypothesis
import pytest
from _pytest.nodeid import NodeId

# Nothing here depends on how fast the machine is at the moment.
hypothesis.settings.register_profile(
    "any-machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any-machine")

# A shell that starts the tests in the background has SIGINT ignored, and so would every process
# that a test starts in order to interrupt it.
signal.signal(signal.SIGINT, signal.default_int_handler)

_DROPPED = ("KUBECONFIG", "KUBE_CONTEXT")
_DROPPED_PREFIXES = ("PULUMI_", "VAULT_", "BAO_")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_developer() -> None:
    """Drop what would make a test talk to a real cluster or a real backend.

    For good, since the variables reach the processes that tests start by inheritance alone.
    """
    for name in list(os.environ):
        if name in _DROPPED or name.startswith(_DROPPED_PREFIXES):
            del os.environ[name]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Let ``--dist loadgroup`` see the groups.

    pytest-xdist 3.8.0 writes a test's group behind its id in ``_nodeid``, which pytest 9.2 no
    longer reads: without this the groups are ignored in silence, and control planes that one worker
    should start once are started by each.
    """
    for item in items:
        grouped = vars(item).get("_nodeid")
        if grouped is not None:
            item._id = NodeId.parse(grouped)
