"""The backup file: its content, encrypted for a passphrase.

It is an age file (age-encryption.org/v1): scrypt for the passphrase, authenticated encryption of
header and content. A format of our own would be as safe, but any ``age`` can open this one in ten
years, without this program: ``age -d FILE``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyrage

from mtls_pki.errors import CommandError
from mtls_pki.files import write_new

SCHEMA = "mtls-pki/backup/v1"
SHORTEST_PASSPHRASE = 12

_AGE = b"age-encryption.org/v1\n"
# pyrage's messages for a wrong passphrase and a too costly work factor; tests pin both.
_NO_MATCH = "Decryption failed"
_TOO_COSTLY = "Excessive work"
# age decides what is too costly by a measurement of the machine at each attempt (age, scrypt.rs,
# target_scrypt_work_factor), and a busy moment passes.
_TRIES, _PAUSE_SECONDS = 5, 1.0


@dataclass(frozen=True, kw_only=True)
class Content:
    """What an archive holds.

    Attributes:
        project: name of the Pulumi project.
        stack: name of the stack.
        made: when, RFC 3339 UTC.
        deployment: what ``pulumi stack export --show-secrets`` printed: **every key in clear**.
    """

    project: str
    stack: str
    made: str
    deployment: Mapping[str, Any]

    def __repr__(self) -> str:
        """Leave out the keys, because representations get into tracebacks and logs."""
        return f"Content({self.project}/{self.stack}, {self.made})"


def save(path: Path, content: Content, passphrase: str) -> None:
    """Write an archive (0600), whole or not at all, and make sure that it opens again.

    Raises:
        CommandError: the passphrase is too short, the file exists already or cannot be written.
    """
    if len(passphrase) < SHORTEST_PASSPHRASE:
        raise CommandError(
            f"the passphrase has {len(passphrase)} characters; it protects every key of the stack, "
            f"so use at least {SHORTEST_PASSPHRASE}"
        )
    document = json.dumps({"schema": SCHEMA, **asdict(content)}, sort_keys=True)
    encrypted = pyrage.passphrase.encrypt(document.encode(), passphrase)
    try:
        write_new(path, encrypted, check=lambda written: load(written, passphrase))
    except FileExistsError:
        raise CommandError(
            f"{path} is there already and is not overwritten; name another file"
        ) from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}; name another") from None


def load(path: Path, passphrase: str) -> Content:
    """Return what an archive holds.

    Raises:
        CommandError: it cannot be read, it is not an archive of this program, it is damaged, or the
            passphrase does not open it.
    """
    try:
        encrypted = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}; name a backup") from None
    if not encrypted.startswith(_AGE):
        raise CommandError(
            f"{path} is no backup: it does not begin like an age file; name one that "
            "`mtls-pki backup` wrote"
        )
    return _content(path, _decrypted(path, encrypted, passphrase))


def _decrypted(path: Path, encrypted: bytes, passphrase: str) -> bytes:
    for _ in range(_TRIES):
        try:
            return bytes(pyrage.passphrase.decrypt(encrypted, passphrase))
        except pyrage.DecryptError as error:
            if str(error) == _NO_MATCH:
                raise CommandError(
                    f"{path}: the passphrase does not open it; use the one that it was saved with"
                ) from None
            if not str(error).startswith(_TOO_COSTLY):
                raise CommandError(
                    f"{path} is damaged: it was cut short or altered after it was written; use "
                    "another copy"
                ) from None
        time.sleep(_PAUSE_SECONDS)
    raise CommandError(
        f"{path}: this machine is too slow or too busy to open it; try again, or elsewhere"
    )


def _content(path: Path, document: bytes) -> Content:
    try:
        fields = json.loads(document)
        schema = fields.pop("schema")
        if schema == SCHEMA:
            return Content(**fields)
    except (ValueError, AttributeError, KeyError, TypeError):
        schema = None
    if isinstance(schema, str) and schema.startswith("mtls-pki/backup/"):
        raise CommandError(
            f"{path} has the format {schema}, and this program reads {SCHEMA}; use the version of "
            "the program that wrote it"
        )
    raise CommandError(
        f"{path} does not hold a backup of a stack; name one that `mtls-pki backup` wrote"
    )
