"""The files from which the exporter's pod reads the stack: no secret, and no path of this machine.

It reads the same stack file as `mtls-pki status` does here. So a rotation, which changes that file,
reaches the pod with the `pulumi up` that applies it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from mtls_pki.settings.model import Settings
from mtls_pki.settings.types import PemFile, UnreadSecret

_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 a directory
_OWN = "kubeconfig"
_CLUSTER_KEYS = ("kubeconfig", "context")


def project_files(
    settings: Settings,
    values: Mapping[str, Any],
    *,
    project: str,
    stack: str,
    cluster: str,
    kubeconfigs: str,
) -> dict[str, str]:
    """Return the pod's project: name of the file -> text.

    Args:
        settings: of the stack.
        values: what the stack file says, key without prefix -> value, secrets unread.
        project: its name.
        stack: its name.
        cluster: that the pod runs in; read by the pod's own token.
        kubeconfigs: directory of the pod with a kubeconfig for each other cluster, by its name.
    """
    brought = dict(_brought(settings))
    names = {path: f"certificate-{number}.pem" for number, path in enumerate(sorted(brought), 1)}
    shipped = _replaced(values, names)
    shipped["clusters"] = {
        name: {
            **{key: value for key, value in entry.items() if key not in _CLUSTER_KEYS},
            "kubeconfig": _OWN if name == cluster else f"{kubeconfigs}/{name}",
        }
        for name, entry in shipped["clusters"].items()
    }
    document = {"config": {f"{project}:{key}": value for key, value in shipped.items()}}
    # JSON is YAML in which nothing but a number looks like one.
    return {
        "Pulumi.yaml": json.dumps({"name": project, "runtime": "python"}),
        f"Pulumi.{stack}.yaml": json.dumps(document, indent=1),
        _OWN: json.dumps(_own_kubeconfig()),
        **{names[path]: pem for path, pem in brought.items()},
    }


def _brought(value: object) -> Iterator[tuple[str, str]]:
    """Path and certificates of every file that the settings name."""
    if isinstance(value, PemFile):
        yield value.path, value.pem
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _brought(getattr(value, name))
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _brought(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _brought(each)


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, UnreadSecret):
        # As an encrypted value looks; nobody needs it to read evidence.
        return {"secure": "not in this copy"}
    if isinstance(value, Mapping):
        return {key: _replaced(each, names) for key, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


def _own_kubeconfig() -> dict[str, Any]:
    """By the token that kubelet keeps fresh (Kubernetes, "Accessing the API from a Pod")."""
    name = "own"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": "https://kubernetes.default.svc",
                    "certificate-authority": f"{_TOKEN}/ca.crt",
                },
            }
        ],
        "users": [{"name": name, "user": {"tokenFile": f"{_TOKEN}/token"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
