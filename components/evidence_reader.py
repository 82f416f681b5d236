"""Who may read evidence in a cluster, and nothing more: the rights of deploy/rbac-evidence.yaml.

A test holds these rules to that file, where each is explained.
"""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
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

from mtls_pki.components.kubernetes_options import owned

_RBAC = "rbac.authorization.k8s.io"
Rule = dict[str, list[str]]


def cluster_rules(bundle_names: Sequence[str]) -> list[Rule]:
    """Return the rules that hold in the whole cluster, in Kubernetes' own spelling."""
    bundles = list(bundle_names)
    return [
        _rule("", ["configmaps"], ["list"], bundles),
        _rule("", ["namespaces"], ["get"], ["kube-system"]),
        _rule(
            "cert-manager.io",
            ["certificates", "certificaterequests", "issuers", "clusterissuers"],
            ["list"],
        ),
        _rule("certmanager.step.sm", ["stepissuers", "stepclusterissuers"], ["list"]),
        _rule("awspca.cert-manager.io", ["awspcaissuers", "awspcaclusterissuers"], ["list"]),
        _rule("trust.cert-manager.io", ["bundles"], ["get"], bundles),
        _rule("certificates.k8s.io", ["certificatesigningrequests"], ["list"]),
        {"nonResourceURLs": ["/apis", "/apis/*"], "verbs": ["get"]},
    ]


def record_rules(record_name: str) -> list[Rule]:
    """Return the rules that hold in the namespace of the stage record."""
    return [
        _rule("", ["configmaps"], ["get"], [record_name]),
        _rule("", ["configmaps"], ["list"]),
    ]


def grant_reading(
    name: str,
    *,
    subject: tuple[str, str],
    bundle_names: Sequence[str],
    record: tuple[str, str],
    opts: pulumi.ResourceOptions,
) -> None:
    """Declare what lets a ServiceAccount read evidence.

    Args:
        name: of the objects, and of the resources.
        subject: namespace and name of the ServiceAccount.
        bundle_names: of the trust bundle.
        record: namespace and name of the stage record.
        opts: of every object.
    """
    namespace, account = subject
    subjects = [SubjectArgs(kind="ServiceAccount", name=account, namespace=namespace)]
    everywhere = ObjectMetaArgs(name=name, annotations=owned())
    there = ObjectMetaArgs(name=name, namespace=record[0], annotations=owned())
    ClusterRole(name, metadata=everywhere, rules=_typed(cluster_rules(bundle_names)), opts=opts)
    ClusterRoleBinding(
        name,
        metadata=everywhere,
        role_ref=RoleRefArgs(api_group=_RBAC, kind="ClusterRole", name=name),
        subjects=subjects,
        opts=opts,
    )
    Role(name, metadata=there, rules=_typed(record_rules(record[1])), opts=opts)
    RoleBinding(
        name,
        metadata=there,
        role_ref=RoleRefArgs(api_group=_RBAC, kind="Role", name=name),
        subjects=subjects,
        opts=opts,
    )


def _rule(
    group: str, resources: list[str], verbs: list[str], names: list[str] | None = None
) -> Rule:
    rule = {"apiGroups": [group], "resources": resources, "verbs": verbs}
    return rule | ({"resourceNames": names} if names else {})


def _typed(rules: Sequence[Rule]) -> list[PolicyRuleArgs]:
    return [
        PolicyRuleArgs(
            api_groups=rule.get("apiGroups"),
            resources=rule.get("resources"),
            resource_names=rule.get("resourceNames"),
            non_resource_urls=rule.get("nonResourceURLs"),
            verbs=rule["verbs"],
        )
        for rule in rules
    ]
