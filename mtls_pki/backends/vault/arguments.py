"""From settings to the arguments of the components around a Vault; pure, like `arguments`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pulumi

from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.components.vault_auth import LoginArgs, VaultAuthArgs
from mtls_pki.components.vault_issuer import VaultIssuerArgs
from mtls_pki.components.vault_pki import VaultCaArgs, VaultMountArgs, VaultPkiArgs, VaultSigner
from mtls_pki.program.arguments import request_profile
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import (
    held_issuer_name,
    login_role_name,
    sign_role_name,
    vault_auth_path,
    vault_generations,
    vault_settings,
)
from mtls_pki.settings.sign_role import sign_role


def vault_pki_args(
    settings: Settings,
    anchors: Mapping[str, TrustAnchor],
    *,
    description: str,
    mount_exists: bool,
    find_issuer: Callable[[str], str],
    on_failure: pulumi.ErrorHook,
    compare: pulumi.ResourceHook,
) -> VaultPkiArgs:
    """Return the arguments of the stack's PKI mount."""
    vault = vault_settings(settings)
    return VaultPkiArgs(
        mount=VaultMountArgs(
            path=vault.mount,
            description=description,
            adopt=vault.adopt,
            exists=mount_exists,
            protect=vault.protect,
            server=vault.server,
        ),
        authorities={
            generation: _authority(settings, generation, anchors[generation])
            for generation in vault_generations(settings)
        },
        # Who else uses an adopted mount counts on its default.
        default=None if vault.adopt else settings.issuing_generation,
        role=sign_role(settings),
        find_issuer=find_issuer,
        on_failure=on_failure,
        compare=compare,
    )


def _authority(settings: Settings, generation: str, anchor: TrustAnchor) -> VaultCaArgs:
    reviewed = settings.anchors[generation]
    return VaultCaArgs(
        issuer_name=held_issuer_name(settings, generation),
        root_name=f"{generation}-root",
        root_pem=anchor.certificate_pem,
        request=request_profile(settings, generation),
        certify=anchor.certify if reviewed.can_issue else None,
        role_name=sign_role_name(settings, generation) if reviewed.role.trusted else None,
        protect=reviewed.role.issues and vault_settings(settings).protect,
    )


def vault_auth_args(
    settings: Settings,
    cluster: str,
    *,
    description: str,
    exists: bool,
    api_server: str,
    api_server_ca_pem: str | None,
    on_failure: pulumi.ErrorHook,
) -> VaultAuthArgs:
    """Return the arguments of one cluster's auth method.

    Raises:
        pulumi.RunError: neither the kubeconfig nor the settings say which CA the API server has.
    """
    reach = settings.clusters[cluster]
    ca_pem = reach.api_server_ca.pem if reach.api_server_ca else api_server_ca_pem
    if ca_pem is None:
        raise pulumi.RunError(
            f"clusters.{cluster}.apiServerCa: missing, and the kubeconfig names no CA either; a "
            "Vault needs the CA of the API server's certificate: write the path of its PEM file"
        )
    return VaultAuthArgs(
        path=vault_auth_path(settings, cluster),
        description=description,
        exists=exists,
        api_server=reach.api_server or api_server,
        api_server_ca_pem=ca_pem,
        on_failure=on_failure,
    )


def vault_issuer_args(
    settings: Settings,
    cluster: str,
    signer: VaultSigner,
    *,
    issuer_name: str,
    namespace: str | None,
    on_failure: pulumi.ErrorHook,
) -> VaultIssuerArgs:
    """Return the arguments of one issuer; ``namespace`` is None for a ClusterIssuer."""
    vault, issuing = vault_settings(settings), settings.issuing
    return VaultIssuerArgs(
        kind=issuing.kind,
        issuer_name=issuer_name,
        namespace=namespace or issuing.cluster_resource_namespace,
        server=vault.server,
        ca_pem=vault.ca_bundle.pem if vault.ca_bundle else None,
        vault_namespace=vault.namespace,
        sign_path=signer.path,
        auth_path=vault_auth_path(settings, cluster),
        login_role=login_role_name(issuer_name, namespace),
        api_audience=settings.clusters[cluster].api_audience,
        cert_manager=(settings.cert_manager.namespace, settings.cert_manager.service_account),
        ready_timeout=issuing.ready_timeout,
        on_failure=on_failure,
    )


def login_args(args: VaultIssuerArgs) -> LoginArgs:
    """Return who may log in for an issuer: its own service account, for its own audience."""
    return LoginArgs(
        role_name=args.login_role,
        service_account=args.issuer_name,
        namespace=args.namespace,
        audience=args.audience,
    )
