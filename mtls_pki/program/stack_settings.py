"""The settings of the stack that the Pulumi engine runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pulumi
from pulumi.runtime.config import CONFIG, is_config_secret

from mtls_pki.registry import extensions
from mtls_pki.settings.errors import SettingsError
from mtls_pki.settings.load import load_settings
from mtls_pki.settings.model import Settings


def _decoded(text: str) -> Any:
    """The engine hands over objects as JSON and scalars as they are."""
    try:
        decoded = json.loads(text)
    except json.JSONDecodeError:
        return text
    return decoded if isinstance(decoded, dict | list) else text


def read_settings(directory: Path) -> Settings:
    """Return the stack's settings; file names in them are relative to ``directory``.

    Raises:
        pulumi.RunError: with every mistake, so that the engine prints it without a traceback.
    """
    prefix = f"{pulumi.get_project()}:"
    keys = [key for key in CONFIG.get() if key.startswith(prefix)]
    try:
        return load_settings(
            {key.removeprefix(prefix): _decoded(CONFIG.get()[key]) for key in keys},
            source=f"Pulumi.{pulumi.get_stack()}.yaml",
            directory=directory,
            owner=f"{pulumi.get_project()}/{pulumi.get_stack()}",
            secret_keys={key.removeprefix(prefix) for key in keys if is_config_secret(key)},
            extensions=extensions(),
        )
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None
