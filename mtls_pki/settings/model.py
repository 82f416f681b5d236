"""The shape of the configuration: one class for each section, defaults and their reasons.

What relates two sections to each other is in :mod:`mtls_pki.settings.rules`. Backends
and consumers add sections of their own: :func:`settings_model` makes the whole of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from types import GenericAlias
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field, PrivateAttr, StrictBool, StrictInt, create_model

from mtls_pki.pki.key_algorithms import DEFAULT_KEY, KeyAlgorithm
from mtls_pki.rotation.owned_object import Claim
from mtls_pki.rotation.roles import Role
from mtls_pki.settings.extensions import BackendSettings, Extensions, IssuerScope
from mtls_pki.settings.section import Section
from mtls_pki.settings.types import (
    Abandoned,
    BaseName,
    CertificateFile,
    CommonName,
    ConfigMapKey,
    DnsLabel,
    DnsName,
    Domain,
    Duration,
    EmailAddress,
    Endpoint,
    Generation,
    HttpsUrl,
    Instant,
    IpAddress,
    NoUris,
    ObjectEntry,
    ObjectName,
    Organization,
    Secret,
    StackName,
)

_S = TypeVar("_S", bound=Section)


class ClusterSettings(Section):
    """How to reach one cluster: a kubeconfig file, a context in it, or both."""

    kubeconfig: str | None = None
    context: str | None = None
    cluster_domain: Domain = "cluster.local"
    # Its name in the stack before, where its record is of a release that did not write names down.
    formerly: DnsLabel | None = None
    # How a Vault reaches the API server to review the tokens of issuers, and which CA signed the
    # API server's certificate; by default as the kubeconfig says.
    api_server: HttpsUrl | None = None
    api_server_ca: CertificateFile | None = None
    # --api-audiences of the API server; a token that is to be reviewed with itself must name it.
    api_audience: str = "https://kubernetes.default.svc"


class IssuingCaSettings(Section):
    """The issuing CA below a root that was made elsewhere; somebody signs it offline.

    Without ``privateKey`` this stack (or its Vault) makes the key and exports a signing request;
    without ``certificate`` it waits until the anchor's holder has signed the request.
    """

    generation: Generation = "i1"
    certificate: CertificateFile | None = None
    private_key: Secret | None = None
    # What its request asks for, and what its certificate must then say; None: what
    # `issuing.intermediate` says is asked for, and the certificate may say what it likes.
    permitted_dns_domains: tuple[Domain, ...] | None = None


class AnchorSettings(Section):
    """One generation of the trust anchor, generated here or made elsewhere (``certificate``)."""

    role: Role
    common_name: CommonName | None = None
    valid_from: Instant | None = None
    valid_for: Duration | None = None
    # As `step certificate create --profile root-ca`: one CA below the root.
    path_length: StrictInt = Field(default=1, ge=0, le=10)
    key_algorithm: KeyAlgorithm = DEFAULT_KEY
    certificate: CertificateFile | None = None
    issuing_ca: IssuingCaSettings | None = None
    # Who holds the issuing CA below this one; None as `issuing.backend` says.
    backend: str | None = None
    # Only with role compromised: which key is distrusted, and that connections will break.
    fingerprint: str | None = None
    accept_outage: StrictBool = False

    @property
    def brought(self) -> bool:
        """Whether the root was made elsewhere, so that its key never comes here."""
        return self.certificate is not None

    @property
    def awaits_signature(self) -> bool:
        """Whether its issuing CA must be signed offline and is not signed yet."""
        return self.issuing_ca is not None and self.issuing_ca.certificate is None

    @property
    def can_issue(self) -> bool:
        """Whether an issuer below it can sign: by the anchor's own key or a signed issuing CA."""
        return not self.brought or (self.issuing_ca is not None and not self.awaits_signature)

    @property
    def not_after(self) -> datetime | None:
        """The end that the configuration gives a generated root; None for one made elsewhere."""
        if self.valid_from is None or self.valid_for is None:
            return None
        return self.valid_from + self.valid_for


class IntermediateSettings(Section):
    """The issuing CA below each generated root."""

    generation: Generation = "i1"
    # None: from the start of its root, so that one setting serves every generation.
    valid_from: Instant | None = None
    valid_for: Duration = timedelta(hours=8760)
    path_length: StrictInt = Field(default=0, ge=0, le=9)
    key_algorithm: KeyAlgorithm = DEFAULT_KEY
    permitted_dns_domains: tuple[Domain, ...] = ()


class LeafSettings(Section):
    """What every service certificate has unless the service says otherwise."""

    duration: Duration = timedelta(hours=24)
    renew_before: Duration = timedelta(hours=8)


