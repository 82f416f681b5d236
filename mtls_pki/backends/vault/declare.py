"""What is declared in a Vault and in the clusters that issue from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
import pulumi_vault as vault
from cryptography import x509

from mtls_pki.backends.declare import Declare, IssuerPlace, request_profile
from mtls_pki.backends.vault.comparison import ISSUER_FIELDS, ROLE_FIELDS, differences
from mtls_pki.backends.vault.completion import write_issuer
from mtls_pki.backends.vault.connection import Vault
from mtls_pki.backends.vault.diagnosis import explain
from mtls_pki.backends.vault.environment import overriding_variables
from mtls_pki.backends.vault.names import (
    held_issuer_name,
    login_role_name,
    name_in_mount,
    sign_role_name,
    vault_auth_path,
    vault_generations,
    vault_limits,
    vault_settings,
)
from mtls_pki.backends.vault.preflight import VaultReading, description, read_vault
from mtls_pki.backends.vault.transport import VaultError, vault_address
from mtls_pki.clusters.connection import Cluster, cluster_address
from mtls_pki.components.issuer import Issuer
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.components.vault_auth import LoginArgs, VaultAuth, VaultAuthArgs
from mtls_pki.components.vault_issuer import VaultIssuer, VaultIssuerArgs
from mtls_pki.components.vault_pki import (
    VaultCaArgs,
    VaultMountArgs,
    VaultPki,
    VaultPkiArgs,
    VaultSigner,
)
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.settings.model import Settings

# The provider asks the server for its version and then sends what that version of Vault knows.
# To the provider OpenBao's own numbers (2.x) would mean everything that a Vault 2.x knows. OpenBao
# knows what Vault 1.18 does, minus a few features.
_OPENBAO_SPEAKS = "1.18.5"


class VaultDeclare(Declare):
    """The mount with its issuing CAs, a login for each cluster, and the issuers that use them."""

    def __init__(self, settings: Settings, directory: Path, in_use: frozenset[str]) -> None:
        super().__init__(settings, directory, in_use)
        self._directory = directory
        self._reading = require_vault(settings, directory, in_use)
        self._logins: dict[str, VaultAuth] = {}

    def authority(
        self, anchors: Mapping[str, TrustAnchor], depends_on: Sequence[pulumi.Resource]
    ) -> None:
        settings, section = self.settings, vault_settings(self.settings)
        provider = vault.Provider(
            "vault",
            address=section.reached_at,
            ca_cert_file=section.ca_bundle.path if section.ca_bundle else None,
            namespace=section.namespace,
            # The token is what the user logged in with; a child of it would need rights to make
            # one.
            skip_child_token=True,
            skip_tls_verify=False,
            vault_version_override=version_override(self._reading),
        )
        options = pulumi.ResourceOptions(provider=provider, depends_on=depends_on)
        hook = vault_failure_hook()
        self._pki = VaultPki(
            section.mount.replace("/", "-"),
            vault_pki_args(
                settings,
                anchors,
                mount_exists=self._reading.mount_exists,
                find_issuer=find_issuer(settings, self._directory),
                on_failure=hook,
                compare=comparison_hook(settings, self._directory),
            ),
            options,
        )
        for cluster in settings.clusters:
            path = vault_auth_path(settings, cluster)
            args = vault_auth_args(
                settings, cluster, exists=path in self._reading.auth_paths, on_failure=hook
            )
            self._logins[cluster] = VaultAuth(path, args, options)

    def request(self, generation: str, anchor: TrustAnchor) -> pulumi.Output[str] | None:
        return self._pki.requests.get(generation)

    def issuer(self, place: IssuerPlace, anchor: TrustAnchor) -> Issuer:
        signer = self._pki.signers[place.generation]
        args = vault_issuer_args(self.settings, place, signer)
        login = self._logins[place.cluster].login(place.resource_name, login_args(args), signer)
        return VaultIssuer(place.resource_name, args, [login], place.options)


def require_vault(settings: Settings, directory: Path, in_use: Collection[str]) -> VaultReading:
    """Return what the Vault holds, or stop the run before the first change.

    Previews stop too: what a sealed Vault would show as missing is not missing.

    Raises:
        pulumi.RunError: the Vault is not ready for the stack; with every reason.
    """
    section = vault_settings(settings)
    connection = Vault(vault_address(section, directory))
    reading = read_vault(
        connection, settings, in_use=in_use, only_reading=pulumi.runtime.is_dry_run()
    )
    problems = [*overriding_variables(section, os.environ), *reading.problems]
    if problems:
        raise pulumi.RunError(
            "\n".join(["the Vault is not ready for this stack; nothing was touched:", *problems])
        )
    for warning in reading.warnings:
        pulumi.log.warn(warning)
    return reading


def version_override(reading: VaultReading) -> str | None:
    """Return the version of Vault that the provider shall take the server for."""
    return _OPENBAO_SPEAKS if reading.server is not None and reading.server.openbao else None


def find_issuer(settings: Settings, directory: Path) -> Callable[[str], str]:
    """Return the function from a certificate to the id that the Vault gave to its issuer.

    It reads the mount only for a certificate that it has not seen there in this run, and raises
    :class:`pulumi.RunError` where the mount does not have it.
    """
    section = vault_settings(settings)
    known: dict[x509.Certificate, str] = {}

    def find(chain_pem: str) -> str:
        wanted = parse_certificates(chain_pem, origin="the issuing CA")[0]
        if wanted in known:
            return known[wanted]
        try:
            for issuer in Vault(vault_address(section, directory)).issuers(section.mount):
                held = parse_certificates(issuer.certificate_pem, origin="issuer")[0]
                known[held] = issuer.issuer_id
        except (VaultError, PkiError) as error:
            raise pulumi.RunError(str(error)) from None
        if wanted in known:
            return known[wanted]
        raise pulumi.RunError(
            f"the mount {section.mount} does not hold the issuing CA "
            f"{wanted.subject.rfc4514_string()}; restore the Vault from its backup, or go on with "
            "a new issuing CA (issuing.intermediate.generation)"
        )

    return find


def vault_failure_hook() -> pulumi.ErrorHook:
    """Return the hook that says what an error of the Vault means."""

    def on_error(args: pulumi.ErrorHookArgs) -> bool:
        meaning = explain(args.errors[0]) if args.errors else None
        if meaning is not None:
            pulumi.log.error(f"{args.name}: {meaning}")
        return False

    # No name of a cluster has a colon, and the hook of a cluster is called after it.
    return pulumi.ErrorHook("explain:vault", on_error)


def comparison_hook(settings: Settings, directory: Path) -> pulumi.ResourceHook:
    """Return the hook that stops where the server ignored a parameter it was asked for.

    What an interrupted run left out of an issuing CA is written first.
    """
    section = vault_settings(settings)
    address = vault_address(section, directory)

    def compare(args: pulumi.ResourceHookArgs) -> None:
        asked: Any = args.new_inputs or {}
        is_role = args.type.endswith("SecretBackendRole")
        if is_role:
            path, fields = f"{section.mount}/roles/{asked['name']}", ROLE_FIELDS
        else:
            # By its id: the name is among what may be missing.
            path, fields = f"{section.mount}/issuer/{asked['issuerRef']}", ISSUER_FIELDS
        vault = Vault(address)

        def differing() -> list[str]:
            return list(differences(asked, vault.read(path) or {}, fields))

        try:
            found = differing()
            if found and not is_role:
                write_issuer(address, path, asked)
                found = differing()
        except VaultError as error:
            raise pulumi.RunError(str(error)) from None
        if found:
            raise pulumi.RunError(
                f"{path} is not what was asked for; the server ignored or changed:\n  "
                + "\n  ".join(found)
                + "\nWrite in issuing.vault what this server can do, or use one that can do it"
            )

    return pulumi.ResourceHook("compare-vault", compare)


def vault_pki_args(
    settings: Settings,
    anchors: Mapping[str, TrustAnchor],
    *,
    mount_exists: bool,
    find_issuer: Callable[[str], str],
    on_failure: pulumi.ErrorHook,
    compare: pulumi.ResourceHook,
) -> VaultPkiArgs:
    """Return the arguments of the stack's PKI mount."""
    section = vault_settings(settings)
    return VaultPkiArgs(
        mount=VaultMountArgs(
            path=section.mount,
            description=description(settings),
            adopt=section.adopt,
            exists=mount_exists,
            protect=section.protect and not settings.given_up,
            server=section.server,
        ),
        authorities={
            generation: _authority(settings, generation, anchors[generation])
            for generation in vault_generations(settings)
        },
        # Other users of an adopted mount rely on its default issuer.
        default=None if section.adopt else settings.issuing_generation,
        role=vault_limits(settings),
        name_in_mount=name_in_mount,
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
        protect=reviewed.role.issues and vault_settings(settings).protect and not settings.given_up,
    )


