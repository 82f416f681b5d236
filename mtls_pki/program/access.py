"""The access of machines: declared, and handed out as kubeconfigs once it was issued."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import pulumi
import pulumi_tls as tls
from pulumi import Output

from mtls_pki.clusters.client_access import read_certificates
from mtls_pki.clusters.client_kubeconfig import render
from mtls_pki.clusters.connection import Cluster, ClusterError
from mtls_pki.components.client_access import (
    AccessGrant,
    AccessRule,
    ClientAccess,
    ClientAccessArgs,
)
from mtls_pki.pki.client_request import client_certificate, client_request
from mtls_pki.pki.errors import PkiError
from mtls_pki.program.per_cluster import Gate
from mtls_pki.settings.model import ClientAccessSettings, Settings
from mtls_pki.settings.names import access_group, access_object, access_user


def declare_access(settings: Settings, gates: Mapping[str, Gate]) -> None:
    """Declare every machine's access, and export the kubeconfigs of those that have a certificate.

    The export is one secret: cluster and machine -> kubeconfig, of the newest key that has one.
    """
    if not settings.client_access:
        return
    provider = tls.Provider("tls-access")
    kubeconfigs: dict[str, dict[str, Output[str]]] = {}
    for name, access in settings.client_access.items():
        user = access_user(name, access)
        declared = ClientAccess(
            name,
            ClientAccessArgs(user=user, group=access_group(name, access), keys=access.keys),
            pulumi.ResourceOptions(provider=provider),
        )
        for cluster in settings.clusters_of_access(access):
            gate = gates[cluster]
            declared.grant(_grant(settings, cluster, name, access), gate.behind)
            kubeconfig = _kubeconfig(settings, gate, name, access, declared)
            if kubeconfig is not None:
                kubeconfigs.setdefault(name, {})[cluster] = kubeconfig
    pulumi.export("kubeconfigs", Output.secret(kubeconfigs))


def _grant(
    settings: Settings, cluster: str, name: str, access: ClientAccessSettings
) -> AccessGrant:
    return AccessGrant(
        cluster=cluster,
        name=access_object(name),
        namespace=settings.issuing.cluster_resource_namespace,
        cluster_role=access.cluster_role,
        rules=[
            AccessRule(
                api_groups=rule.api_groups,
                resources=rule.resources,
                verbs=rule.verbs,
                resource_names=rule.resource_names,
            )
            for rule in access.rules
        ],
        namespaces=access.namespaces,
    )


def _kubeconfig(
    settings: Settings,
    gate: Gate,
    name: str,
    access: ClientAccessSettings,
    declared: ClientAccess,
) -> Output[str] | None:
    try:
        cluster = Cluster(gate.address)
        certificates = read_certificates(cluster, settings, name)
        authority = cluster.server_ca_pem
    except ClusterError as error:
        pulumi.log.warn(f"clientAccess.{name}: its certificate was not read: {error}")
        return None
    key = next((each for each in reversed(access.keys) if each in certificates), None)
    if key is None:
        pulumi.log.warn(
            f"clientAccess.{name} has no certificate in cluster {gate.address.name} yet: "
            f"`mtls-pki access issue {name}`, then `pulumi up` again"
        )
        return None
    whole = partial(
        _rendered,
        cluster=gate.address.name,
        server=cluster.server,
        authority=authority,
        user=access_user(name, access),
        certificate=certificates[key],
    )
    return Output.all(declared.private_keys[key], declared.requests[key]).apply(
        lambda pems: whole(*pems)
    )


def _rendered(
    key: str,
    request: str,
    *,
    cluster: str,
    server: str,
    authority: str | None,
    user: str,
    certificate: str,
) -> str:
    try:
        # A Secret is anybody's who may write it; a kubeconfig whose halves differ opens nothing.
        asked = client_request(request, origin="the request of this stack").key
        client_certificate(certificate, key=asked, origin=f"the Secret of {user} in {cluster}")
    except PkiError as error:
        raise pulumi.RunError(str(error)) from None
    return render(
        cluster=cluster,
        server=server,
        authority_pem=authority,
        user=user,
        certificate=certificate,
        key=key,
    )
