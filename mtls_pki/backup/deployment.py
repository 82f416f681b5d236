"""Reads a stack's exported state: resources, Secrets, the secrets provider. Pure functions.

The format is Pulumi's own (sdk/go/common/apitype, DeploymentV3; resource/stack/deployment.go).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from mtls_pki.clusters.declared_secret import DeclaredSecret
from mtls_pki.errors import CommandError
from mtls_pki.settings.names import CLUSTERS_OUTPUT

# How a state marks a value that is not plain JSON, and a value that is a secret.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 a public constant of Pulumi's
_STACK = "pulumi:pulumi:Stack"
_KUBERNETES_SECRET = "kubernetes:core/v1:Secret"  # noqa: S105 a type's name
_PULUMI_ANNOTATIONS = "pulumi.com/"


def resources(exported: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the resources of a state, without the stack itself.

    Raises:
        CommandError: this is not an exported state.
    """
    try:
        found: list[dict[str, Any]] = exported["deployment"].get("resources") or []
        return [each for each in found if each["type"] != _STACK]
    except (KeyError, TypeError, AttributeError):
        raise CommandError(
            "this is no exported state of a stack; use a pulumi of the version in requirements.txt"
        ) from None


def require_clear(exported: Mapping[str, Any]) -> None:
    """Make sure that no value is still encrypted: such a backup would need the secrets provider.

    Raises:
        CommandError: one is still encrypted.
    """
    for value in _marked(exported["deployment"]):
        if "plaintext" not in value:
            raise CommandError(
                "the exported state has values that are still encrypted; give pulumi what its "
                "secrets provider needs (a passphrase, cloud credentials)"
            )


def declared_secrets(exported: Mapping[str, Any]) -> tuple[DeclaredSecret, ...]:
    """Return every Secret of the stack, in a stable order.

    Raises:
        CommandError: this is not an exported state in clear text.
    """
    found = [_secret(each) for each in resources(exported) if each["type"] == _KUBERNETES_SECRET]
    return tuple(sorted(found, key=lambda secret: secret.place))


def recorded_clusters(exported: Mapping[str, Any]) -> dict[str, str]:
    """Return the UIDs that the stack remembers of its clusters, by name; see `CLUSTERS_OUTPUT`."""
    return next(iter(_remembered(exported["deployment"])), {})


def for_stack(
    exported: Mapping[str, Any], provider: Mapping[str, Any], *, clusters: Mapping[str, str]
) -> dict[str, Any]:
    """Return a state for import by the stack whose secrets ``provider`` encrypts.

    Operations that were under way when the backup was made are left out: what they made is gone.

    Args:
        exported: the state of the backup.
        provider: see :func:`secrets_provider`.
        clusters: cluster -> its UID now, which the stack then remembers in place of an older one.
    """
    deployment = copy.deepcopy({**exported["deployment"], "secrets_providers": dict(provider)})
    deployment.pop("pending_operations", None)
    for remembered in _remembered(deployment):
        remembered |= {name: uid for name, uid in clusters.items() if name in remembered}
    return {**exported, "deployment": deployment}


def _remembered(deployment: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for each in deployment.get("resources") or ():
        if each["type"] == _STACK and (each.get("outputs") or {}).get(CLUSTERS_OUTPUT):
            yield each["outputs"][CLUSTERS_OUTPUT]


def secrets_provider(stack_file: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the secrets provider that a stack file names, in the form that a state has.

    Args:
        stack_file: the whole ``Pulumi.<stack>.yaml``.
        name: of the file, for messages.

    Raises:
        CommandError: it names none.
    """
    if "secretsprovider" in stack_file and "encryptedkey" in stack_file:
        state = {"url": stack_file["secretsprovider"], "encryptedkey": stack_file["encryptedkey"]}
        return {"type": "cloud", "state": state}
    if "encryptionsalt" in stack_file:
        return {"type": "passphrase", "state": {"salt": stack_file["encryptionsalt"]}}
    raise CommandError(
        f"{name} has neither encryptionsalt nor encryptedkey; run `pulumi stack init`, with "
        "--secrets-provider for a provider other than a passphrase, then restore"
    )


def _secret(resource: Mapping[str, Any]) -> DeclaredSecret:
    try:
        inputs = _clear(resource["inputs"])
        metadata = inputs["metadata"]
        annotations = {
            key: value
            for key, value in (metadata.get("annotations") or {}).items()
            if not key.startswith(_PULUMI_ANNOTATIONS)
        }
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": inputs.get("type", "Opaque"),
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "labels": metadata.get("labels") or {},
                "annotations": annotations,
            },
            **{key: inputs[key] for key in ("data", "stringData") if key in inputs},
        }
        return DeclaredSecret(
            # The text is URN::ID. A URN ends with the provider's name, which is the cluster's name.
            cluster=str(resource["provider"]).split("::")[-2],
            namespace=metadata["namespace"],
            name=metadata["name"],
            manifest=manifest,
        )
    except (KeyError, TypeError, IndexError, ValueError):
        raise CommandError(
            f"resource {resource.get('urn')} of the state is no Secret that this program declared"
        ) from None


def _clear(value: Any) -> Any:
    """Return a value with its secrets in clear."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _clear(json.loads(value["plaintext"]))
        return {key: _clear(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_clear(each) for each in value]
    return value


def _marked(value: Any) -> Iterator[Mapping[str, Any]]:
    """Yield every value that is marked as a secret."""
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            yield value
            return
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _marked(each)
