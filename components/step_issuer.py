"""The issuer object of step-issuer that asks a step-ca to sign."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pulumi
from pulumi import Output
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.approval import ExternalIssuer, declare_approval
from mtls_pki.components.core_objects import Secret
from mtls_pki.components.issuer import Issuer
from mtls_pki.components.kubernetes_options import GuardedObject, guarded_by, owned
from mtls_pki.components.step_ca import StepCa

GROUP, VERSION = "certmanager.step.sm", "v1beta1"
_PASSWORD = "password"  # noqa: S105 a key of a Secret, as the chart names it


@dataclass(frozen=True, kw_only=True)
class StepIssuerArgs:
    """Arguments of :class:`StepIssuer`.

    Attributes:
        kind: ``StepClusterIssuer``, or ``StepIssuer`` in ``namespace``.
        issuer_name: name of the issuer object.
        namespace: of the issuer object; None for a ``StepClusterIssuer``.
        url: of the step-ca, as step-issuer reaches it.
        roots: what step-issuer trusts at that url, PEM; ``ca.crt`` of every leaf's Secret too.
        provisioner_name: by which it signs.
        kid: thumbprint of that provisioner's key.
        password: of that provisioner, secret; None where somebody else made its Secret.
        password_secret: name of the Secret with the provisioner's password.
        password_key: in that Secret.
        password_namespace: of that Secret, for a ``StepClusterIssuer``; a ``StepIssuer`` can only
            read one of its own namespace, and gets a copy there.
        cert_manager: namespace and name of the service account of cert-manager's controller.
        ready_timeout: how long ``up`` waits for the issuer to be Ready.
        on_failure: hook that says why an operation failed.
        guard: hook that judges before the issuer is written.
        delete_guard: hook that judges whether it may be deleted.
    """

    kind: str
    issuer_name: str
    namespace: str | None
    url: str
    roots: Sequence[Output[str]]
    provisioner_name: str
    kid: pulumi.Input[str]
    password_secret: str
    password_namespace: str
    cert_manager: tuple[str, str]
    ready_timeout: timedelta
    password: Output[str] | None = None
    password_key: str = _PASSWORD
    on_failure: pulumi.ErrorHook | None = None
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None


class StepIssuer(Issuer):
    """The approval of its requests, and the issuer, awaited Ready."""

    def __init__(
        self,
        name: str,
        args: StepIssuerArgs,
        authority: StepCa | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the issuer of ``authority``; constructing raises nothing.

        Args:
            name: of the component.
            args: what it says.
            authority: its step-ca; None for one of somebody else.
            opts: provider and dependencies.
        """
        super().__init__(name, args, opts)
        external = ExternalIssuer(
            group=GROUP, kind=args.kind, name=args.issuer_name, namespace=args.namespace
        )
        before = declare_approval(
            name,
            external,
            cert_manager=args.cert_manager,
            parent=self,
            on_failure=args.on_failure,
        )
        reference = {"name": args.password_secret, "key": args.password_key}
        if args.namespace is None:
            reference["namespace"] = args.password_namespace
        elif args.namespace != args.password_namespace and args.password is not None:
            before.append(self._copy(name, args, args.namespace, args.password))
        self.declare_object(
            {
                "url": args.url,
                "caBundle": Output.all(*args.roots).apply(_encoded),
                "provisioner": {
                    "name": args.provisioner_name,
                    "kid": args.kid,
                    "passwordRef": reference,
                },
            },
            namespace=args.namespace,
            depends_on=[*before, *([authority] if authority is not None else [])],
            api_version=f"{GROUP}/{VERSION}",
        )

    def _copy(
        self, name: str, args: StepIssuerArgs, namespace: str, password: Output[str]
    ) -> Secret:
        secret = Secret(
            f"{name}-provisioner-password",
            metadata=ObjectMetaArgs(
                name=args.password_secret, namespace=namespace, annotations=owned()
            ),
            string_data={args.password_key: password},
            opts=pulumi.ResourceOptions(
                parent=self,
                hooks=guarded_by(args.guard, args.delete_guard, on_failure=args.on_failure),
                delete_before_replace=True,
            ),
        )
        self.guarded += (
            GuardedObject(resource=secret, namespace=namespace, name=args.password_secret),
        )
        return secret


def _encoded(roots: list[str]) -> str:
    return base64.b64encode("".join(roots).encode()).decode()
