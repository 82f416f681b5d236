"""The cert-manager issuer object, whoever signs for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, Protocol

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.kubernetes_options import await_at_most, awaited, explained_by

IssuerKind = Literal["ClusterIssuer", "Issuer"]


class IssuerObjectArgs(Protocol):
    """What every issuer component is told of its object; see :class:`CaIssuerArgs`."""

    @property
    def kind(self) -> IssuerKind: ...
    @property
    def issuer_name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def ready_timeout(self) -> timedelta: ...
    @property
    def on_failure(self) -> pulumi.ErrorHook | None: ...


def issuer_object(
    name: str,
    args: IssuerObjectArgs,
    spec: Mapping[str, object],
    *,
    parent: pulumi.Resource,
    depends_on: Sequence[pulumi.Resource],
) -> CustomResource:
    """Declare the issuer ``name`` with ``spec``, awaited Ready."""
    return CustomResource(
        name,
        api_version="cert-manager.io/v1",
        kind=args.kind,
        metadata=ObjectMetaArgs(
            name=args.issuer_name,
            namespace=args.namespace if args.kind == "Issuer" else None,
            annotations=awaited("Ready"),
        ),
        spec=spec,
        opts=pulumi.ResourceOptions(
            parent=parent,
            depends_on=depends_on,
            custom_timeouts=await_at_most(args.ready_timeout),
            hooks=explained_by(args.on_failure),
        ),
    )
