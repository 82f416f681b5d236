"""Whose objects a stack would write: its own, nobody's, or somebody else's.

An annotation names the owner. An object without one is the stack's own where a stack of this
program wrote it and the cluster has this stack's stage record: releases before the annotation left
such objects. Where such a record names an owner and another stack has one too, the object may be
either's. Everything else belongs to somebody else, and only the reviewed setting ``adopt`` makes it
the stack's. An object that names another stack is not even adopted: two stacks that write one
object undo each other's work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime

from mtls_pki.rotation import rules
from mtls_pki.rotation.evidence import BundleObservation, Evidence
from mtls_pki.rotation.owned_object import Claim, OwnedObject
from mtls_pki.rotation.request import ChangeRequest
from mtls_pki.rotation.rules import Laggard, Notice, Refusal

_OTHER_STACK = (
    "give this stack names of its own (trust.name, issuing.name, a service's `name:`), or take the "
    "objects out of the other stack first; after `pulumi stack rename`, write the old name as "
    "formerOwners: [PROJECT/STACK]"
)
_NOBODY = (
    "give it another name, or delete it; or take it over, in a reviewed commit, with adopt: [{}]"
)

_UNLIKE = (
    "give this stack's another name (issuing.secretName, or `secretName` of a consumer), or save "
    "what it holds and delete it; adopt cannot help here"
)


def one_owner(request: ChangeRequest, evidence: Evidence, _: datetime) -> list[Refusal]:
    """Refuse to write objects that are not the stack's own to write, whatever changes in them."""
    refusals = list(_name_taken(evidence))
    found = tuple(_foreign(request, evidence))
    others = tuple(each for each in found if each.owner is not None)
    unlike = tuple(each for each in found if each.owner is None and each.unlike)
    nobodys = tuple(each for each in found if each.owner is None and not each.unlike)
    if others:
        refusals.append(
            Refusal(
                rule=rules.ONE_OWNER,
                seen=(
                    f"{_count(others)} of other stacks: {', '.join(_owners(others))}",
                    f"this stack is {request.claim.owner}",
                ),
                laggards=tuple(map(_laggard, others)),
                remedy=_OTHER_STACK,
            )
        )
    if nobodys:
        refusals.append(
            Refusal(
                rule=rules.ONE_OWNER,
                seen=(f"{_count(nobodys)} in the place of this stack's that name no owner",),
                laggards=tuple(map(_laggard, nobodys)),
                remedy=_NOBODY.format(", ".join(each.entry for each in nobodys)),
            )
        )
    if unlike:
        refusals.append(
            Refusal(
                rule=rules.ONE_OWNER,
                seen=(f"{_count(unlike)} in the place of this stack's that cannot become its own",),
                laggards=tuple(map(_laggard, unlike)),
                remedy=_UNLIKE,
            )
        )
    return refusals


def ownership_notices(request: ChangeRequest, evidence: Evidence) -> Iterator[Notice]:
    """Yield which objects of somebody else the change takes over, and which clusters it renames."""
    claim = request.claim
    unasked = replace(request, claim=replace(claim, adopt=frozenset()))
    for each in _foreign(unasked, evidence):
        if each.owner is None and each.entry in claim.adopt:
            yield Notice(
                identifier="adopts",
                message=f"takes over {each.entry}, which is not this stack's until now, and "
                "overwrites what it holds (adopt)",
            )
    for gate in evidence.gates:
        if gate.cluster_names and gate.cluster_names[0] != gate.cluster:
            yield Notice(
                identifier="renames-cluster",
                message=f"the cluster {gate.cluster_names[0]} is called {gate.cluster} now; what "
                "the stack has there stays as it is",
            )


