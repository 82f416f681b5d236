"""What several components say to pulumi-kubernetes in the same words."""

from __future__ import annotations

from datetime import timedelta

import pulumi


def awaited_annotation(condition: str) -> dict[str, str]:
    """Return the annotation that makes ``up`` wait for a status condition of the object.

    pulumi-kubernetes compares the condition's observedGeneration with the object's generation, so
    a condition that speaks of an older spec does not count.
    """
    return {"pulumi.com/waitFor": f"condition={condition}"}


def await_at_most(timeout: timedelta) -> pulumi.CustomTimeouts:
    """Return the time-outs of an awaited resource."""
    seconds = f"{int(timeout.total_seconds())}s"
    return pulumi.CustomTimeouts(create=seconds, update=seconds)


def explained_by(hook: pulumi.ErrorHook | None) -> pulumi.ResourceHookBinding | None:
    """Return the binding that lets ``hook`` say why an operation on the resource failed."""
    return None if hook is None else pulumi.ResourceHookBinding(on_error=[hook])
