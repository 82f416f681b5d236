"""Rules for what a step-ca signs; each yields its breaches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

from mtls_pki.backends.step_ca.names import step_ca_generations, step_ca_settings
from mtls_pki.backends.step_ca.section import KEY, NAME
from mtls_pki.rotation.durations import format_duration
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.leaf_limits import leaf_duration
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import paths_that_ask_for

# SHA-256 in base64url without padding (RFC 7638, section 3.1).
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")

SHORTEST_LEAF = timedelta(minutes=5)
"""The default of ``claims.minTLSCertDuration`` (certificates, authority/config/config.go)."""

# step-ca signs every leaf of a JWK provisioner by one template, whatever the request asks for
# (certificates, x509util/templates.go, DefaultLeafTemplate).
_USAGES = frozenset({"server auth", "client auth"})


def step_ca_is_there_where_it_is_asked_for(settings: Settings) -> Iterator[Mistake]:
    """Demand the section ``issuing.stepCa``, and an issuing CA, where a step-ca is asked for.

    The anchor's key has no place in a process that answers on the network.
    """
    for path in paths_that_ask_for(settings, NAME):
        if settings.issuing.section(KEY) is None:
            yield Mistake(
                path=path,
                message="step-ca, but issuing.stepCa is missing; write `stepCa: {namespace: ...}` "
                "below issuing",
            )
        if settings.issuing.direct:
            yield Mistake(
                path=path,
                message="step-ca contradicts issuing.direct: a step-ca holds an issuing CA, never "
                "the anchor; leave issuing.direct out",
            )


def step_ca_signs_what_services_ask_for(settings: Settings) -> Iterator[Mistake]:
    """Demand usages and lifetimes that a JWK provisioner grants.

    It replaces other usages without a word, and refuses other lifetimes only when the leaf is due.
    """
    if not _in_use(settings):
        return
    limit = step_ca_settings(settings).max_ttl
    for name, service in settings.services.items():
        if set(service.usages) != _USAGES:
            yield Mistake(
                path=f"services.{name}.usages",
                message=f"{', '.join(service.usages)}: a step-ca gives every leaf server auth and "
                "client auth; leave usages out",
            )
        if service.organizations:
            yield Mistake(
                path=f"services.{name}.organizations",
                message=f"{', '.join(service.organizations)}: a step-ca gives every leaf a subject "
                "with the common name alone; leave them out, or choose another backend",
            )
        duration = leaf_duration(settings, service)
        path = f"services.{name}.duration" if service.duration else "issuing.leaf.duration"
        if limit is not None and duration > limit:
            yield Mistake(
                path=path,
                message=f"{format_duration(duration)} is above issuing.stepCa.maxTtl "
                f"({format_duration(limit)}), and the step-ca would refuse it; write less, or "
                "raise maxTtl",
            )
        if duration < SHORTEST_LEAF:
            yield Mistake(
                path=path,
                message=f"{format_duration(duration)} is below {format_duration(SHORTEST_LEAF)}, "
                "the shortest that a step-ca signs; write more",
            )


def urls_are_of_generations_that_a_step_ca_signs_for(settings: Settings) -> Iterator[Mistake]:
    """Demand that each of ``issuing.stepCa.urls`` belongs to a step-ca that is run elsewhere.

    One that is left behind would be taken for the address of the next generation of that name.
    """
    if settings.issuing.section(KEY) is None:
        return
    section, signed = step_ca_settings(settings), step_ca_generations(settings)
    for generation in section.urls:
        path = f"issuing.stepCa.urls.{generation}"
        if generation not in signed:
            yield Mistake(
                path=path,
                message=f"no step-ca signs for {generation}; remove it (there are: "
                f"{', '.join(signed) or 'none'})",
            )
        elif section.deploy and generation not in section.external:
            yield Mistake(
                path=path,
                message="contradicts deploy: the Service that is made here is how it is reached; "
                "write `deploy: false`, or leave urls out",
            )


def external_step_cas_are_described(settings: Settings) -> Iterator[Mistake]:
    """Demand of a step-ca of somebody else what this stack cannot make: its address and chain.

    Its kid is the thumbprint of a key (RFC 7638). With the provisioner's name in its place, as
    guides have it, step-issuer says nothing but ``failed initialize provisioner``.
    """
    if settings.issuing.section(KEY) is None:
        return
    section, signed = step_ca_settings(settings), step_ca_generations(settings)
    for generation, external in section.external.items():
        path = f"issuing.stepCa.external.{generation}"
        if generation not in signed:
            yield Mistake(
                path=path,
                message=f"no step-ca signs for {generation}; remove it (there are: "
                f"{', '.join(signed) or 'none'})",
            )
            continue
        issuing_ca = settings.anchors[generation].issuing_ca
        if issuing_ca is None or issuing_ca.certificate is None:
            yield Mistake(
                path=f"anchors.{generation}.issuingCa.certificate",
                message="missing; of a step-ca that somebody else runs give the root as "
                "`certificate` and its intermediate_ca.crt here",
            )
        if generation not in section.urls:
            yield Mistake(
                path=f"issuing.stepCa.urls.{generation}",
                message="missing; write how step-issuer reaches that step-ca, https://HOST:PORT",
            )
        namespace = external.password_secret.namespace
        if settings.issuing.kind == "Issuer" and set(settings.trust.namespaces) != {namespace}:
            yield Mistake(
                path=f"{path}.passwordSecret.namespace",
                message=f"{namespace}: a StepIssuer reads a Secret of its own namespace alone, and "
                "there is one in each of trust.namespaces; write `kind: ClusterIssuer` below "
                "issuing",
            )
        if not _THUMBPRINT.fullmatch(external.kid):
            yield Mistake(
                path=f"{path}.kid",
                message=f"{external.kid!r} is no thumbprint (43 characters); `step ca provisioner "
                "list` shows the kid of each provisioner, which is not its name",
            )


def namespace_of_the_step_ca_is_made(settings: Settings) -> Iterator[Mistake]:
    """Demand that the namespace is among those that the stack makes, where it makes any.

    The CA key goes there before anything else could make it.
    """
    if settings.issuing.section(KEY) is None:
        return
    namespace = step_ca_settings(settings).namespace
    if settings.trust.create_namespaces and namespace not in settings.trust.namespaces:
        yield Mistake(
            path="issuing.stepCa.namespace",
            message=f"{namespace!r} is not made by this stack, which makes namespaces "
            "(trust.createNamespaces); add it to trust.namespaces",
        )


def _in_use(settings: Settings) -> bool:
    return bool(paths_that_ask_for(settings, NAME)) and settings.issuing.section(KEY) is not None


RULES = (
    step_ca_is_there_where_it_is_asked_for,
    step_ca_signs_what_services_ask_for,
    urls_are_of_generations_that_a_step_ca_signs_for,
    external_step_cas_are_described,
    namespace_of_the_step_ca_is_made,
)
"""All of them, in the order in which their mistakes are listed."""
