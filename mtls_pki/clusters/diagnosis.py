"""Why an object did not become Ready, in the words of its controller."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mtls_pki.clusters.connection import Cluster, ClusterError
from mtls_pki.clusters.sources.issuers import API, IssuerReference
from mtls_pki.settings.extensions import CERT_MANAGER, IssuerApi

# Kinds with a controller; those of issuers are in their `IssuerApi`.
_PLURALS = {"Certificate": "certificates", "Bundle": "bundles"}
# By kind: where else to look for the reason, and what usually helps.
_REMEDIES = {
    "Certificate": "correct what it says and run `pulumi up` again; `cmctl status certificate` "
    "shows the whole path",
    "Bundle": "correct what it says and run `pulumi up` again",
}
# cert-manager, pkg/controller/certificates/trigger (shouldBackoffReissuingOnFailure): while nobody
# changes the Certificate, cert-manager waits for an hour, and then for twice as long each time.
_TRY_AGAIN = (
    "correct what it says, have it tried again with `cmctl renew --namespace {namespace} {name}`, "
    "or all that failed with `mtls-pki reissue --failed` (by itself cert-manager waits "
    "for an hour after a failure, and longer after the next), and run `pulumi up` again"
)
# Conditions of a CertificateRequest in which somebody says why it is not issued.
_TELLING = ("Ready", "InvalidRequest", "Denied")

UNANSWERED = "has not answered yet"
"""Ends what is said of a request that an issuer of others neither signs nor refuses."""

_CONDITION_OF_KIND = {"Bundle": "Synced"}

IssuerRemedies = Mapping[str, Callable[[str], str]]
"""Field of an issuer's ``spec`` -> what to do where an issuer of a kind is not Ready; the first is
also for issuers that have none of the fields.
"""


def object_path(
    api_version: str,
    kind: str,
    namespace: str | None,
    name: str,
    apis: Collection[IssuerApi] = (CERT_MANAGER,),
) -> str | None:
    """Return the API path of an object of a kind this program declares, or None for others.

    ``apis`` are those that issuers may belong to.
    """
    for api in apis:
        if api.api_version == api_version and kind in (api.issuer, api.cluster_issuer):
            return api.path(kind, namespace, name)
    plural = _PLURALS.get(kind)
    if plural is None:
        return None
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"/apis/{api_version}{scope}/{plural}/{name}"


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Why one object is not Ready.

    Attributes:
        said: what its controller says, and what those say on whom it depends.
        remedy: what to do.
    """

    said: str
    remedy: str


def explain_not_ready(
    cluster: Cluster,
    *,
    api_version: str,
    kind: str,
    namespace: str | None,
    name: str,
    issuers: IssuerRemedies,
    apis: Collection[IssuerApi] = (CERT_MANAGER,),
) -> str | None:
    """Return one message with what the object's controller reports, or None if it is Ready.

    Args:
        cluster: where the object is.
        api_version: of the object, as are ``kind``, ``namespace`` and ``name``.
        issuers: what to do about an issuer, by the field that its ``spec`` has.
        apis: those that issuers may belong to.
    """
    path = object_path(api_version, kind, namespace, name, apis)
    if path is None:
        return None
    place = f"cluster {cluster.name}: {kind} {f'{namespace}/' if namespace else ''}{name}"
    try:
        live = cluster.get(path)
        if live is None:
            return f"{place} does not exist in the cluster"
        found = diagnose(cluster, kind, live, issuers=issuers, apis=apis)
    except ClusterError as error:
        return f"{place}: {error.reason}"
    if found is None:
        return None
    return f"{place} is not {_wanted(kind)}: {found.said}. What to do: {found.remedy}"


def diagnose(
    cluster: Cluster,
    kind: str,
    live: dict[str, Any],
    *,
    issuers: IssuerRemedies,
    apis: Collection[IssuerApi] = (CERT_MANAGER,),
) -> Diagnosis | None:
    """Return what the controller of an object says of it, None if it is Ready.

    For a Certificate the conditions of its newest CertificateRequest and of its issuer are added:
    the Certificate itself often says only that it waits.

    Args:
        cluster: where the object is.
        kind: of the object; items of a list do not have it themselves.
        live: the object.
        issuers: what to do about an issuer, by the field that its ``spec`` has.
        apis: those that issuers may belong to.

    Raises:
        ClusterError: the cluster cannot be read.
    """
    said = list(_said(cluster, live, kind, apis))
    if not said:
        return None
    return Diagnosis(said="; ".join(said), remedy=_remedy(live, kind, issuers))


