"""What lets cert-manager approve the requests of issuers that others than itself sign for.

Its approver tries every request, and its webhook lets through what RBAC grants; the chart grants
only cert-manager's own issuers. Without a grant a request waits for ever, and nothing says why
(cert-manager, pkg/util/pki and the chart's templates/rbac.yaml).
"""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    RoleRefArgs,
    SubjectArgs,
)

from mtls_pki.components.kubernetes_options import explained_by, owned

_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, kw_only=True)
class ExternalIssuer:
    """An issuer object that cert-manager does not sign for.

    Attributes:
        group: its API group.
        kind: its kind, such as ``StepClusterIssuer``.
        name: its name.
        namespace: its namespace; None for a kind that has none.
    """

    group: str
    kind: str
    name: str
    namespace: str | None

    @property
    def signer(self) -> str:
        """What a role that may approve names: ``stepclusterissuers.certmanager.step.sm/mesh``."""
        place = f"{self.namespace}.{self.name}" if self.namespace else self.name
        return f"{self.kind.lower()}s.{self.group}/{place}"


def declare_approval(
    name: str,
    issuer: ExternalIssuer,
    *,
    cert_manager: tuple[str, str],
    parent: pulumi.Resource,
    on_failure: pulumi.ErrorHook | None,
) -> list[pulumi.Resource]:
    """Declare that cert-manager may approve the requests of one issuer, and of no other.

    Args:
        name: begins the resources' Pulumi names.
        issuer: whose requests.
        cert_manager: namespace and name of the service account of cert-manager's controller.
        parent: of the resources.
        on_failure: says why an operation failed.
    """
    role = f"mtls-pki-approve:{issuer.signer.replace('/', ':')}"
    options = pulumi.ResourceOptions(parent=parent, hooks=explained_by(on_failure))
    metadata = ObjectMetaArgs(name=role, annotations=owned())
    namespace, account = cert_manager
    return [
        ClusterRole(
            f"{name}-approve",
            metadata=metadata,
            rules=[
                PolicyRuleArgs(
                    api_groups=["cert-manager.io"],
                    resources=["signers"],
                    resource_names=[issuer.signer],
                    verbs=["approve"],
                )
            ],
            opts=options,
        ),
        ClusterRoleBinding(
            f"{name}-approve-binding",
            metadata=metadata,
            role_ref=RoleRefArgs(api_group=_RBAC, kind="ClusterRole", name=role),
            subjects=[SubjectArgs(kind="ServiceAccount", name=account, namespace=namespace)],
            opts=options,
        ),
    ]
