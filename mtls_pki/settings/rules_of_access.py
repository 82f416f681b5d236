"""Rules for the access of machines to clusters; each yields its breaches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from mtls_pki.rotation.durations import format_duration
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import access_group, access_user

# certificates/v1, CertificateSigningRequestSpec: expirationSeconds.
_SHORTEST = timedelta(seconds=600)
# The signer begins, and so ends, a certificate this much earlier.
_BACKDATED = timedelta(minutes=5)
_RESERVED = "system:"


def access_is_in_clusters_that_exist(settings: Settings) -> Iterator[Mistake]:
    """Demand clusters of the stack, and keys that are named once.

    A cluster that is not there has no API server to talk to, and two keys of one name are one key.
    """
    for name, access in settings.client_access.items():
        unknown = [each for each in access.clusters or () if each not in settings.clusters]
        if unknown:
            yield Mistake(
                path=f"clientAccess.{name}.clusters",
                message=f"{', '.join(unknown)}: no such cluster; there are: "
                f"{', '.join(settings.clusters)}",
            )
        if len(set(access.keys)) != len(access.keys):
            yield Mistake(
                path=f"clientAccess.{name}.keys",
                message=f"{', '.join(access.keys)}: a name twice; a new key has a new name",
            )


def access_gives_one_role(settings: Settings) -> Iterator[Mistake]:
    """Demand either a ClusterRole that exists or the rules of one.

    With neither the certificate opens nothing, and with both nobody could say what it opens.
    """
    for name, access in settings.client_access.items():
        if (access.cluster_role is None) == (not access.rules):
            yield Mistake(
                path=f"clientAccess.{name}",
                message="write either clusterRole (one that exists) or rules (of one that is made)",
            )


def access_is_of_no_system_name(settings: Settings) -> Iterator[Mistake]:
    """Demand names that Kubernetes does not keep for itself.

    Users and groups that begin with ``system:`` have rights that nobody of this stack gave them
    (Kubernetes, "Using RBAC Authorization"), and ``system:masters`` goes past RBAC altogether.
    """
    for name, access in settings.client_access.items():
        for key, value in (
            ("user", access_user(name, access)),
            ("group", access_group(name, access)),
        ):
            if value.startswith(_RESERVED):
                yield Mistake(
                    path=f"clientAccess.{name}.{key}",
                    message=f"{value!r} begins with {_RESERVED}, as only names of Kubernetes do; "
                    "choose another",
                )


def access_times_are_kubernetes(settings: Settings) -> Iterator[Mistake]:
    """Demand a lifetime that Kubernetes issues, and a renewal inside of it.

    The certificate ends five minutes before the lifetime that was asked for is over.
    """
    for name, access in settings.client_access.items():
        if access.valid_for < _SHORTEST:
            yield Mistake(
                path=f"clientAccess.{name}.validFor",
                message=f"{format_duration(access.valid_for)} is below "
                f"{format_duration(_SHORTEST)}, the shortest that Kubernetes issues; write more",
            )
        elif access.renew_before >= access.valid_for - _BACKDATED:
            yield Mistake(
                path=f"clientAccess.{name}.renewBefore",
                message=f"{format_duration(access.renew_before)} leaves nothing of validFor "
                f"({format_duration(access.valid_for)}, less five minutes); write less",
            )


RULES = (
    access_is_in_clusters_that_exist,
    access_gives_one_role,
    access_is_of_no_system_name,
    access_times_are_kubernetes,
)
"""All of them, in the order in which their mistakes are listed."""
