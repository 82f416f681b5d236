"""The issuer of one generation in one cluster, for all backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Literal, Protocol

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.kubernetes_options import (
    GuardedObject,
    await_at_most,
    awaited,
    guarded_by,
)

IssuerKind = Literal["ClusterIssuer", "Issuer"]
"""The kinds of cert-manager's own issuers."""

_TYPE = "mtls-pki:index:Issuer"
# Of stacks that an older release applied: each backend had a type of its own.
_FORMER_TYPES = ("mtls-pki:index:CaIssuer", "mtls-pki:index:VaultIssuer")
_CERT_MANAGER = "cert-manager.io/v1"


class IssuerObjectArgs(Protocol):
    """Arguments for its object that every issuer component has; see :class:`CaIssuerArgs`."""

    @property
    def kind(self) -> str: ...
    @property
    def issuer_name(self) -> str: ...
    @property
    def ready_timeout(self) -> timedelta: ...
    @property
    def on_failure(self) -> pulumi.ErrorHook | None: ...
    @property
    def guard(self) -> pulumi.ResourceHook | None: ...
    @property
    def delete_guard(self) -> pulumi.ResourceHook | None: ...


class Issuer(pulumi.ComponentResource):
    """An issuer object, awaited Ready, and what belongs to it.

    All backends share one type, because the stable issuer keeps its name when its signer moves from
    one backend to another. With two types the engine would create the new issuer and then delete
    the old one, which is the same object in the cluster.

    Attributes:
        issuer: the issuer object; Certificates depend on it.
        issuer_name: what ``issuerRef.name`` says.
        kind: what ``issuerRef.kind`` says.
        group: what ``issuerRef.group`` says; None for cert-manager's own.
        guarded: the issuer object and what it signs with.
    """

    issuer: CustomResource
    issuer_name: str
    kind: str
    group: str | None
    guarded: tuple[GuardedObject, ...] = ()

    def __init__(
        self, name: str, args: IssuerObjectArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Register the component; :meth:`declare_object` declares the object."""
        former = [pulumi.Alias(type_=each) for each in _FORMER_TYPES]
        merged = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(aliases=former))
        super().__init__(_TYPE, name, None, merged)
        self.kind = args.kind
        self.issuer_name = args.issuer_name
        self._name = name
        self._args = args

    def declare_object(
        self,
        spec: Mapping[str, object],
        *,
        namespace: str | None,
        depends_on: Sequence[pulumi.Resource],
        api_version: str = _CERT_MANAGER,
    ) -> None:
        """Declare the issuer object with ``spec``, and register the outputs.

        Args:
            spec: of the object.
            namespace: of the object; None for a kind that has none.
            depends_on: what must be there before it.
            api_version: its group and version.
        """
        args = self._args
        self.group = None if api_version == _CERT_MANAGER else api_version.partition("/")[0]
        self.issuer = CustomResource(
            self._name,
            api_version=api_version,
            kind=args.kind,
            metadata=ObjectMetaArgs(
                name=args.issuer_name, namespace=namespace, annotations=awaited("Ready")
            ),
            spec=spec,
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=depends_on,
                custom_timeouts=await_at_most(args.ready_timeout),
                hooks=guarded_by(args.guard, args.delete_guard, on_failure=args.on_failure),
                delete_before_replace=True,
            ),
        )
        self.guarded += (
            GuardedObject(resource=self.issuer, namespace=namespace, name=args.issuer_name),
        )
        self.register_outputs({"issuerName": self.issuer_name, "kind": self.kind})
