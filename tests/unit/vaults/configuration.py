"""The small configuration of the unit tests, with its issuing CAs in a Vault."""

from __future__ import annotations

VAULT = {"issuing.backend": "vault", "issuing.vault.server": "https://127.0.0.1:8200"}
