"""What of the settings is about AWS Private CA."""

from __future__ import annotations

from mtls_pki.backends.aws_pca.section import KEY, NAME, AwsPcaSettings
from mtls_pki.settings.model import Settings
from mtls_pki.settings.names import generations_held_by


def aws_pca_settings(settings: Settings) -> AwsPcaSettings:
    """Return the section of AWS Private CA.

    Raises:
        ValueError: there is none; the rules make sure that there is where it is asked for.
    """
    section = settings.issuing.section(KEY)
    if not isinstance(section, AwsPcaSettings):
        raise ValueError("issuing.awsPca is not set")
    return section


def aws_pca_generations(settings: Settings) -> tuple[str, ...]:
    """Return the generations whose leaves a private CA signs, whatever their role."""
    return generations_held_by(settings, NAME)
