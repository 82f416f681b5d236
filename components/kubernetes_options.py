"""Options for pulumi-kubernetes that several components share."""

from __future__ import annotations

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


def await_at_most(timeout: timedelta) -> pulumi.CustomTimeouts:
    """Return the time-outs of an awaited resource."""
    seconds = f"{int(timeout.total_seconds())}s"
    return pulumi.CustomTimeouts(create=seconds, update=seconds)


def explained_by(hook: pulumi.ErrorHook | None) -> pulumi.ResourceHookBinding | None:
    """Return the binding that lets ``hook`` say why an operation on the resource failed."""
    return None if hook is None else pulumi.ResourceHookBinding(on_error=[hook])
