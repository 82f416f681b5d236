"""A machine's access to API servers: its key, what its group may do, and its signing request.

The request itself is no resource: Kubernetes removes it one to two hours after it was signed, and
every refresh would make it anew (pkg/controller/certificates/cleaner). `mtls-pki access issue`
submits it, and keeps the certificate in a Secret.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pulumi
import pulumi_tls as tls
from pulumi import Output
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac.v1 import (
    ClusterRole,
    ClusterRoleBinding,
    PolicyRuleArgs,
    RoleBinding,
    RoleRefArgs,
    SubjectArgs,
)

from mtls_pki.components.core_objects import ConfigMap
from mtls_pki.components.kubernetes_options import owned
from mtls_pki.pki.client_request import make_client_request
from mtls_pki.pki.key_algorithms import DEFAULT_KEY, KEY_KINDS

_RBAC = "rbac.authorization.k8s.io"


@dataclass(frozen=True, kw_only=True)
class AccessRule:
    """One rule of the ClusterRole that is made; the fields are those of Kubernetes."""

    api_groups: Sequence[str]
    resources: Sequence[str]
    verbs: Sequence[str]
    resource_names: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ClientAccessArgs:
    """Arguments of :class:`ClientAccess`.

    Attributes:
        user: the CN of its certificates.
        group: the O, to which the rights are bound.
        keys: names of its keys, the newest last.
    """

    user: str
    group: str
    keys: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class AccessGrant:
    """What a machine gets in one cluster.

    Attributes:
        cluster: begins the resources' Pulumi names.
        name: of the objects.
        namespace: of the ConfigMap with the requests.
        cluster_role: of a ClusterRole that exists; None where ``rules`` are given.
        rules: of the ClusterRole that is made.
        namespaces: where the rights hold; empty: in the whole cluster.
    """

    cluster: str
    name: str
    namespace: str
    cluster_role: str | None
    rules: Sequence[AccessRule] = ()
    namespaces: Sequence[str] = ()


class ClientAccess(pulumi.ComponentResource):
    """The keys of one machine, and what it gets in each cluster.

    Attributes:
        private_keys: name of the key -> the key, PEM, secret.
        requests: name of the key -> its signing request, PEM.
    """

    private_keys: Mapping[str, Output[str]]
    requests: Mapping[str, Output[str]]

    def __init__(
        self, name: str, args: ClientAccessArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the keys; :meth:`grant` declares the rest. Constructing raises nothing."""
        super().__init__("mtls-pki:index:ClientAccess", name, None, opts)
        self._name = name
        self._group = args.group
        self.private_keys = {
            key: tls.PrivateKey(
                f"{name}-{key}",
                **KEY_KINDS[DEFAULT_KEY].tls,
                opts=pulumi.ResourceOptions(parent=self),
            ).private_key_pem_pkcs8
            for key in args.keys
        }
        self.requests = {
            key: Output.unsecret(pem.apply(partial(_request, args.user, args.group)))
            for key, pem in self.private_keys.items()
        }
        self.register_outputs({"requests": self.requests})

    def grant(self, args: AccessGrant, opts: pulumi.ResourceOptions) -> None:
        """Declare role, bindings and requests in one cluster.

        Args:
            args: what is given.
            opts: provider and dependencies of the cluster.
        """
        options = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(parent=self))
        prefix = f"{args.cluster}/access/{self._name}"
        metadata = ObjectMetaArgs(name=args.name, annotations=owned())
        if args.rules:
            ClusterRole(
                prefix,
                metadata=metadata,
                rules=[
                    PolicyRuleArgs(
                        api_groups=[*each.api_groups],
                        resources=[*each.resources],
                        verbs=[*each.verbs],
                        resource_names=[*each.resource_names] or None,
                    )
                    for each in args.rules
                ],
                opts=options,
            )
        role = RoleRefArgs(api_group=_RBAC, kind="ClusterRole", name=args.cluster_role or args.name)
        subjects = [SubjectArgs(api_group=_RBAC, kind="Group", name=self._group)]
        if not args.namespaces:
            ClusterRoleBinding(
                f"{prefix}/binding",
                metadata=metadata,
                role_ref=role,
                subjects=subjects,
                opts=options,
            )
        for namespace in args.namespaces:
            RoleBinding(
                f"{prefix}/{namespace}",
                metadata=ObjectMetaArgs(name=args.name, namespace=namespace, annotations=owned()),
                role_ref=role,
                subjects=subjects,
                opts=options,
            )
        ConfigMap(
            f"{prefix}/requests",
            metadata=ObjectMetaArgs(name=args.name, namespace=args.namespace, annotations=owned()),
            data={f"{key}.csr": pem for key, pem in self.requests.items()},
            opts=options,
        )


def _request(user: str, group: str, key_pem: str) -> str:
    return make_client_request(key_pem=key_pem, user=user, groups=(group,))
