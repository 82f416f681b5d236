"""Which objects are left behind, and what becomes of each."""

from __future__ import annotations

from mtls_pki.clusters.connection import cluster_address
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.clusters.left_behind import delete_left_behind, open_writer
from mtls_pki.commands.output import ask
from mtls_pki.engine.state import known_objects
from mtls_pki.exit_status import ExitStatus
from mtls_pki.messages import say
from mtls_pki.registry import sources_of
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.owned_object import ObjectKey, OwnedObject
from mtls_pki.rotation.text import printable
from mtls_pki.settings.model import Settings


def prune(settings: Settings, stack: str, *, confirmed: bool, dry_run: bool) -> ExitStatus:
    """Show what is left behind, and delete it.

    Returns:
        DONE if nothing is left that could go, EVIDENCE_MISSING if a cluster could not be read,
        BLOCKED if it was shown alone, because nobody said yes.

    Raises:
        CommandError: the state or a cluster cannot be read, or a cluster refuses.
    """
    evidence = collect_evidence(settings, sources=sources_of(settings))
    found = evidence.undeclared
    known = known_objects(stack) if found else frozenset[ObjectKey]()
    going: list[OwnedObject] = []
    for each in found:
        kept = _kept(each, known, evidence)
        print(f"{printable(each.entry)}: {kept or 'goes'}")
        if not kept:
            going.append(each)
    for away in evidence.unreachable:
        say(f"cluster {away.cluster} cannot be read, so nothing is known of it: {away.error}")
    unseen = ExitStatus.EVIDENCE_MISSING if evidence.unreachable else ExitStatus.DONE
    if not going:
        print("nothing is left behind that could go")
        return unseen
    if dry_run:
        return unseen
    if not confirmed and not ask(f"Delete {len(going)} of them?"):
        return ExitStatus.BLOCKED
    _delete(settings, going)
    return unseen


def _kept(found: OwnedObject, known: frozenset[ObjectKey], evidence: Evidence) -> str:
    """Return why an object stays, empty where it goes."""
    if found.key in known:
        return "stays, the state knows it; `pulumi up` deletes it"
    issuer = f"{found.kind}/{found.name}"
    users = [
        f"{use.namespace}/{use.name}"
        for use in evidence.uses
        if use.cluster == found.cluster and use.issuer == issuer
        if found.namespace in ("", use.namespace)
    ]
    if users:
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        return f"stays, Certificate {printable(users[0])}{more} names it"
    return ""


def _delete(settings: Settings, going: list[OwnedObject]) -> None:
    writers = {
        cluster: open_writer(cluster_address(settings, cluster))
        for cluster in {each.cluster for each in going}
    }
    claim, apis = settings.claim, settings.extensions.issuer_apis
    for each in going:
        deleted = delete_left_behind(writers[each.cluster], each, claim, apis)
        print(f"{printable(each.entry)}: {'deleted' if deleted else 'was gone already'}")
