"""Writes the runner's kubeconfig to the paths that the stack file names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mtls_pki.ci.forge import required
from mtls_pki.errors import CommandError
from mtls_pki.files import write_new
from mtls_pki.registry import extensions
from mtls_pki.settings.stack_file.reading import open_stack_file

VARIABLE = "KUBECONFIG_TEXT"
"""Holds the whole kubeconfig: a variable of the workflow, or a secret where it has a token."""


def write_kubeconfig(stack: str, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Write ``$KUBECONFIG_TEXT`` (0600) to each path that the clusters of ``stack`` name.

    For a cluster that is given by its context alone, the path is ``$KUBECONFIG``.

    Raises:
        CommandError: a variable is missing, or a file already exists.
    """
    text = required(environment, VARIABLE)
    clusters = open_stack_file(Path.cwd(), stack, {}, extensions()).settings().clusters.values()
    places = {
        Path(cluster.kubeconfig or required(environment, "KUBECONFIG")) for cluster in clusters
    }
    for place in sorted(places):
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            write_new(place, text)
        except FileExistsError:
            raise CommandError(
                f"{place} is there already; a runner's own file is not replaced"
            ) from None
    return tuple(sorted(places))
