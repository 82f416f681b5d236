"""Rules for services and their leaf certificates; each yields its breaches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from mtls_pki.pki.chain import check_root
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import describe, parse_certificate
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.roles import Role
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.host_names import LONGEST
from mtls_pki.settings.leaf_limits import dns_names, is_below
from mtls_pki.settings.model import AnchorSettings, Settings
from mtls_pki.settings.names import declared_issuers, leaf_secret_name, stack_secrets

# SPIRE's ca.MaxSVIDTTL: leaves must be dead well before their issuing CA is.
LEAF_SHARE_OF_ISSUING_CA = 6
# cert-manager's webhook: internal/apis/certmanager/validation/certificate.go.
_MINIMUM_DURATION = timedelta(hours=1)
_MINIMUM_RENEW_BEFORE = timedelta(minutes=5)
# Of our own. Below it cert-manager issues without a pause: 59m59s of 1h made 13 leaves in a minute.
_MINIMUM_AGE_AT_RENEWAL = timedelta(minutes=5)
_FORMERLY = "a cluster that is there keeps its objects with `formerly:`"


def resource_names_are_unique(settings: Settings) -> Iterator[Mistake]:
    """Demand that no two resources of one kind have one Pulumi name.

    A name joins parts that may have hyphens themselves: cluster ``a-b`` with service ``c`` is
    cluster ``a`` with service ``b-c``, and the engine would take one resource for the other. For
    services and namespaces these are the names of earlier releases, under which the engine's state
    may know them.
    """
    seen: dict[tuple[str, str], str] = {}
    for path, kind, resource_name, what, remedy in _resource_names(settings):
        other = seen.setdefault((kind, resource_name), what)
        if other != what:
            yield Mistake(
                path=path,
                message=f"{what}: its Pulumi name {resource_name} is that of {other}; {remedy}",
            )


def _resource_names(settings: Settings) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield path, kind, name, what it is, and what to do about two of one name."""
    for name, service in settings.services.items():
        for cluster in settings.clusters_of(service):
            yield (
                f"services.{name}",
                "service",
                f"{cluster}-{name}",
                f"services.{name} in cluster {cluster}",
                "call one of them differently (its Certificate keeps its name with `name:`)",
            )
    issuers = [reference.partition("/")[2] for reference in declared_issuers(settings)]
    for cluster in settings.clusters:
        for namespace in settings.trust.namespaces if settings.trust.create_namespaces else ():
            yield (
                "clusters",
                "namespace",
                f"{cluster}-{namespace}",
                f"namespace {namespace} in cluster {cluster}",
                f"call one of the clusters differently ({_FORMERLY})",
            )
        for bundle in dict.fromkeys(
            (settings.trust.name, *(former.name for former in settings.trust.formerly))
        ):
            yield (
                "clusters",
                "bundle",
                f"{cluster}-{bundle}",
                f"bundle {bundle} in cluster {cluster}",
                f"call one of the clusters or bundles differently ({_FORMERLY})",
            )
        for issuer in issuers:
            for place in settings.issuer_namespaces:
                yield (
                    "issuing.name",
                    "issuer",
                    "-".join(part for part in (cluster, issuer, place) if part),
                    f"issuer {issuer} of namespace {place} in cluster {cluster}",
                    "call one of the namespaces or clusters, or the issuers, differently",
                )


def bundle_forms_fit_each_other(settings: Settings) -> Iterator[Mistake]:
    """Demand that each former form of the bundle differs from all others.

    One ConfigMap has one writer: trust-manager removes what it did not write itself from the key of
    its target, and writes one key (trust-manager, pkg/bundle/internal/target).
    """
    trust = settings.trust
    seen = {trust.name: ({trust.key}, trust.via)}
    for index, former in enumerate(trust.formerly):
        path = f"trust.formerly.{index}"
        keys, via = seen.setdefault(former.name, (set(), former.via))
        if former.key in keys:
            yield Mistake(
                path=path, message=f"{former.name}[{former.key}] is written already; remove it"
            )
        elif keys and "trust-manager" in (via, former.via):
            yield Mistake(
                path=f"{path}.name",
                message=f"{former.name!r} is written by {via} already; give the present bundle "
                "another trust.name while the two are side by side",
            )
        keys.add(former.key)


