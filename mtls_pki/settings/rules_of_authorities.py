"""Rules for anchors, issuing CAs and the places of both; each yields its breaches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from mtls_pki.pki.chain import check_root, verify_issuing_ca
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import describe, parse_certificate
from mtls_pki.pki.profile import path_length_of, permitted_dns_domains
from mtls_pki.rotation.durations import format_duration
from mtls_pki.rotation.roles import Role
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.model import AnchorSettings, IntermediateSettings, Settings
from mtls_pki.settings.names import issuing_ca_not_before
from mtls_pki.settings.types import UnreadSecret

_GENERATED_FIELDS = ("common_name", "valid_from", "valid_for")


def _camel(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(word.capitalize() for word in rest)


def exactly_one_issuing(settings: Settings) -> Iterator[Mistake]:
    """Demand exactly one anchor with role ``issuing``.

    With none nothing could be issued; with two it would be open which one signs a new leaf.
    """
    issuing = [name for name, anchor in settings.anchors.items() if anchor.role is Role.ISSUING]
    if len(issuing) != 1:
        seen = ", ".join(issuing) or "none"
        yield Mistake(
            path="anchors",
            message=f"{len(issuing)} anchors have role issuing ({seen}); give it to exactly one",
        )


def generated_or_brought(settings: Settings) -> Iterator[Mistake]:
    """Demand that an anchor is either generated or brought, and not a mixture.

    A generated anchor states its subject and its dates, for its certificate is made of them and of
    no clock. Those of a brought one stand in its certificate, so a second statement could only
    differ.
    """
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


def brought_files_are_sound(settings: Settings) -> Iterator[Mistake]:
    """Demand brought certificates that strict verifiers take for a root and its issuing CA.

    They have the extensions of RFC 5280, section 4.2.1, and signature, key ids and names agree
    (``mtls_pki.pki.authorities``). A CA that only lenient verifiers accept would break connections
    that nobody tested.
    """
    for name, anchor in settings.anchors.items():
        if anchor.certificate is None:
            continue
        path = f"anchors.{name}.certificate"
        root_mistakes = check_root(anchor.certificate.pem)
        for text in root_mistakes:
            yield Mistake(path=path, message=f"{anchor.certificate.path}: {text}")
        issuing_ca = anchor.issuing_ca
        if root_mistakes or issuing_ca is None or issuing_ca.certificate is None:
            continue
        key = issuing_ca.private_key
        for text in (
            *verify_issuing_ca(
                issuing_ca.certificate.pem,
                None if key is None or isinstance(key, UnreadSecret) else key.get_secret_value(),
                anchor.certificate.pem,
            ),
            *_unlike_what_was_asked(settings, name, issuing_ca.certificate.pem),
        ):
            yield Mistake(
                path=f"anchors.{name}.issuingCa",
                message=f"{issuing_ca.certificate.path}: {text}",
            )


def _unlike_what_was_asked(settings: Settings, generation: str, issuing_pem: str) -> Iterator[str]:
    """Ways in which a signer with a profile of its own did not do what the request asked for."""
    asked = settings.issuing.issuing_ca or IntermediateSettings()
    try:
        issuing = parse_certificate(issuing_pem, origin="issuing CA")
    except PkiError:
        return
    length = path_length_of(issuing)
    if length is None or length > asked.path_length:
        yield (
            f"its path length is {'not limited' if length is None else length}, but "
            f"issuing.intermediate.pathLength is {asked.path_length}; have it signed with that"
        )
    wanted = settings.anchors[generation].issuing_ca
    if wanted is None or wanted.permitted_dns_domains is None:
        return
    # `.example.org` and `example.org` are two spellings of what was asked for.
    permitted = {domain.removeprefix(".") for domain in permitted_dns_domains(issuing)}
    if set(wanted.permitted_dns_domains) != permitted:
        yield (
            f"it permits {', '.join(sorted(permitted)) or 'every DNS domain'}, but "
            f"anchors.{generation}.issuingCa.permittedDnsDomains says "
            f"{', '.join(wanted.permitted_dns_domains) or 'nothing'}; have it signed with these "
            "name constraints, or write there what it says"
        )


def issuing_anchor_has_an_issuing_ca(settings: Settings) -> Iterator[Mistake]:
    """Demand that the issuing anchor can sign leaves here.

    A brought anchor has no key here, so it needs an issuing CA. While that waits for its signature,
    the anchor may be issuing only where no other one could be: the first anchor of a new stack.
    """
    for name, anchor in settings.anchors.items():
        if anchor.role is not Role.ISSUING or anchor.can_issue:
            continue
        if not anchor.awaits_signature:
            yield Mistake(
                path=f"anchors.{name}.issuingCa",
                message="missing; an anchor made elsewhere issues through an issuing CA: write "
                "{generation: i1} to get its signing request, or give the certificate and "
                "privateKey (as a secret) of one made elsewhere",
            )
        elif len(settings.anchors) > 1:
            yield Mistake(
                path=f"anchors.{name}.role",
                message="issuing, but its issuing CA is not signed yet; leave it incoming until "
                f"anchors.{name}.issuingCa.certificate is there",
            )


def issuing_ca_has_one_key(settings: Settings) -> Iterator[Mistake]:
    """Demand that a given key of an issuing CA is the key that signs.

    An authority that makes the key itself would ignore a given one, and a key without its
    certificate belongs to no CA.
    """
    for name, anchor in settings.anchors.items():
        issuing_ca = anchor.issuing_ca
        if issuing_ca is None or issuing_ca.private_key is None:
            continue
        path = f"anchors.{name}.issuingCa"
        backend = settings.backend_of(name)
        if backend.holds_key(settings, name):
            yield Mistake(
                path=f"{path}.privateKey",
                message=f"leave it out: with backend {backend.name} the key is made in "
                f"{backend.authority} and never leaves it",
            )
        elif issuing_ca.certificate is None:
            yield Mistake(
                path=f"{path}.certificate",
                message="missing; give the certificate of this privateKey, or leave both out to "
                "get a signing request",
            )


def acknowledgement_belongs_to_a_compromise(settings: Settings) -> Iterator[Mistake]:
    """Demand ``fingerprint`` and ``acceptOutage`` only where an anchor is compromised.

    Left on a trusted anchor they would acknowledge the next compromise before anybody decided on
    it.
    """
    for name, anchor in settings.anchors.items():
        if not anchor.role.trusted:
            continue
        for field in ("fingerprint", "accept_outage"):
            if field in anchor.model_fields_set:
                yield Mistake(
                    path=f"anchors.{name}.{_camel(field)}",
                    message="only with role compromised; leave it out",
                )


def names_are_unique(settings: Settings) -> Iterator[Mistake]:
    """Demand a subject of its own for each anchor.

    Verifiers look up the issuer of a certificate by its name (RFC 5280, section 6.1.3 (a) (4)).
    With two anchors of one name some try only the first that they find.
    """
    subjects = {name: _subject(anchor) for name, anchor in settings.anchors.items()}
    for name, subject in subjects.items():
        others = [other for other, its in subjects.items() if other != name and its == subject]
        if subject is not None and others:
            field = "certificate" if settings.anchors[name].brought else "commonName"
            yield Mistake(
                path=f"anchors.{name}.{field}",
                message=f"subject {subject!r} is that of {', '.join(others)} too; verifiers that "
                "look up issuers by name would confuse them: give each generation its own",
            )


def _subject(anchor: AnchorSettings) -> str | None:
    """The root's subject, None where it is not known (another rule says why)."""
    if anchor.certificate is None:
        return f"CN={anchor.common_name}" if anchor.common_name is not None else None
    if check_root(anchor.certificate.pem):
        return None
    return describe(parse_certificate(anchor.certificate.pem, origin="root")).subject