class IssuingSettings(Section):
    """Who signs leaves, and under which names."""

    backend: str
    intermediate: IntermediateSettings | None = None
    direct: StrictBool = False
    kind: IssuerScope = "ClusterIssuer"
    # Of g2: `<name>-g2-...`; a changed issuerRef is what makes cert-manager reissue.
    name: BaseName = "mtls-ca"
    secret_name: BaseName | None = None
    # An issuer named exactly `name` for Certificates that teams declare themselves.
    stable: StrictBool = False
    # cert-manager reads the Secrets of ClusterIssuers from its own namespace only.
    cluster_resource_namespace: DnsLabel = "cert-manager"
    leaf: LeafSettings = LeafSettings()
    ready_timeout: Duration = timedelta(minutes=5)

    @property
    def issuing_ca(self) -> IntermediateSettings | None:
        """The intermediate to make below a generated root; None where the root signs leaves."""
        return None if self.direct else self.intermediate or IntermediateSettings()

    def section(self, key: str) -> Section | None:
        """Return the section of a backend, None where the stack file has none."""
        found = getattr(self, key, None)
        return found if isinstance(found, Section) else None

    @property
    def secret_base_name(self) -> str:
        """The CA Secret's name before its generation."""
        return self.secret_name or self.name


class PartnerSettings(Section):
    """A root of somebody else that the domain trusts; nothing is ever issued from it here."""

    certificate: CertificateFile


class FormerBundleSettings(Section):
    """Where the bundle was before; it is still written there, until all verifiers have moved."""

    name: ObjectName
    key: ConfigMapKey = "ca.crt"
    via: Literal["configmap", "trust-manager"] = "configmap"


class TrustSettings(Section):
    """Where the trust bundle goes, and how long it must have been there before anything issues."""

    name: BaseName = "mesh-trust"
    key: ConfigMapKey = "ca.crt"
    namespaces: tuple[DnsLabel, ...] = Field(min_length=1)
    create_namespaces: StrictBool = False
    via: Literal["configmap", "trust-manager"] = "configmap"
    # Above kubelet's sync period (60 s) and its cache: when a mounted ConfigMap follows the object.
    hold_down: Duration = timedelta(minutes=2)
    # HOST:PORT of servers whose served chain counts as evidence too.
    endpoints: tuple[Endpoint, ...] = ()
    # Side by side with `name`, `key` and `via` while verifiers move from the one to the other.
    formerly: tuple[FormerBundleSettings, ...] = ()
    partners: dict[DnsLabel, PartnerSettings] = Field(default_factory=dict)


class ServiceSettings(Section):
    """One workload identity: becomes one cert-manager Certificate in each of its clusters."""

    namespace: DnsLabel
    name: ObjectName | None = None
    clusters: tuple[str, ...] | None = None
    anchor: Generation | None = None
    service_account: ObjectName | None = None
    secret_name: ObjectName | None = None
    common_name: CommonName | None = None
    organizations: tuple[Organization, ...] = ()
    dns_names: tuple[DnsName, ...] | None = None
    email_addresses: tuple[EmailAddress, ...] = ()
    ip_addresses: tuple[IpAddress, ...] = ()
    uris: NoUris = ()
    usages: tuple[Literal["server auth", "client auth"], ...] = Field(
        default=("server auth", "client auth"), min_length=1
    )
    key_algorithm: KeyAlgorithm = DEFAULT_KEY
    rotation_policy: Literal["Always", "Never"] = "Always"
    duration: Duration | None = None
    renew_before: Duration | None = None


class ChartSettings(Section):
    """A Helm chart: pinned version, and where it comes from unless it is the upstream registry."""

    version: str
    chart: str
    values: dict[str, object] = Field(default_factory=dict)


class CertManagerSettings(Section):
    """Whether this program installs cert-manager (and trust-manager, where ``trust.via`` asks)."""

    install: StrictBool = False
    namespace: DnsLabel = "cert-manager"
    # Service account of its controller, which requests tokens of a Vault issuer's service account.
    service_account: DnsLabel = "cert-manager"
    cert_manager: ChartSettings = ChartSettings(
        version="v1.21.1", chart="oci://quay.io/jetstack/charts/cert-manager"
    )
    trust_manager: ChartSettings = ChartSettings(
        version="v0.24.0", chart="oci://quay.io/jetstack/charts/trust-manager"
    )


class AccessRuleSettings(Section):
    """One rule of a ClusterRole (Kubernetes, "Using RBAC Authorization")."""

    api_groups: tuple[str, ...]
    resources: tuple[str, ...] = Field(min_length=1)
    verbs: tuple[str, ...] = Field(min_length=1)
    resource_names: tuple[str, ...] = ()


class ClientAccessSettings(Section):
    """A machine that talks to API servers with a client certificate, and what it may do there."""

    clusters: tuple[str, ...] | None = None
    # The CN, by which audit logs know it; None: its name here.
    user: CommonName | None = None
    # The O, to which the rights are bound; None: one of its own, so that a withdrawal is its alone.
    group: CommonName | None = None
    # A ClusterRole that exists, or the rules of one that is made.
    cluster_role: str | None = None
    rules: tuple[AccessRuleSettings, ...] = ()
    # Where the rights hold; empty: in the whole cluster.
    namespaces: tuple[DnsLabel, ...] = ()
    valid_for: Duration = timedelta(hours=24)
    renew_before: Duration = timedelta(hours=8)
    # The newest last. A new name is a new key; the one before it stays until it is taken out.
    keys: tuple[DnsLabel, ...] = Field(default=("k1",), min_length=1)


