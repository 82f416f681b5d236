"""The table of backends: one row for each."""

from __future__ import annotations

from mtls_pki.backends.aws_pca.backend import AwsPcaBackend
from mtls_pki.backends.backend import Backend
from mtls_pki.backends.ca.backend import CaBackend
from mtls_pki.backends.step_ca.backend import StepCaBackend
from mtls_pki.backends.vault.backend import VaultBackend

_ROWS: tuple[Backend, ...] = (CaBackend(), VaultBackend(), StepCaBackend(), AwsPcaBackend())

BACKENDS: dict[str, Backend] = {row.settings.name: row for row in _ROWS}
"""Every backend by its name in the stack file; the first is the default."""