def installed_where_it_is_looked_for(settings: Settings) -> Iterator[Mistake]:
    """Demand that cert-manager is installed where its ClusterIssuers' Secrets are looked for.

    By default cert-manager's cluster resource namespace is its own (cert-manager's flag
    ``--cluster-resource-namespace``), and a ClusterIssuer finds its CA Secret nowhere else.
    """
    install, looked_for = settings.cert_manager, settings.issuing.cluster_resource_namespace
    if install.install and install.namespace != looked_for:
        yield Mistake(
            path="certManager.namespace",
            message=f"{install.namespace!r} is not issuing.clusterResourceNamespace "
            f"({looked_for!r}), where cert-manager reads the Secrets of ClusterIssuers; write the "
            "same in both",
        )


def issuing_ca_fits_its_root(settings: Settings) -> Iterator[Mistake]:
    """Demand that the issuing CA that is made fits below each generated anchor.

    Its dates lie within the root's, so that no leaf outlives its chain; its path length is below
    the root's (RFC 5280, section 4.2.1.9).
    """
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
        if anchor.path_length <= intermediate.path_length:
            yield Mistake(
                path=f"anchors.{name}.pathLength",
                message=f"{anchor.path_length} leaves no room for an issuing CA of path length "
                f"{intermediate.path_length}; write {intermediate.path_length + 1}",
            )


def clusters_have_names_of_their_own(settings: Settings) -> Iterator[Mistake]:
    """Demand that a former name of a cluster is no name of another one.

    What bears the name in the engine's state moves to the cluster that had it, and can move to one
    only.
    """
    seen: dict[str, str] = {}
    for name, cluster in settings.clusters.items():
        former = cluster.formerly
        if former is None:
            continue
        other = former if former in settings.clusters else seen.setdefault(former, name)
        if other != name or former == name:
            yield Mistake(
                path=f"clusters.{name}.formerly",
                message=f"{former!r} is a name of clusters.{other} too; write the name that this "
                "cluster alone had, or remove the line",
            )


def clusters_can_be_reached(settings: Settings) -> Iterator[Mistake]:
    """Demand a kubeconfig or a context for each cluster.

    Without either, the current context of whoever runs the program would decide which cluster is
    changed.
    """
    for name, cluster in settings.clusters.items():
        if cluster.kubeconfig is None and cluster.context is None:
            yield Mistake(
                path=f"clusters.{name}",
                message="write `kubeconfig: PATH`, `context: NAME`, or both",
            )
