"""Options for pulumi-kubernetes that several components share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pulumi

# Server-side apply, under one name and by force. Without a name the provider makes up one for each
# resource and keeps it in its state. If a create is then killed before the state is saved, the
# object has a field manager that conflicts with every later update. Without force, an object that
# somebody edited by hand could never be brought back to what the configuration says.
_OWNED = {"pulumi.com/patchFieldManager": "mtls-pki", "pulumi.com/patchForce": "true"}


def owned() -> dict[str, str]:
    """Return the annotations of every object that this program declares."""
    return dict(_OWNED)


def awaited(condition: str) -> dict[str, str]:
    """Return the annotations of an object that ``up`` awaits by a status condition.

    pulumi-kubernetes compares the condition's observedGeneration with the object's generation, so
    a condition for an older spec does not count.
    """
    return {**_OWNED, "pulumi.com/waitFor": f"condition={condition}"}


_APPLIED = {
    "pulumi.com/skipAwait": "true",
    "pulumi.com/deletionPropagationPolicy": "background",
}

WAITING = [f'metadata.annotations["{key}"]' for key in ("pulumi.com/waitFor", *_APPLIED)]
"""Says whether the provider waits; for ``ignore_changes``, so what a former release wrote stays."""


def applied() -> dict[str, str]:
    """Return the annotations of an object that the provider writes, and does not wait for.

    One wait of the program for all such objects takes the place of the provider's for each. It does
    not wait for a deletion either, so the object must be gone at once: else what a replacement
    makes under the same name would go with it.
    """
    return {**_OWNED, **_APPLIED}


def await_at_most(timeout: timedelta) -> pulumi.CustomTimeouts:
    """Return the time-outs of an awaited resource."""
    seconds = f"{int(timeout.total_seconds())}s"
    return pulumi.CustomTimeouts(create=seconds, update=seconds)


def explained_by(hook: pulumi.ErrorHook | None) -> pulumi.ResourceHookBinding | None:
    """Return the binding that lets ``hook`` say why an operation on the resource failed."""
    return None if hook is None else pulumi.ResourceHookBinding(on_error=[hook])


def guarded_by(
    guard: pulumi.ResourceHook | None,
    delete_guard: pulumi.ResourceHook | None = None,
    *,
    on_failure: pulumi.ErrorHook | None = None,
) -> pulumi.ResourceHookBinding:
    """Return the binding of an object that carries trust.

    Such an object also needs ``delete_before_replace``: where nothing differs and an option of the
    engine alone asks for a replacement, the engine would first create it, over itself, and come to
    ``delete_guard`` afterwards.

    Args:
        guard: judges before the object is created or updated.
        delete_guard: judges before it is deleted or replaced. The engine keeps the name of this
            hook in its state and looks it up in the run that deletes, so it must be registered, by
            the same name, in every run.
        on_failure: says why an operation failed.
    """
    return pulumi.ResourceHookBinding(
        before_create=[guard] if guard else None,
        before_update=[guard] if guard else None,
        before_delete=[delete_guard] if delete_guard else None,
        on_error=[on_failure] if on_failure else None,
    )


@dataclass(frozen=True, kw_only=True)
class GuardedObject:
    """An object that is not deleted without its ``delete_guard``.

    Attributes:
        resource: the Pulumi resource.
        namespace: of the object; None for a kind that has none.
        name: of the object.
    """

    resource: pulumi.Resource
    namespace: str | None
    name: pulumi.Input[str]
