"""The rules that relate settings to each other; one function a rule, one table of all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta

from pki.chain import check_root, verify_issuing_ca
from rotation.roles import Role
from settings.durations import format_duration
from settings.errors import Mistake
from settings.model import Settings
from settings.names import issuing_ca_common_name, issuing_ca_not_before, service_dns_names
from settings.types import COMMON_NAME_LIMIT

# SPIRE's ca.MaxSVIDTTL: leaves must be dead well before their issuing CA is.
LEAF_SHARE_OF_ISSUING_CA = 6
# cert-manager's webhook: internal/apis/certmanager/validation/certificate.go.
_MINIMUM_DURATION = timedelta(hours=1)
_MINIMUM_RENEW_BEFORE = timedelta(minutes=5)
_GENERATED_FIELDS = ("common_name", "valid_from", "valid_for")


def _camel(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(word.capitalize() for word in rest)


def _exactly_one_issuing(settings: Settings) -> Iterator[Mistake]:
    issuing = [name for name, anchor in settings.anchors.items() if anchor.role is Role.ISSUING]
    if len(issuing) != 1:
        seen = ", ".join(issuing) or "none"
        yield Mistake(
            path="anchors",
            message=f"{len(issuing)} anchors have role issuing ({seen}); give it to exactly one",
        )


def _generated_or_brought(settings: Settings) -> Iterator[Mistake]:
    for name, anchor in settings.anchors.items():
        given = [field for field in _GENERATED_FIELDS if getattr(anchor, field) is not None]
        if anchor.brought:
            unwanted = given + [
                field
                for field in ("path_length", "key_algorithm")
                if field in anchor.model_fields_set
            ]
            for field in unwanted:
                yield Mistake(
                    path=f"anchors.{name}.{_camel(field)}",
                    message="leave it out: the certificate that was brought fixes it",
                )
        else:
            for field in _GENERATED_FIELDS:
                if field not in given:
                    yield Mistake(
                        path=f"anchors.{name}.{_camel(field)}",
                        message="missing; a generated anchor states its subject and dates "
                        "(or bring one with `certificate: trust/file.pem`)",
                    )
            if anchor.issuing_ca is not None:
                yield Mistake(
                    path=f"anchors.{name}.issuingCa",
                    message="only for an anchor with `certificate`; this one's issuing CA is made "
                    "from issuing.intermediate",
                )


def _brought_files_are_sound(settings: Settings) -> Iterator[Mistake]:
    for name, anchor in settings.anchors.items():
        if anchor.certificate is None:
            continue
        path = f"anchors.{name}.certificate"
        root_mistakes = check_root(anchor.certificate.pem)
        for text in root_mistakes:
            yield Mistake(path=path, message=f"{anchor.certificate.path}: {text}")
        if root_mistakes or anchor.issuing_ca is None:
            continue
        for text in verify_issuing_ca(
            anchor.issuing_ca.certificate.pem,
            anchor.issuing_ca.private_key.get_secret_value(),
            anchor.certificate.pem,
        ):
            yield Mistake(
                path=f"anchors.{name}.issuingCa",
                message=f"{anchor.issuing_ca.certificate.path}: {text}",
            )


def _issuing_anchor_has_an_issuing_ca(settings: Settings) -> Iterator[Mistake]:
    for name, anchor in settings.anchors.items():
        if anchor.role is Role.ISSUING and not anchor.can_issue:
            yield Mistake(
                path=f"anchors.{name}.issuingCa",
                message="missing; an anchor made elsewhere issues through an issuing CA made "
                "elsewhere: give its certificate and privateKey (as a secret)",
            )


def _acknowledgement_belongs_to_a_compromise(settings: Settings) -> Iterator[Mistake]:
    for name, anchor in settings.anchors.items():
        if not anchor.role.trusted:
            continue
        for field in ("fingerprint", "accept_outage"):
            if field in anchor.model_fields_set:
                yield Mistake(
                    path=f"anchors.{name}.{_camel(field)}",
                    message="only with role compromised; leave it out",
                )


def _names_are_unique(settings: Settings) -> Iterator[Mistake]:
    names = Counter(anchor.common_name for anchor in settings.anchors.values())
    for name, anchor in settings.anchors.items():
        if anchor.common_name is not None and names[anchor.common_name] > 1:
            yield Mistake(
                path=f"anchors.{name}.commonName",
                message=f"{anchor.common_name!r} is used by more than one generation; verifiers "
                "that look up issuers by name would confuse them: give each its own",
            )


def _issuing_ca_fits_its_root(settings: Settings) -> Iterator[Mistake]:
    intermediate = settings.issuing.issuing_ca
    if settings.issuing.direct and settings.issuing.intermediate is not None:
        yield Mistake(
            path="issuing.direct",
            message="true contradicts issuing.intermediate; leave one of the two out",
        )
    if intermediate is None:
        return
    for name, anchor in settings.anchors.items():
        if anchor.brought or anchor.valid_from is None or anchor.not_after is None:
            continue
        start = issuing_ca_not_before(anchor, intermediate)
        if start + intermediate.valid_for > anchor.not_after:
            room = anchor.not_after - start
            remedy = (
                f"write at most {format_duration(room)}"
                if room > timedelta(0)
                else f"anchor {name} ends before it starts"
            )
            yield Mistake(
                path="issuing.intermediate.validFor",
                message=f"{format_duration(intermediate.valid_for)} outlives anchor {name}, which "
                f"ends {anchor.not_after:%Y-%m-%dT%H:%M:%SZ}; {remedy}",
            )
        subject = issuing_ca_common_name(settings, name, intermediate)
        if len(subject) > COMMON_NAME_LIMIT:
            yield Mistake(
                path="trustDomain",
                message=f"{settings.trust_domain!r} makes the issuing CA's common name {subject!r} "
                f"longer than {COMMON_NAME_LIMIT} characters (RFC 5280 A.1); write a shorter one",
            )
        if anchor.path_length <= intermediate.path_length:
            yield Mistake(
                path=f"anchors.{name}.pathLength",
                message=f"{anchor.path_length} leaves no room for an issuing CA of path length "
                f"{intermediate.path_length}; write {intermediate.path_length + 1}",
            )


def _clusters_can_be_reached(settings: Settings) -> Iterator[Mistake]:
    for name, cluster in settings.clusters.items():
        if cluster.kubeconfig is None and cluster.context is None:
            yield Mistake(
                path=f"clusters.{name}",
                message="write `kubeconfig: PATH`, `context: NAME`, or both",
            )


def _services_name_what_exists(settings: Settings) -> Iterator[Mistake]:
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


def _services_have_their_own_objects(settings: Settings) -> Iterator[Mistake]:
    seen: dict[tuple[str, str, str, str], str] = {}
    for name, service in settings.services.items():
        object_name = service.name or name
        for kind, value in (
            ("name", object_name),
            ("secretName", service.secret_name or f"{object_name}-tls"),
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


def _leaf_times_are_cert_managers(settings: Settings) -> Iterator[Mistake]:
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


def _leaves_fit_their_issuing_ca(settings: Settings) -> Iterator[Mistake]:
    intermediate = settings.issuing.issuing_ca
    lifetimes = [
        intermediate.valid_for if intermediate else anchor.valid_for
        for anchor in settings.anchors.values()
        if not anchor.brought and anchor.valid_for is not None
    ]
    if not lifetimes:
        return
    limit = min(lifetimes) / LEAF_SHARE_OF_ISSUING_CA
    for path, duration, _ in _leaf_times(settings):
        if duration > limit:
            yield Mistake(
                path=f"{path}.duration",
                message=f"{format_duration(duration)} is more than a sixth of the issuing CA's "
                f"lifetime; write at most {format_duration(limit)}",
            )


def _names_are_permitted(settings: Settings) -> Iterator[Mistake]:
    intermediate = settings.issuing.issuing_ca
    if intermediate is None or not intermediate.permitted_dns_domains:
        return
    permitted = intermediate.permitted_dns_domains
    for name, service in settings.services.items():
        names = {
            dns_name
            for cluster in settings.clusters_of(service)
            if cluster in settings.clusters
            for dns_name in service_dns_names(
                name, service, settings.clusters[cluster].cluster_domain
            )
        }
        outside = sorted(
            dns_name
            for dns_name in names
            if not any(
                dns_name == domain or dns_name.endswith(f".{domain}") for domain in permitted
            )
        )
        if outside:
            yield Mistake(
                path=f"services.{name}.dnsNames",
                message=f"{', '.join(outside)}: outside issuing.intermediate.permittedDnsDomains "
                f"({', '.join(permitted)}); list names inside, or permit the domain",
            )


def _usages_and_lists_are_sets(settings: Settings) -> Iterator[Mistake]:
    lists = [("trust.namespaces", settings.trust.namespaces)]
    for name, service in settings.services.items():
        lists += [
            (f"services.{name}.{key}", values)
            for key, values in (
                ("dnsNames", service.dns_names or ()),
                ("clusters", service.clusters or ()),
                ("usages", service.usages),
            )
        ]
    for path, values in lists:
        twice = [value for value, count in Counter(values).items() if count > 1]
        if twice:
            yield Mistake(path=path, message=f"{', '.join(twice)} twice; write it once")


RULES: tuple[Callable[[Settings], Iterator[Mistake]], ...] = (
    _clusters_can_be_reached,
    _exactly_one_issuing,
    _generated_or_brought,
    _brought_files_are_sound,
    _issuing_anchor_has_an_issuing_ca,
    _acknowledgement_belongs_to_a_compromise,
    _names_are_unique,
    _issuing_ca_fits_its_root,
    _leaf_times_are_cert_managers,
    _leaves_fit_their_issuing_ca,
    _services_name_what_exists,
    _services_have_their_own_objects,
    _names_are_permitted,
    _usages_and_lists_are_sets,
)


def mistakes_of(settings: Settings) -> tuple[Mistake, ...]:
    """Return every breach of :data:`RULES`."""
    return tuple(mistake for rule in RULES for mistake in rule(settings))