def partners_are_roots(settings: Settings) -> Iterator[Mistake]:
    """Demand a sound root of somebody else from each partner.

    The same root as an anchor's, under a second name, could not be told apart when it leaves.
    """
    own = {
        describe(parse_certificate(anchor.certificate.pem, origin="root")).spki_sha256: name
        for name, anchor in settings.anchors.items()
        if anchor.certificate is not None and not check_root(anchor.certificate.pem)
    }
    for name, partner in settings.trust.partners.items():
        path = f"trust.partners.{name}.certificate"
        mistakes = check_root(partner.certificate.pem)
        for text in mistakes:
            yield Mistake(path=path, message=f"{partner.certificate.path}: {text}")
        if mistakes:
            continue
        key = describe(parse_certificate(partner.certificate.pem, origin="root")).spki_sha256
        if key in own:
            yield Mistake(
                path=path,
                message=f"{partner.certificate.path}: it has the key of {own[key]}; remove one of "
                "the two",
            )
        own.setdefault(key, f"trust.partners.{name}")


def services_name_what_exists(settings: Settings) -> Iterator[Mistake]:
    """Demand that a service names only namespaces, clusters and anchors of this stack.

    A workload without the trust bundle cannot verify anybody, and an anchor that is compromised, or
    has no issuing CA here, can sign no leaf.
    """
    for name, service in settings.services.items():
        path = f"services.{name}"
        if service.namespace not in settings.trust.namespaces:
            yield Mistake(
                path=f"{path}.namespace",
                message=f"{service.namespace!r} gets no trust bundle; add it to trust.namespaces",
            )
        for cluster in service.clusters or ():
            if cluster not in settings.clusters:
                known = ", ".join(settings.clusters)
                yield Mistake(
                    path=f"{path}.clusters",
                    message=f"{cluster!r} is no cluster of this stack; write one of: {known}",
                )
        if service.anchor is None:
            continue
        anchor = settings.anchors.get(service.anchor)
        if anchor is None:
            known = ", ".join(settings.anchors)
            yield Mistake(
                path=f"{path}.anchor",
                message=f"{service.anchor!r} is no anchor of this stack; write one of: {known}",
            )
        elif anchor.role is Role.COMPROMISED:
            yield Mistake(
                path=f"{path}.anchor",
                message=f"{service.anchor!r} is compromised; leave the key out",
            )
        elif not anchor.can_issue:
            yield Mistake(
                path=f"{path}.anchor",
                message=f"{service.anchor!r} has no issuing CA here; give anchors."
                f"{service.anchor}.issuingCa",
            )


def services_have_their_own_objects(settings: Settings) -> Iterator[Mistake]:
    """Demand a Certificate and a Secret of its own for each service.

    Two Certificates with one Secret take turns in writing it: cert-manager then issues without end.
    In a Secret that the stack writes itself a leaf would take the place of a CA.
    """
    seen: dict[tuple[str, str, str, str], str] = {}
    written = {cluster: stack_secrets(settings, cluster) for cluster in settings.clusters}
    for name, service in settings.services.items():
        secret = leaf_secret_name(name, service)
        for cluster in settings.clusters_of(service):
            if (service.namespace, secret) in written.get(cluster, ()):
                yield Mistake(
                    path=f"services.{name}.secretName",
                    message=f"{service.namespace}/{secret} is a Secret with a CA that the stack "
                    f"itself writes in cluster {cluster}; write another",
                )
                break
        if len(secret) > LONGEST:
            yield Mistake(
                path=f"services.{name}.secretName",
                message=f"{secret!r} is {len(secret)} characters long; write one of at most "
                f"{LONGEST}",
            )
        if "." in (service.name or "") and service.dns_names is None:
            yield Mistake(
                path=f"services.{name}.dnsNames",
                message=f"missing: {service.name!r} has a dot, so no Service has this name (RFC "
                "1035) and no DNS names follow from it; list them",
            )
        object_name = service.name or name
        for kind, value in (
            ("name", object_name),
            ("secretName", leaf_secret_name(name, service)),
        ):
            owners = [
                seen.setdefault((kind, cluster, service.namespace, value), name)
                for cluster in settings.clusters_of(service)
            ]
            first = next((owner for owner in owners if owner != name), None)
            if first is not None:
                yield Mistake(
                    path=f"services.{name}.{kind}",
                    message=f"{service.namespace}/{value} is already that of services.{first}; "
                    "write another",
                )


def _leaf_times(settings: Settings) -> Iterator[tuple[str, timedelta, timedelta]]:
    leaf = settings.issuing.leaf
    yield "issuing.leaf", leaf.duration, leaf.renew_before
    for name, service in settings.services.items():
        if service.duration is not None or service.renew_before is not None:
            yield (
                f"services.{name}",
                service.duration or leaf.duration,
                service.renew_before or leaf.renew_before,
            )


