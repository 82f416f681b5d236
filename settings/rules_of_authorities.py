"""Rules for anchors, issuing CAs and where they stand; each yields its breaches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from pki.chain import check_root, verify_issuing_ca
from pki.parsing import describe, parse_certificate
from rotation.durations import format_duration
from rotation.roles import Role
from settings.errors import Mistake
from settings.model import AnchorSettings, Settings
from settings.names import issuing_ca_common_name, issuing_ca_not_before
from settings.types import COMMON_NAME_LIMIT, UnreadSecret

_GENERATED_FIELDS = ("common_name", "valid_from", "valid_for")


def _camel(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(word.capitalize() for word in rest)


def exactly_one_issuing(settings: Settings) -> Iterator[Mistake]:
    issuing = [name for name, anchor in settings.anchors.items() if anchor.role is Role.ISSUING]
    if len(issuing) != 1:
        seen = ", ".join(issuing) or "none"
        yield Mistake(
            path="anchors",
            message=f"{len(issuing)} anchors have role issuing ({seen}); give it to exactly one",
        )


def generated_or_brought(settings: Settings) -> Iterator[Mistake]:
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
    for name, anchor in settings.anchors.items():
        if anchor.certificate is None:
            continue
        path = f"anchors.{name}.certificate"
        root_mistakes = check_root(anchor.certificate.pem)
        for text in root_mistakes:
            yield Mistake(path=path, message=f"{anchor.certificate.path}: {text}")
        if root_mistakes or anchor.issuing_ca is None:
            continue
        key = anchor.issuing_ca.private_key
        for text in verify_issuing_ca(
            anchor.issuing_ca.certificate.pem,
            None if isinstance(key, UnreadSecret) else key.get_secret_value(),
            anchor.certificate.pem,
        ):
            yield Mistake(
                path=f"anchors.{name}.issuingCa",
                message=f"{anchor.issuing_ca.certificate.path}: {text}",
            )


def issuing_anchor_has_an_issuing_ca(settings: Settings) -> Iterator[Mistake]:
    for name, anchor in settings.anchors.items():
        if anchor.role is Role.ISSUING and not anchor.can_issue:
            yield Mistake(
                path=f"anchors.{name}.issuingCa",
                message="missing; an anchor made elsewhere issues through an issuing CA made "
                "elsewhere: give its certificate and privateKey (as a secret)",
            )


def acknowledgement_belongs_to_a_compromise(settings: Settings) -> Iterator[Mistake]:
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
    install, looked_for = settings.cert_manager, settings.issuing.cluster_resource_namespace
    if install.install and install.namespace != looked_for:
        yield Mistake(
            path="certManager.namespace",
            message=f"{install.namespace!r} is not issuing.clusterResourceNamespace "
            f"({looked_for!r}), where cert-manager reads the Secrets of ClusterIssuers; write the "
            "same in both",
        )


def issuing_ca_fits_its_root(settings: Settings) -> Iterator[Mistake]:
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


def clusters_can_be_reached(settings: Settings) -> Iterator[Mistake]:
    for name, cluster in settings.clusters.items():
        if cluster.kubeconfig is None and cluster.context is None:
            yield Mistake(
                path=f"clusters.{name}",
                message="write `kubeconfig: PATH`, `context: NAME`, or both",
            )
