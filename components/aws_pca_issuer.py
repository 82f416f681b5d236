"""The issuer object of aws-privateca-issuer that asks a private CA of AWS to sign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pulumi

from mtls_pki.components.approval import ExternalIssuer, declare_approval
from mtls_pki.components.issuer import Issuer

GROUP, VERSION = "awspca.cert-manager.io", "v1beta1"


@dataclass(frozen=True, kw_only=True)
class AwsPcaIssuerArgs:
    """Arguments of :class:`AwsPcaIssuer`.

    Attributes:
        kind: ``AWSPCAClusterIssuer``, or ``AWSPCAIssuer`` in ``namespace``.
        issuer_name: name of the issuer object.
        namespace: of the issuer object; None for an ``AWSPCAClusterIssuer``.
        arn: of the private CA that signs.
        region: where it is.
        role: ARN of a role that the issuer assumes for its calls; None for what its pod has.
        credentials: namespace and name of a Secret with an access key; None for what its pod has.
        cert_manager: namespace and name of the service account of cert-manager's controller.
        ready_timeout: how long ``up`` waits for the issuer to be Ready.
        on_failure: hook that says why an operation failed.
        guard: hook that judges before the issuer is written.
        delete_guard: hook that judges whether it may be deleted.
    """

    kind: str
    issuer_name: str
    namespace: str | None
    arn: str
    region: str
    cert_manager: tuple[str, str]
    ready_timeout: timedelta
    role: str | None = None
    credentials: tuple[str, str] | None = None
    on_failure: pulumi.ErrorHook | None = None
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None


class AwsPcaIssuer(Issuer):
    """The approval of its requests, and the issuer, awaited Ready.

    Ready says that the issuer is configured; AWS is asked for the first time when a leaf is signed.
    """

    def __init__(
        self, name: str, args: AwsPcaIssuerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the issuer; constructing raises nothing."""
        super().__init__(name, args, opts)
        external = ExternalIssuer(
            group=GROUP, kind=args.kind, name=args.issuer_name, namespace=args.namespace
        )
        approval = declare_approval(
            name,
            external,
            cert_manager=args.cert_manager,
            parent=self,
            on_failure=args.on_failure,
        )
        spec: dict[str, object] = {"arn": args.arn, "region": args.region}
        if args.role is not None:
            spec["role"] = args.role
        if args.credentials is not None:
            namespace, secret = args.credentials
            spec["secretRef"] = {"namespace": namespace, "name": secret}
        self.declare_object(
            spec,
            namespace=args.namespace,
            depends_on=approval,
            api_version=f"{GROUP}/{VERSION}",
        )