def vault_auth_args(
    settings: Settings,
    cluster: str,
    *,
    exists: bool,
    on_failure: pulumi.ErrorHook,
) -> VaultAuthArgs:
    """Return the arguments of one cluster's auth method.

    Raises:
        pulumi.RunError: neither the kubeconfig nor the settings say which CA the API server has.
    """
    reach = settings.clusters[cluster]
    connection = Cluster(cluster_address(settings, cluster))
    # Read in any case: a file that cannot be read is a mistake, whatever replaces it.
    named_by_kubeconfig = connection.server_ca_pem
    ca_pem = reach.api_server_ca.pem if reach.api_server_ca else named_by_kubeconfig
    if ca_pem is None:
        raise pulumi.RunError(
            f"clusters.{cluster}.apiServerCa: missing, and the kubeconfig names no CA either; a "
            "Vault needs the CA of the API server's certificate: write the path of its PEM file"
        )
    return VaultAuthArgs(
        path=vault_auth_path(settings, cluster),
        description=description(settings),
        exists=exists,
        api_server=reach.api_server or connection.server,
        api_server_ca_pem=ca_pem,
        on_failure=on_failure,
    )


def vault_issuer_args(
    settings: Settings, place: IssuerPlace, signer: VaultSigner
) -> VaultIssuerArgs:
    """Return the arguments of one issuer."""
    section, issuing = vault_settings(settings), settings.issuing
    return VaultIssuerArgs(
        kind=issuing.kind,
        issuer_name=place.name,
        namespace=place.namespace or issuing.cluster_resource_namespace,
        server=section.server,
        ca_pem=section.ca_bundle.pem if section.ca_bundle else None,
        vault_namespace=section.namespace,
        sign_path=signer.path,
        auth_path=vault_auth_path(settings, place.cluster),
        login_role=login_role_name(place.name, place.namespace),
        api_audience=settings.clusters[place.cluster].api_audience,
        cert_manager=(settings.cert_manager.namespace, settings.cert_manager.service_account),
        ready_timeout=issuing.ready_timeout,
        on_failure=place.on_failure,
        guard=place.guard,
        delete_guard=place.delete_guard,
    )


def login_args(args: VaultIssuerArgs) -> LoginArgs:
    """Return who may log in for an issuer: its own service account, for its own audience."""
    return LoginArgs(
        role_name=args.login_role,
        service_account=args.issuer_name,
        namespace=args.namespace,
        audience=args.audience,
    )