class ConsumersSettings(Section):
    """Who takes trust and leaves besides the declared Certificates; one section for each."""

    def section(self, name: str) -> Section | None:
        """Return the section of a consumer, None where the stack file has none."""
        found = getattr(self, name, None)
        return found if isinstance(found, Section) else None


class Settings(Section):
    """The whole configuration of one stack; instances are of a class of :func:`settings_model`."""

    extensions: ClassVar[Extensions]

    trust_domain: Domain
    clusters: dict[DnsLabel, ClusterSettings] = Field(min_length=1)
    anchors: dict[Generation, AnchorSettings] = Field(min_length=1)
    issuing: IssuingSettings
    trust: TrustSettings
    services: dict[DnsLabel, ServiceSettings] = Field(default_factory=dict)
    consumers: ConsumersSettings = ConsumersSettings()
    client_access: dict[DnsLabel, ClientAccessSettings] = Field(default_factory=dict)
    cert_manager: CertManagerSettings = CertManagerSettings()
    # What leaves although somebody uses it, as the refusal names it; each entry waives only itself.
    abandon: tuple[Abandoned, ...] = ()
    # Objects of somebody else that become this stack's, as the refusal names them.
    adopt: tuple[ObjectEntry, ...] = ()
    # The stack's names before `pulumi stack rename`; what they own is this stack's.
    former_owners: tuple[StackName, ...] = ()
    # No key of the configuration: the stack's own name, by which its objects are told from others.
    _owner: str = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Take what the reader knows besides the configuration."""
        self._owner = context["owner"]

    @property
    def owner(self) -> str:
        """Who owns what the stack declares: ``<project>/<stack>``."""
        return self._owner

    @property
    def given_up(self) -> bool:
        """Whether the whole stack is given up, so that nothing of it is kept from deletion."""
        return "stack" in self.abandon

    @property
    def claim(self) -> Claim:
        """What the stack calls its own."""
        return Claim(
            owner=self.owner, former=frozenset(self.former_owners), adopt=frozenset(self.adopt)
        )

    @property
    def issuing_generation(self) -> str:
        """The generation that signs leaves; the rules make sure that there is exactly one."""
        return next(name for name, anchor in self.anchors.items() if anchor.role is Role.ISSUING)

    @property
    def issuer_namespaces(self) -> tuple[str | None, ...]:
        """Where each generation has an issuer; None alone for a ClusterIssuer."""
        return self.trust.namespaces if self.issuing.kind == "Issuer" else (None,)

    def backend_of(self, generation: str) -> BackendSettings:
        """Who holds the issuing CA below the anchor ``generation``."""
        name = self.anchors[generation].backend or self.issuing.backend
        return self.extensions.backend(name)

    def generation_of(self, service: ServiceSettings) -> str:
        """The generation that signs for ``service``: its own (a canary) or the issuing one."""
        return service.anchor or self.issuing_generation

    def clusters_of_access(self, access: ClientAccessSettings) -> tuple[str, ...]:
        """The clusters in which a machine has access."""
        return access.clusters or tuple(self.clusters)

    def clusters_of(self, service: ServiceSettings) -> tuple[str, ...]:
        """The clusters in which ``service`` has a Certificate."""
        return service.clusters or tuple(self.clusters)


@cache
def settings_model(extensions: Extensions) -> type[Settings]:
    """Return the class that reads a whole configuration, with the sections of ``extensions``."""
    names = tuple(row.name for row in extensions.backends)
    literal: Any = Literal
    backend = literal[names]
    sections = {
        row.key: row.section
        for row in extensions.backends
        if row.key is not None and row.section is not None
    }
    issuing = _extended(IssuingSettings, sections, backend=(backend, names[0]))
    anchor = _extended(AnchorSettings, {}, backend=(backend | None, None))
    consumers = _extended(
        ConsumersSettings, {row.name: row.section for row in extensions.consumers}
    )
    model = _extended(
        Settings,
        {},
        anchors=(GenericAlias(dict, (Generation, anchor)), Field(min_length=1)),
        issuing=(issuing, Field(default_factory=issuing)),
        consumers=(consumers, Field(default_factory=consumers)),
    )
    model.extensions = extensions
    return model


def _extended(base: type[_S], sections: Mapping[str, type[Section]], **fields: Any) -> type[_S]:
    """Return ``base`` with an optional section for each of ``sections``, and other ``fields``."""
    optional: dict[str, Any] = {name: (section | None, None) for name, section in sections.items()}
    made: type[_S] = create_model(base.__name__, __base__=base, **optional, **fields)
    return made