def unknown_record(claim: Claim, cluster: str, evidence: Evidence) -> Refusal | None:
    """Return why the record of a cluster is not created where one exists already.

    The engine creates it although it exists, if its state does not know the cluster under this
    name. A record of a release that did not write names down cannot tell whether it is the same
    cluster under another one; then everything in it would be created, and deleted under the old
    name.

    Args:
        claim: who the stack is.
        cluster: whose record is to be created.
        evidence: of all clusters.
    """
    gate = next((each for each in evidence.gates if each.cluster == cluster), None)
    if gate is None or gate.cluster_names:
        return None
    entries = [each.entry for each in _records(cluster, gate.object_name, evidence)]
    if claim.adopt.intersection(entries):
        return None
    return Refusal(
        rule=rules.ONE_OWNER,
        seen=(
            f"cluster {cluster} has the record {gate.object_name} of this domain already, and the "
            f"engine's state knows no cluster {cluster}",
        ),
        remedy="if the cluster had another name, put that back, or write it as "
        f"clusters.{cluster}.formerly; if the engine's state was lost, restore it from the backup, "
        f"or take the cluster over with adopt: [{', '.join(entries)}]",
    )


def _records(cluster: str, name: str, evidence: Evidence) -> Iterator[OwnedObject]:
    for one in evidence.reachable:
        if one.cluster == cluster:
            yield from (each for each in one.owned if each.name == name)


def _name_taken(evidence: Evidence) -> Iterator[Refusal]:
    """Yield for each cluster that has the former name of another one: what is whose?"""
    names = {each.cluster for each in evidence.clusters}
    for gate in evidence.gates:
        for name in gate.cluster_names:
            if name != gate.cluster and name in names:
                yield Refusal(
                    rule=rules.ONE_OWNER,
                    seen=(
                        f"the cluster that is called {gate.cluster} now was called {name}, and "
                        f"another cluster is called {name} now",
                    ),
                    remedy=f"give the other cluster a name that none has had, and not {name}: the "
                    "resources of one would be taken for those of the other",
                )


def _foreign(request: ChangeRequest, evidence: Evidence) -> Iterator[OwnedObject]:
    claim = request.claim
    bundles = {
        (each.place.cluster, each.place.namespace, each.place.name): each
        for each in evidence.bundles
    }
    stages = [request.new, *(gate.stage for gate in evidence.gates if gate.stage is not None)]
    known = {anchor.fingerprint for stage in stages for anchor in stage.anchors.values()}
    known |= request.trusted_after
    for cluster in evidence.reachable:
        vouched = cluster.gate is not None and cluster.gate.vouches
        for each in cluster.owned:
            if claim.holds(each.owner):
                continue
            if each.owner is None:
                if each.unlike:
                    yield each
                    continue
                if each.entry in claim.adopt or (each.by_program and vouched):
                    continue
                bundle = bundles.get((each.cluster, each.namespace, each.name))
                if each.kind == "ConfigMap" and _trusts_only(bundle, known):
                    continue
            yield each


def _trusts_only(bundle: BundleObservation | None, known: Collection[str | None]) -> bool:
    """Whether a bundle trusts nobody but anchors of this stack, so that nothing in it is lost."""
    if bundle is None or bundle.problem is not None:
        return False
    return all(member.fingerprint in known for member in bundle.members)


def _owners(found: tuple[OwnedObject, ...]) -> list[str]:
    named = {
        f"{each.owner} (trust domain {each.trust_domain})" if each.trust_domain else str(each.owner)
        for each in found
    }
    return sorted(named)


def _count(found: tuple[OwnedObject, ...]) -> str:
    return "1 object" if len(found) == 1 else f"{len(found)} objects"


def _laggard(found: OwnedObject) -> Laggard:
    whose = "without an owner" if found.owner is None else f"owned by {found.owner}"
    if found.owner is None and found.by_program:
        whose = "of a stack of an earlier release"
    through = f", claimed by {found.through}" if found.through else ""
    through += f", {found.unlike}" if found.unlike else ""
    return Laggard(
        cluster=found.cluster,
        namespace=found.namespace,
        kind=found.kind,
        name=found.name,
        detail=f"{whose}{through}",
    )
