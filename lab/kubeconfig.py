"""Kubeconfig files with everything embedded, so that each can be moved and handed on by itself."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from lab.certificates import Pair
from lab.files import write_private


def render(*, cluster: str, user: str, server: str, authority: Path, client: Pair) -> str:
    """A kubeconfig whose one context and cluster are called ``cluster``.

    Args:
        cluster: name of cluster and context.
        user: name of the user entry (the API server reads the certificate's, not this).
        server: URL of the API server.
        authority: PEM file of the CA of its certificate.
        client: the client certificate and key.
    """
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "clusters": [
            {
                "name": cluster,
                "cluster": {"server": server, "certificate-authority-data": _embed(authority)},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _embed(client.certificate),
                    "client-key-data": _embed(client.key),
                },
            }
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def write(path: Path, content: str) -> None:
    """Write ``content`` (mode 0600) unless the file holds it already."""
    if not path.exists() or path.read_text(encoding="utf-8") != content:
        write_private(path, content)


def _embed(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
