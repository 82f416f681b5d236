"""What an interrupted write left out of an issuing CA in the mount, written once more.

The provider sends only what its last state lacks (``SecretBackendIssuer``, ``HasChange``). Where
the Vault went away in the middle of a write, that state has what was meant to be written, so no
later update would ever send it: the issuing CA would stay without its name, and a compromised one
would keep its right to sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hvac import exceptions

from mtls_pki.backends.vault.comparison import ISSUER_FIELDS
from mtls_pki.backends.vault.diagnosis import with_meaning
from mtls_pki.backends.vault.transport import VaultAddress, VaultError, connect, send


def write_issuer(address: VaultAddress, path: str, asked: Mapping[str, Any]) -> None:
    """Write what an issuer of a PKI mount was asked to be.

    Args:
        address: of the Vault.
        path: ``MOUNT/issuer/ID``.
        asked: inputs of the resource, in the engine's spelling.

    Raises:
        VaultError: the Vault is away, or refuses.
    """
    fields = {
        theirs: asked[ours] for ours, theirs in ISSUER_FIELDS.items() if asked.get(ours) is not None
    }
    try:
        send(connect(address), address, "POST", path, fields)
    except exceptions.VaultError as error:
        raise VaultError(
            f"{address.url}: writing {path} failed: {with_meaning(str(error))}"
        ) from None
