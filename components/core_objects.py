"""ConfigMap, Secret, Namespace and ServiceAccount, without the SDK's module of them.

``pulumi_kubernetes.core.v1`` makes several hundred classes when it is imported, a fifth of what
this program does before it declares anything (docs/performance.md). To the engine there is no
difference: type, inputs and secret outputs are those of the SDK's classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
from pulumi import Input, Output
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

Texts = Mapping[str, Input[str]]


class _CoreObject(pulumi.CustomResource):
    """An object of the core API; ``fields`` are those beside ``metadata``, None for absent ones."""

    def __init__(
        self,
        kind: str,
        name: str,
        metadata: ObjectMetaArgs,
        fields: Mapping[str, Any],
        opts: pulumi.ResourceOptions | None,
    ) -> None:
        given = {key: value for key, value in fields.items() if value is not None}
        super().__init__(
            f"kubernetes:core/v1:{kind}",
            name,
            {"apiVersion": "v1", "kind": kind, "metadata": metadata, **given},
            opts,
        )


class ConfigMap(_CoreObject):
    """A ConfigMap.

    Attributes:
        data: its keys and texts.
    """

    data: Output[Mapping[str, str]]

    def __init__(
        self,
        name: str,
        *,
        metadata: ObjectMetaArgs,
        data: Input[Texts],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it."""
        super().__init__("ConfigMap", name, metadata, {"data": data}, opts)


class Secret(_CoreObject):
    """A Secret, which is one in the state too."""

    def __init__(
        self,
        name: str,
        *,
        metadata: ObjectMetaArgs,
        string_data: Texts,
        type: str | None = None,  # noqa: A002 as the API calls it
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it."""
        super().__init__(
            "Secret",
            name,
            metadata,
            {"stringData": Output.secret(string_data), "type": type},
            pulumi.ResourceOptions.merge(
                opts, pulumi.ResourceOptions(additional_secret_outputs=["data", "stringData"])
            ),
        )


class Namespace(_CoreObject):
    """A Namespace."""

    def __init__(
        self,
        name: str,
        *,
        metadata: ObjectMetaArgs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it."""
        super().__init__("Namespace", name, metadata, {}, opts)


class ServiceAccount(_CoreObject):
    """A ServiceAccount."""

    def __init__(
        self,
        name: str,
        *,
        metadata: ObjectMetaArgs,
        automount_service_account_token: bool,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare it."""
        fields = {"automountServiceAccountToken": automount_service_account_token}
        super().__init__("ServiceAccount", name, metadata, fields, opts)
