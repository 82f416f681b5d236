"""The cert-manager issuer that asks a Vault to sign, and the identity that it uses for this."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import pulumi
from pulumi import Input
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    Role,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from mtls_pki.components.core_objects import ServiceAccount
from mtls_pki.components.issuer import Issuer, IssuerKind
from mtls_pki.components.kubernetes_options import explained_by, owned

_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, kw_only=True)
class VaultIssuerArgs:
    """Arguments of :class:`VaultIssuer`.

    Attributes:
        kind: ``ClusterIssuer``, or ``Issuer`` in ``namespace``.
        issuer_name: name of the issuer object and of the objects that belong to it.
        namespace: of the issuer's service account: the issuer's own, or for a ClusterIssuer
            cert-manager's cluster resource namespace.
        server: ``https://host:port`` of the Vault, as cert-manager reaches it.
        ca_pem: certificate of the CA that signed the Vault's certificate; None: whatever
            cert-manager trusts.
        vault_namespace: None outside of namespaces.
        sign_path: of the sign endpoint, ``MOUNT/sign/ROLE``.
        auth_path: of the Kubernetes auth method.
        login_role: of the auth method, for this issuer.
        api_audience: the audience that the API server requires in a token that reviews itself.
        cert_manager: namespace and name of the service account of cert-manager's controller.
        ready_timeout: how long ``up`` waits for the issuer to be Ready.
        on_failure: hook that says why an operation failed, in cert-manager's own words.
        guard: hook that judges before the issuer is written.
        delete_guard: hook that judges whether it may be deleted.
    """

    kind: IssuerKind
    issuer_name: str
    namespace: str
    server: str
    ca_pem: str | None
    vault_namespace: str | None
    sign_path: Input[str]
    auth_path: str
    login_role: str
    api_audience: str
    cert_manager: tuple[str, str]
    ready_timeout: timedelta
    on_failure: pulumi.ErrorHook | None = None
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None

    @property
    def audience(self) -> str:
        """The audience of the tokens that cert-manager requests (its internal/vault/vault.go)."""
        scope = f"{self.namespace}/" if self.kind == "Issuer" else ""
        return f"vault://{scope}{self.issuer_name}"


class VaultIssuer(Issuer):
    """Service account, the rights around it, and the issuer, awaited Ready."""

    def __init__(
        self,
        name: str,
        args: VaultIssuerArgs,
        login: Sequence[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the issuer; ``login`` are the resources with which it can log in to the Vault."""
        super().__init__(name, args, opts)
        identity = self._identity(name, args)
        self.declare_object(
            {"vault": _specification(args)},
            namespace=args.namespace if args.kind == "Issuer" else None,
            depends_on=[*identity, *login],
        )

    def _identity(self, name: str, args: VaultIssuerArgs) -> list[pulumi.Resource]:
        """Declare the service account, who may request its tokens, and who may review them."""
        options = pulumi.ResourceOptions(parent=self, hooks=explained_by(args.on_failure))
        account = ServiceAccount(
            f"{name}-account",
            metadata=_metadata(args.issuer_name, args.namespace),
            # No pod runs under it; cert-manager requests short-lived tokens of it.
            automount_service_account_token=False,
            opts=options,
        )
        tokens = Role(
            f"{name}-tokens",
            metadata=_metadata(f"{args.issuer_name}-tokens", args.namespace),
            rules=[
                PolicyRuleArgs(
                    api_groups=[""],
                    resources=["serviceaccounts/token"],
                    resource_names=[args.issuer_name],
                    verbs=["create"],
                )
            ],
            opts=options,
        )
        namespace, controller = args.cert_manager
        asks = RoleBinding(
            f"{name}-tokens-binding",
            metadata=_metadata(f"{args.issuer_name}-tokens", args.namespace),
            role_ref=RoleRefArgs(api_group=_RBAC, kind="Role", name=f"{args.issuer_name}-tokens"),
            subjects=[SubjectArgs(kind="ServiceAccount", name=controller, namespace=namespace)],
            opts=options,
        )
        review = f"{args.namespace}-{args.issuer_name}-token-review"
        reviews = ClusterRole(
            f"{name}-review",
            metadata=_metadata(review, None),
            rules=[
                PolicyRuleArgs(
                    api_groups=["authentication.k8s.io"],
                    resources=["tokenreviews"],
                    verbs=["create"],
                )
            ],
            opts=options,
        )
        reviewed = ClusterRoleBinding(
            f"{name}-review-binding",
            metadata=_metadata(review, None),
            role_ref=RoleRefArgs(api_group=_RBAC, kind="ClusterRole", name=review),
            subjects=[
                SubjectArgs(kind="ServiceAccount", name=args.issuer_name, namespace=args.namespace)
            ],
            opts=options,
        )
        return [account, tokens, asks, reviews, reviewed]


def _metadata(name: str, namespace: str | None) -> ObjectMetaArgs:
    return ObjectMetaArgs(name=name, namespace=namespace, annotations=owned())


def _specification(args: VaultIssuerArgs) -> dict[str, object]:
    specification: dict[str, object] = {
        "server": args.server,
        "path": args.sign_path,
        "auth": {
            "kubernetes": {
                "role": args.login_role,
                "mountPath": f"/v1/auth/{args.auth_path}",
                "serviceAccountRef": {
                    "name": args.issuer_name,
                    "audiences": [args.api_audience],
                },
            }
        },
    }
    if args.ca_pem is not None:
        specification["caBundle"] = base64.b64encode(args.ca_pem.encode()).decode()
    if args.vault_namespace is not None:
        specification["namespace"] = args.vault_namespace
    return specification
