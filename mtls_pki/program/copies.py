"""No run leaves a copy of a kubeconfig behind, whoever started the engine."""

from __future__ import annotations

import itertools
import os
import sys

from mtls_pki.engine.kubeconfig_copies import start, temporary_directory
from mtls_pki.private_directory import OWNED
from mtls_pki.settings.model import Settings


def remove_at_the_end(settings: Settings) -> None:
    """Let the copies that the Kubernetes providers make of kubeconfigs go when the engine ends."""
    paths = {each.kubeconfig for each in settings.clusters.values() if each.kubeconfig}
    engine = _engine(sys.orig_argv)
    # Whoever gave the engine a directory of its own removes it, and all that is in it.
    owned = temporary_directory(os.environ).name.startswith(OWNED)
    if paths and engine is not None and not owned:
        start(engine, sorted(paths))


def _engine(arguments: list[str]) -> str | None:
    """Return the engine's address, as the language host gives it to the program.

    None where no engine runs the program. Source: ``pulumi-language-python-exec``, ``--engine``.
    """
    return dict(itertools.pairwise(arguments)).get("--engine")
