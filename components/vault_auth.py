"""How the issuers of one cluster log in to a Vault: by tokens that their API server reviews."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_vault as vault
from pulumi_vault import kubernetes

from mtls_pki.components.vault_pki import VaultSigner


@dataclass(frozen=True, kw_only=True)
class VaultAuthArgs:
    """Arguments of :class:`VaultAuth`.

    Attributes:
        path: of the auth method, such as ``kubernetes-dev``; one for each cluster.
        description: says which stack it belongs to.
        exists: it exists already, made by a run of this stack that was interrupted.
        api_server: ``https://host:port`` of the cluster, as the Vault reaches it.
        api_server_ca_pem: certificate of the CA that signed the API server's certificate.
        on_failure: hook that says why an operation failed.
    """

    path: str
    description: str
    exists: bool
    api_server: str
    api_server_ca_pem: str
    on_failure: pulumi.ErrorHook


@dataclass(frozen=True, kw_only=True)
class LoginArgs:
    """Who may log in for one issuer.

    Attributes:
        role_name: of the auth role.
        service_account: name of the service account; exactly this one may log in.
        namespace: of the service account; exactly this one.
        audience: the audience that the token must have (``vault://NAMESPACE/ISSUER``).
    """

    role_name: str
    service_account: str
    namespace: str
    audience: str


class VaultAuth(pulumi.ComponentResource):
    """The Kubernetes auth method for one cluster.

    The Vault reviews a token with that token itself, so that it need not hold a reviewer's token.
    Therefore the service account must be allowed to create TokenReviews; :class:`VaultIssuer`
    grants that.

    Attributes:
        path: of the auth method.
    """

    path: str

    def __init__(
        self, name: str, args: VaultAuthArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the auth method; constructing raises nothing."""
        super().__init__("mtls-pki:index:VaultAuth", name, None, opts)
        self.path = args.path
        self._on_failure = args.on_failure
        method = vault.AuthBackend(
            name,
            type="kubernetes",
            path=args.path,
            description=args.description,
            opts=self._options(import_=args.path if args.exists else None),
        )
        self._config = kubernetes.AuthBackendConfig(
            f"{name}-config",
            backend=args.path,
            kubernetes_host=args.api_server,
            kubernetes_ca_cert=args.api_server_ca_pem,
            disable_local_ca_jwt=True,
            opts=self._options(depends_on=[method]),
        )
        self.register_outputs({"path": self.path})

    def login(self, name: str, args: LoginArgs, signer: VaultSigner) -> kubernetes.AuthBackendRole:
        """Declare who may log in for one issuer; the login allows only its sign path."""
        return kubernetes.AuthBackendRole(
            f"{name}-login",
            backend=self.path,
            role_name=args.role_name,
            bound_service_account_names=[args.service_account],
            bound_service_account_namespaces=[args.namespace],
            audience=args.audience,
            token_policies=[signer.policy.name],
            token_no_default_policy=True,
            # cert-manager logs in again for each signature and for each check of the issuer.
            token_ttl=60,
            token_max_ttl=60,
            opts=self._options(depends_on=[self._config, signer.role, signer.policy]),
        )

    def _options(
        self,
        *,
        import_: str | None = None,
        depends_on: list[pulumi.Resource] | None = None,
    ) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(
            parent=self,
            import_=import_,
            depends_on=depends_on,
            hooks=pulumi.ResourceHookBinding(on_error=[self._on_failure]),
        )
