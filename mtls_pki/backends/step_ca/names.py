"""What the step-ca of a generation is called, and where it is reached."""

from __future__ import annotations

from datetime import timedelta

from mtls_pki.backends.step_ca.section import KEY, NAME, StepCaSettings
from mtls_pki.settings.leaf_limits import longest_leaf
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import generations_held_by, issuing_ca_generation


def step_ca_settings(settings: Settings) -> StepCaSettings:
    """Return the section of step-ca.

    Raises:
        ValueError: there is none; the rules make sure that there is where it is asked for.
    """
    section = settings.issuing.section(KEY)
    if not isinstance(section, StepCaSettings):
        raise ValueError("issuing.stepCa is not set")
    return section


def step_ca_name(settings: Settings, generation: str) -> str:
    """Return how the names of all objects of the step-ca of one generation begin."""
    issuing_ca = issuing_ca_generation(settings, generation)
    parts = (step_ca_settings(settings).name, generation, issuing_ca)
    return "-".join(part for part in parts if part)


def step_ca_url(settings: Settings, generation: str) -> str:
    """Return how step-issuer reaches the step-ca of one generation: as configured, or its Service.

    A Service of Kubernetes needs no domain of the cluster to be found from inside.
    """
    section = step_ca_settings(settings)
    name = step_ca_name(settings, generation)
    return section.urls.get(generation, f"https://{name}.{section.namespace}.svc")


def step_ca_generations(settings: Settings) -> tuple[str, ...]:
    """Return the generations whose leaves a step-ca signs, whatever their role."""
    return generations_held_by(settings, NAME)


def is_external(settings: Settings, generation: str) -> bool:
    """Whether the step-ca of a generation is somebody else's."""
    section = settings.issuing.section(KEY)
    return isinstance(section, StepCaSettings) and generation in section.external


def longest_allowed(settings: Settings) -> timedelta:
    """Return the longest leaf that the provisioners allow."""
    return step_ca_settings(settings).max_ttl or longest_leaf(settings)
