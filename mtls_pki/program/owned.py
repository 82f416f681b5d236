"""What every object of one cluster gets besides what its component says: an owner, former names.

A transformation does it and not each component, so that no object can be forgotten, whatever a
backend or a consumer declares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi
from pulumi import Output
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.clusters.ownership import CLUSTER_NAMES, OWNER, RESOURCE, TRUST_DOMAIN
from mtls_pki.settings.model import Settings

_JUDGED_KIND = "kubernetes:core/v1:Secret"
# Objects that a release before the annotations made go without them: adding them would change every
# object of every stack at once.
_UNCHANGED = [f'metadata.annotations["{key}"]' for key in (OWNER, TRUST_DOMAIN, RESOURCE)]


def marked(settings: Settings, secret_owner: pulumi.ResourceHook) -> pulumi.ResourceTransformation:
    """Return the transformation that writes on each Kubernetes object whose it is.

    Args:
        settings: of the stack.
        secret_owner: judges before a Secret is created, for whose it is, evidence does not show.
    """

    def mark(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        metadata = args.props.get("metadata")
        if not args.type_.startswith("kubernetes:") or metadata is None:
            return None
        own = {
            OWNER: settings.owner,
            TRUST_DOMAIN: settings.trust_domain,
            RESOURCE: f"{args.type_}::{args.name}",
        }
        ignored = _UNCHANGED
        if not _annotations(metadata):
            # The engine would leave an empty mapping where a namespace of such a release has none.
            ignored = ["metadata.annotations"]
        judged = args.type_ == _JUDGED_KIND
        return pulumi.ResourceTransformationResult(
            props={**args.props, "metadata": _with_annotations(metadata, own)},
            opts=pulumi.ResourceOptions.merge(
                args.opts,
                pulumi.ResourceOptions(
                    ignore_changes=ignored,
                    hooks=pulumi.ResourceHookBinding(
                        before_create=[secret_owner] if judged else None
                    ),
                ),
            ),
        )

    return mark


def renamed(cluster: str, former: Sequence[str]) -> pulumi.ResourceTransformation:
    """Return the transformation that lets resources of a renamed cluster stay what they are.

    Children get their aliases too. The engine derives those of a child from its parent's, but only
    in the run in which the parent itself moves, and that run may be interrupted in between.
    """

    def rename(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult:
        known = [None, *(args.opts.aliases or ())]
        aliases = [
            pulumi.Alias(name=f"{name}{_rest(cluster, alias, args.name)}", **_type(alias))
            for name in former
            for alias in known
            if _rest(cluster, alias, args.name) is not None
        ]
        return pulumi.ResourceTransformationResult(
            props=args.props,
            opts=pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(aliases=aliases)),
        )

    return rename


def names_recorded(cluster: str, former: Sequence[str]) -> pulumi.ResourceTransformation:
    """Return the transformation that writes on the cluster's record what the stack has called it.

    The names are kept for ever: whatever a run that was interrupted has left under any of them is
    found again.
    """
    names = {CLUSTER_NAMES: " ".join((cluster, *former))}

    def record(
        args: pulumi.ResourceTransformationArgs,
    ) -> pulumi.ResourceTransformationResult | None:
        metadata = args.props.get("metadata")
        if metadata is None:
            return None
        # A record of an earlier release goes without, until there is something to remember.
        ignored = [] if former else [f'metadata.annotations["{CLUSTER_NAMES}"]']
        return pulumi.ResourceTransformationResult(
            props={**args.props, "metadata": _with_annotations(metadata, names)},
            opts=pulumi.ResourceOptions.merge(
                args.opts, pulumi.ResourceOptions(ignore_changes=ignored)
            ),
        )

    return record


def _rest(cluster: str, alias: Any, name: str) -> str | None:
    """What follows the cluster's name in a resource's, or in that of one of its aliases."""
    named = getattr(alias, "name", ...)
    text = named if isinstance(named, str) else name
    return text.removeprefix(cluster) if text.startswith(cluster) else None


def _type(alias: Any) -> dict[str, str]:
    kind = getattr(alias, "type_", ...)
    return {"type_": kind} if isinstance(kind, str) else {}


def _annotations(metadata: Any) -> Any:
    if isinstance(metadata, Mapping):
        return metadata.get("annotations")
    return metadata.annotations


def _with_annotations(metadata: Any, own: Mapping[str, str]) -> Any:
    there = _annotations(metadata)
    if there is None or isinstance(there, Mapping):
        every: Any = {**(there or {}), **own}
    else:
        every = Output.from_input(there).apply(lambda known: {**(known or {}), **own})
    if isinstance(metadata, ObjectMetaArgs):
        metadata.annotations = every
        return metadata
    return {**metadata, "annotations": every}
