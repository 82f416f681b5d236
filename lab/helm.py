"""The objects of a Helm chart, rendered by Helm."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lab import toolchain
from lab.api import Manifest
from lab.errors import LabError

NAME = "helm"
# Where Helm reads and writes what is the user's own: repositories, plugins, registry logins.
_HOMES = ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME", "HOME")


def render(
    chart: Path,
    *,
    release: str,
    namespace: str,
    values: Mapping[str, Any],
    templates: Sequence[str],
) -> tuple[Manifest, ...]:
    """The objects that some templates of a chart give; nothing outside of the chart counts.

    Args:
        chart: its directory.
        release: name of the release.
        namespace: of the release.
        values: what differs from the chart's ``values.yaml``.
        templates: files below ``templates/``; each must give at least one object.

    Raises:
        LabError: Helm cannot be had or refuses; with its own words.
    """
    helm = toolchain.ensure(NAME)[NAME]
    command = [str(helm), "template", release, str(chart), f"--namespace={namespace}", "--values=-"]
    command += [f"--show-only=templates/{template}" for template in templates]
    with tempfile.TemporaryDirectory(prefix="mtls-pki-helm-") as home:
        done = subprocess.run(
            command,
            input=json.dumps(values),
            # Nothing else is inherited: no KUBECONFIG, no HELM_* of the user's shell.
            env=dict.fromkeys(_HOMES, home),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise LabError(f"helm cannot render the chart {chart}: {done.stderr.strip()}")
    return tuple(document for document in yaml.safe_load_all(done.stdout) if document)