def leaf_times_are_cert_managers(settings: Settings) -> Iterator[Mistake]:
    """Demand durations that cert-manager's webhook accepts.

    They are in its ``internal/apis/certmanager/validation/certificate.go``: at least one hour,
    renewed at least five minutes before the end, and after the beginning. It may be renewed five
    minutes after it began at the earliest, which is a rule of this program.
    """
    for path, duration, renew_before in _leaf_times(settings):
        if duration < _MINIMUM_DURATION:
            yield Mistake(
                path=f"{path}.duration",
                message=f"{format_duration(duration)} is below cert-manager's minimum; write 1h",
            )
        if renew_before < _MINIMUM_RENEW_BEFORE:
            yield Mistake(
                path=f"{path}.renewBefore",
                message=f"{format_duration(renew_before)} is below cert-manager's minimum; "
                "write 5m",
            )
        if renew_before >= duration:
            yield Mistake(
                path=f"{path}.renewBefore",
                message=f"{format_duration(renew_before)} is not shorter than the duration "
                f"{format_duration(duration)}; write {format_duration(duration / 3)}",
            )
        elif duration - renew_before < _MINIMUM_AGE_AT_RENEWAL:
            yield Mistake(
                path=f"{path}.renewBefore",
                message=f"{format_duration(renew_before)} leaves "
                f"{format_duration(duration - renew_before)} of the duration "
                f"{format_duration(duration)}, so leaves would be issued without a pause; write "
                f"{format_duration(duration / 3)}",
            )


def _issuing_ca_lifetime(settings: Settings, anchor: AnchorSettings) -> timedelta | None:
    """Lifetime of the CA that signs leaves under ``anchor``; None if there is no readable one."""
    if anchor.issuing_ca is not None and anchor.issuing_ca.certificate is not None:
        try:
            pem = anchor.issuing_ca.certificate.pem
            facts = describe(parse_certificate(pem, origin="issuing CA"))
        except PkiError:
            return None
        return facts.not_after - facts.not_before
    if anchor.brought:
        return None
    intermediate = settings.issuing.issuing_ca
    return intermediate.valid_for if intermediate else anchor.valid_for


def leaves_fit_their_issuing_ca(settings: Settings) -> Iterator[Mistake]:
    """Demand that a leaf lives at most a sixth as long as its issuing CA.

    Then the leaves of an issuing CA are gone well before it ends. SPIRE keeps the same ratio
    (``ca.MaxSVIDTTL``).
    """
    lifetimes = [
        lifetime
        for anchor in settings.anchors.values()
        if (lifetime := _issuing_ca_lifetime(settings, anchor)) is not None
    ]
    if not lifetimes:
        return
    limit = min(lifetimes) // LEAF_SHARE_OF_ISSUING_CA
    limit -= timedelta(microseconds=limit.microseconds)
    for path, duration, _ in _leaf_times(settings):
        if duration > limit:
            yield Mistake(
                path=f"{path}.duration",
                message=f"{format_duration(duration)} is more than a sixth of the issuing CA's "
                f"lifetime; write at most {format_duration(limit)}",
            )


def names_are_permitted(settings: Settings) -> Iterator[Mistake]:
    """Demand that each DNS name lies within the name constraints of the CAs that are made here.

    Verifiers refuse the whole chain of a leaf outside of them (RFC 5280, section 4.2.1.10). Those
    of brought CAs are judged with everything else that they say (``brought_chains_verify``).
    """
    intermediate = settings.issuing.issuing_ca
    if intermediate is None or all(anchor.brought for anchor in settings.anchors.values()):
        return
    permitted = intermediate.permitted_dns_domains
    for name, names in _names_outside(settings, permitted) if permitted else ():
        yield Mistake(
            path=f"services.{name}.dnsNames",
            message=f"{', '.join(names)}: outside issuing.intermediate.permittedDnsDomains "
            f"({', '.join(permitted)}); list names inside, or permit the domain",
        )


def _names_outside(
    settings: Settings, permitted: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in settings.services:
        outside = sorted(
            dns_name for dns_name in dns_names(settings, name) if not is_below(dns_name, permitted)
        )
        if outside:
            yield name, tuple(outside)


def usages_and_lists_are_sets(settings: Settings) -> Iterator[Mistake]:
    """Demand that lists name nothing twice.

    The second mention does nothing. It is mostly a slip for another value, which is then missing.
    """
    lists = [("trust.namespaces", settings.trust.namespaces)]
    for name, service in settings.services.items():
        lists += [
            (f"services.{name}.{key}", values)
            for key, values in (
                ("organizations", service.organizations),
                ("dnsNames", service.dns_names or ()),
                ("ipAddresses", service.ip_addresses),
                ("emailAddresses", service.email_addresses),
                ("clusters", service.clusters or ()),
                ("usages", service.usages),
            )
        ]
    for path, values in lists:
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            yield Mistake(path=path, message=f"{', '.join(twice)} twice; write it once")