def _remedy(live: dict[str, Any], kind: str, issuers: IssuerRemedies) -> str:
    if kind == "Certificate" and live.get("status", {}).get("lastFailureTime"):
        metadata = live["metadata"]
        return _TRY_AGAIN.format(namespace=metadata["namespace"], name=metadata["name"])
    if kind in _REMEDIES:
        return _REMEDIES[kind]
    spec = live.get("spec", {})
    # The default backend is the first.
    remedies = [each for key, each in issuers.items() if key in spec] or [*issuers.values()]
    return remedies[0](kind)


def _wanted(kind: str) -> str:
    return _CONDITION_OF_KIND.get(kind, "Ready")


def _said(
    cluster: Cluster, live: dict[str, Any], kind: str, apis: Collection[IssuerApi]
) -> Iterator[str]:
    ready = _condition(live, _wanted(kind))
    if ready is None:
        yield "its controller has not looked at it yet (is cert-manager running?)"
    elif ready["status"] != "True":
        yield _words(ready)
    if kind != "Certificate" or (ready or {}).get("status") == "True":
        return
    issuing = _condition(live, "Issuing")
    if issuing is not None:
        yield f"issuing: {_words(issuing)}"
    yield from _newest_request(cluster, live)
    yield from _issuer(cluster, live, apis)


def _newest_request(cluster: Cluster, certificate: dict[str, Any]) -> Iterator[str]:
    metadata = certificate["metadata"]

    def owned_by_it(request: dict[str, Any]) -> dict[str, Any] | None:
        owners = request["metadata"].get("ownerReferences", [])
        return request if any(owner["uid"] == metadata["uid"] for owner in owners) else None

    path = f"{API}/namespaces/{metadata['namespace']}/certificaterequests"
    owned = cluster.list_all(path, owned_by_it)
    if not owned:
        return
    newest = max(owned, key=lambda request: request["metadata"]["creationTimestamp"])
    name = f"CertificateRequest {newest['metadata']['name']}"
    said = [found for kind in _TELLING if (found := _condition(newest, kind)) is not None]
    yield from (f"{name}: {_words(found)}" for found in said)
    if said:
        return
    # Who signs for an issuer of others may say nothing while it waits for its authority.
    reference = newest["spec"]["issuerRef"]
    issuer = f"{reference.get('kind', 'Issuer')} {reference['name']}"
    if _condition(newest, "Approved") is None:
        yield f"{name} was not approved: nothing may approve what asks for {issuer}"
    else:
        yield f"{name} is approved, and whoever signs for {issuer} {UNANSWERED}"


def _issuer(
    cluster: Cluster, certificate: dict[str, Any], apis: Collection[IssuerApi]
) -> Iterator[str]:
    namespace = certificate["metadata"]["namespace"]
    reference = IssuerReference.of(certificate["spec"]["issuerRef"], namespace, apis)
    path = next(
        (
            api.path(reference.kind, reference.namespace, reference.name)
            for api in apis
            if api.group == reference.group and reference.kind in (api.issuer, api.cluster_issuer)
        ),
        None,
    )
    if path is None:
        return
    issuer = cluster.get(path)
    name = f"{reference.kind} {reference.name}"
    if issuer is None:
        yield f"its {name} does not exist"
        return
    ready = _condition(issuer, "Ready")
    if ready is None or ready["status"] != "True":
        yield f"its {name}: {_words(ready) if ready else 'not looked at yet'}"


def _condition(live: dict[str, Any], kind: str) -> dict[str, Any] | None:
    conditions: list[dict[str, Any]] = live.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), None)


def _words(condition: dict[str, Any]) -> str:
    reason, message = condition.get("reason", ""), condition.get("message", "")
    return f"{reason}: {message}" if reason else str(message)
