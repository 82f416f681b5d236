"""The PKI mount of a Vault: issuing CAs whose keys never leave it, and what may sign with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi
import pulumi_vault as vault
from pulumi import Output
from pulumi_vault import pkisecret

from mtls_pki.components.trust_anchor import RequestProfile
from mtls_pki.pki.fingerprints import der_sha256
from mtls_pki.pki.key_algorithms import KEY_KINDS
from mtls_pki.pki.leaf_limits import LeafLimits
from mtls_pki.pki.parsing import parse_certificates

# The usages of an issuing CA, and those of a compromised one, which may only be read and revoke.
_SIGNS = "crl-signing,issuing-certificates,ocsp-signing,read-only"
_RETIRED = "crl-signing,ocsp-signing,read-only"
# A request may set `not_after`, which a role's max_ttl does not limit (OpenBao 2.7 gave 38 days
# through a role with one hour). cert-manager sets `ttl`.
_SIGN_POLICY = """path "{path}" {{
  capabilities = ["create", "update"]
  denied_parameters = {{
    "not_after"  = []
    "not_before" = []
  }}
}}
"""


@dataclass(frozen=True, kw_only=True)
class VaultMountArgs:
    """The mount of the secrets engine.

    Attributes:
        path: such as ``pki-mesh``.
        description: says which stack it belongs to; a mount with this text is this stack's own.
        adopt: the mount belongs to another team; the stack uses it and does not change it.
        exists: it exists already, made by a run of this stack that was interrupted.
        protect: mount and issuers refuse to be deleted.
        server: ``https://host:port`` under which leaves find their issuer and its CRL.
    """

    path: str
    description: str
    adopt: bool
    exists: bool
    protect: bool
    server: str


@dataclass(frozen=True, kw_only=True)
class VaultCaArgs:
    """One issuing CA in the mount.

    Attributes:
        issuer_name: of its Pulumi resources, such as ``g1-i1``; its name in the mount begins with
            this.
        root_name: such a name for its anchor's certificate, such as ``g1-root``.
        root_pem: the anchor's certificate; its key is not here.
        request: what its signing request asks for.
        certify: request PEM -> certificate PEM and root; None while nobody has signed the request.
        role_name: of its sign role and policy; None for a CA that must not sign any more.
        protect: it refuses to be deleted, and stays in the Vault when it leaves the program.
    """

    issuer_name: str
    root_name: str
    root_pem: Output[str]
    request: RequestProfile
    certify: Callable[[Output[str]], Output[str]] | None
    role_name: str | None
    protect: bool


@dataclass(frozen=True, kw_only=True)
class VaultPkiArgs:
    """Arguments of :class:`VaultPki`.

    Attributes:
        mount: the mount.
        authorities: the issuing CAs by generation of their anchor.
        default: the generation of the mount's default issuer; None: the default is not changed.
        role: what all sign roles allow.
        name_in_mount: start of an issuer's name and SHA-256 of its certificate -> its whole name.
        find_issuer: certificate PEM -> the id that the Vault gave to it; reads the Vault.
        on_failure: hook that says why an operation failed.
        compare: hook that compares, after each write, what the server holds with what was asked
            for.
    """

    mount: VaultMountArgs
    authorities: Mapping[str, VaultCaArgs]
    default: str | None
    role: LeafLimits
    name_in_mount: Callable[[str, str], str]
    find_issuer: Callable[[str], str]
    on_failure: pulumi.ErrorHook
    compare: pulumi.ResourceHook


@dataclass(frozen=True, kw_only=True)
class VaultSigner:
    """What signs leaves for one generation.

    Attributes:
        path: of the sign endpoint, as ``spec.vault.path`` of an issuer wants it.
        policy: the policy that allows exactly this path.
        role: the sign role; what signs through it depends on it.
    """

    path: str
    policy: vault.Policy
    role: pkisecret.SecretBackendRole


class VaultPki(pulumi.ComponentResource):
    """The mount, and per generation: a key made inside, its certificate, a role and its policy.

    Each role names its issuer by id. So a request through the role of one generation is never
    signed by the key of another, whatever the mount's default issuer is.

    Attributes:
        signers: by generation, of those that may sign.
        requests: signing requests by generation, PEM.
    """

    signers: dict[str, VaultSigner]
    requests: dict[str, Output[str]]

    def __init__(
        self, name: str, args: VaultPkiArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare it; constructing raises nothing."""
        super().__init__("mtls-pki:index:VaultPki", name, None, opts)
        self._args = args
        self._name = name
        mount = None if args.mount.adopt else self._mount(name, args.mount)
        self.signers, self.requests = {}, {}
        issuers = {}
        for generation, authority in args.authorities.items():
            request = self._request(authority, mount)
            self.requests[generation] = request.csr
            if authority.certify is None:
                continue
            issuers[generation] = self._issuer(authority, authority.certify(request.csr))
            if authority.role_name is not None:
                self.signers[generation] = self._signer(authority.role_name, issuers[generation])
        if args.default in issuers:
            pkisecret.SecretBackendConfigIssuers(
                f"{name}-default",
                backend=args.mount.path,
                default=issuers[args.default].issuer_id,
                default_follows_latest_issuer=False,
                opts=self._options(),
            )
        self.register_outputs({"requests": self.requests})

    def _mount(self, name: str, args: VaultMountArgs) -> vault.Mount:
        seconds = int(self._args.role.max_lifetime.total_seconds())
        return vault.Mount(
            name,
            path=args.path,
            type="pki",
            description=args.description,
            default_lease_ttl_seconds=seconds,
            max_lease_ttl_seconds=seconds,
            opts=self._options(
                protect=args.protect,
                retain_on_delete=True,
                import_=args.path if args.exists else None,
            ),
        )

    def _request(
        self, authority: VaultCaArgs, mount: vault.Mount | None
    ) -> pkisecret.SecretBackendIntermediateCertRequest:
        kind, bits = KEY_KINDS[authority.request.key_algorithm].vault
        return pkisecret.SecretBackendIntermediateCertRequest(
            f"{self._name}-{authority.issuer_name}-request",
            backend=self._args.mount.path,
            type="internal",
            common_name=authority.request.common_name,
            exclude_cn_from_sans=True,
            key_type=kind,
            key_bits=bits,
            opts=self._options(depends_on=[mount] if mount else None),
        )

    def _issuer(
        self, authority: VaultCaArgs, chain_pem: Output[str]
    ) -> pkisecret.SecretBackendIssuer:
        mount = self._args.mount
        imported = pkisecret.SecretBackendIntermediateSetSigned(
            f"{self._name}-{authority.issuer_name}-certificate",
            backend=mount.path,
            certificate=chain_pem,
            opts=self._options(),
        )
        root = self._held(
            authority.root_name,
            authority,
            imported,
            authority.root_pem,
            usage="read-only",
            above=[],
        )
        return self._held(
            authority.issuer_name,
            authority,
            imported,
            chain_pem,
            usage=_SIGNS if authority.role_name else _RETIRED,
            above=[root.issuer_id],
        )

    def _held(
        self,
        issuer_name: str,
        authority: VaultCaArgs,
        imported: pkisecret.SecretBackendIntermediateSetSigned,
        certificate_pem: Output[str],
        *,
        usage: str,
        above: list[Output[str]],
    ) -> pkisecret.SecretBackendIssuer:
        """Declare the issuer that the mount made of an imported certificate."""
        mount = self._args.mount
        # If an import is repeated (a run was interrupted after it), the answer names no issuer.
        issuer_id = Output.all(certificate_pem, imported.id).apply(
            lambda known: self._args.find_issuer(known[0])
        )
        name = certificate_pem.apply(
            lambda pem: self._args.name_in_mount(
                issuer_name, der_sha256(parse_certificates(pem, origin=issuer_name)[0])
            )
        )
        public = Output.format("{0}/v1/{1}/issuer/{2}", mount.server, mount.path, name)
        return pkisecret.SecretBackendIssuer(
            f"{self._name}-{issuer_name}",
            backend=mount.path,
            issuer_ref=issuer_id,
            issuer_name=name,
            # Verifiers refuse a leaf that outlives its issuer; cert-manager would not notice.
            leaf_not_after_behavior="err",
            usage=usage,
            # cert-manager takes one linear chain only, and writes its top into `ca.crt`. If the
            # server built the chain itself, a CA that is cross-signed in this mount would make two.
            manual_chains=[issuer_id, *above],
            issuing_certificates=[Output.concat(public, "/der")] if above else None,
            crl_distribution_points=[Output.concat(public, "/crl/der")] if above else None,
            opts=self._options(
                protect=authority.protect,
                retain_on_delete=authority.protect,
                # To the server a renewed certificate is another issuer. The provider's update would
                # keep the old one, whatever the inputs are (SecretBackendIssuer).
                replace_on_changes=["issuerRef"],
                compare=True,
            ),
        )

    def _signer(self, role_name: str, issuer: pkisecret.SecretBackendIssuer) -> VaultSigner:
        mount, role = self._args.mount.path, self._args.role
        ttl = str(int(role.max_lifetime.total_seconds()))
        kind, bits = _keys(role)
        declared = pkisecret.SecretBackendRole(
            f"{role_name}-role",
            backend=mount,
            name=role_name,
            issuer_ref=issuer.issuer_id,
            allowed_domains=list(role.allowed_domains),
            allow_bare_domains=True,
            allow_subdomains=True,
            allow_glob_domains=False,
            allow_any_name=False,
            allow_localhost="localhost" in role.allowed_domains,
            allow_wildcard_certificates=role.wildcards,
            allow_ip_sans=role.ip_addresses,
            allowed_uri_sans=list(role.uris),
            enforce_hostnames=True,
            require_cn=False,
            use_csr_common_name=True,
            use_csr_sans=True,
            key_type=kind,
            key_bits=bits,
            key_usages=["DigitalSignature", *(["KeyEncipherment"] * role.key_encipherment)],
            server_flag="server auth" in role.usages,
            client_flag="client auth" in role.usages,
            code_signing_flag=False,
            email_protection_flag=False,
            basic_constraints_valid_for_non_ca=True,
            ttl=ttl,
            max_ttl=ttl,
            # A lease for each leaf would only burden the server: leaves end soon by themselves.
            generate_lease=False,
            no_store=True,
            opts=self._options(compare=True),
        )
        path = f"{mount}/sign/{role_name}"
        policy = vault.Policy(
            f"{role_name}-policy",
            name=role_name,
            policy=_SIGN_POLICY.format(path=path),
            opts=self._options(),
        )
        return VaultSigner(path=path, policy=policy, role=declared)

    def _options(
        self,
        *,
        protect: bool | None = None,
        retain_on_delete: bool | None = None,
        import_: str | None = None,
        depends_on: list[pulumi.Resource] | None = None,
        replace_on_changes: list[str] | None = None,
        compare: bool = False,
    ) -> pulumi.ResourceOptions:
        after: list[pulumi.ResourceHook | pulumi.ResourceHookFunction] | None = (
            [self._args.compare] if compare else None
        )
        return pulumi.ResourceOptions(
            parent=self,
            protect=protect,
            retain_on_delete=retain_on_delete,
            import_=import_,
            depends_on=depends_on,
            replace_on_changes=replace_on_changes,
            hooks=pulumi.ResourceHookBinding(
                on_error=[self._args.on_failure], after_create=after, after_update=after
            ),
        )


def _keys(role: LeafLimits) -> tuple[str, int]:
    """Return ``key_type`` and ``key_bits`` of a role; a role cannot list several kinds."""
    algorithms = tuple(role.key_algorithms)
    return KEY_KINDS[algorithms[0]].vault if len(algorithms) == 1 else ("any", 0)
