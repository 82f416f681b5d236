"""Clusters as they are read with the rights that deploy/ ships."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import yaml

from lab.control_plane import ControlPlane
from lab.project_copy import CHECKOUT

_BUNDLE = "mesh-trust"
"""The bundle's name in the shipped manifests."""


def shipped_pruner(plane: ControlPlane, directory: Path, *, bundle: str) -> Path:
    """The kubeconfig of who may prune what a stack with this bundle has left, and no more."""
    shipped_reader(plane, directory, "prune", bundle=bundle)
    return _account(plane, "mtls-pki-prune", directory)


def shipped_reader(
    plane: ControlPlane,
    directory: Path,
    *consumers: str,
    bundle: str = _BUNDLE,
    namespaces: Mapping[str, str] | None = None,
) -> Path:
    """The kubeconfig of who may read what evidence needs, that of these consumers, and no more.

    Args:
        plane: the cluster, to which the manifests are applied.
        directory: for the kubeconfig.
        consumers: those with rights of their own.
        bundle: what the stack calls its bundle.
        namespaces: of the manifests -> of the stack, where they differ.
    """
    with contextlib.closing(plane.api()) as api:
        for name in ("evidence", *consumers):
            text = (CHECKOUT / f"deploy/rbac-{name}.yaml").read_text().replace(_BUNDLE, bundle)
            for shipped, own in (namespaces or {}).items():
                text = text.replace(f"namespace: {shipped}\n", f"namespace: {own}\n")
            for manifest in yaml.safe_load_all(text):
                api.apply(manifest)
    return _account(plane, "mtls-pki-evidence", directory)


def _account(plane: ControlPlane, name: str, directory: Path) -> Path:
    return plane.kubeconfig_for(
        f"system:serviceaccount:cert-manager:{name}",
        ("system:serviceaccounts", "system:serviceaccounts:cert-manager"),
        directory,
    )
