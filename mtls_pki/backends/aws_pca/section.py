"""The section ``issuing.awsPca`` of the stack file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

from mtls_pki.settings.section import Section
from mtls_pki.settings.types import DnsLabel, Generation, ObjectName

NAME = "aws-pca"
"""Of the backend, in the stack file."""

KEY = "aws_pca"
"""Of its section, below ``issuing``."""

_PARTITION = r"aws(-[a-z]+)*"
_AUTHORITY = re.compile(
    rf"arn:(?P<partition>{_PARTITION}):acm-pca:(?P<region>[a-z0-9-]+):(?P<account>\d{{12}})"
    r":certificate-authority/[0-9a-f-]{36}"
)
_ROLE = re.compile(rf"arn:{_PARTITION}:iam::\d{{12}}:role/[\w+=,.@/-]{{1,512}}", re.ASCII)
_RELEASE = re.compile(r"\d+\.\d+")


def _like(pattern: re.Pattern[str], wanted: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError(f"{value!r}: write {wanted}")
        return value

    return check


AuthorityArn = Annotated[
    str,
    AfterValidator(
        _like(
            _AUTHORITY,
            "the ARN of a private CA, arn:aws:acm-pca:REGION:ACCOUNT:certificate-authority/UUID",
        )
    ),
]
RoleArn = Annotated[
    str, AfterValidator(_like(_ROLE, "the ARN of a role, arn:aws:iam::ACCOUNT:role/NAME"))
]
Release = Annotated[
    str, AfterValidator(_like(_RELEASE, "its minor release in quotes, such as '1.12'"))
]


class Authority(NamedTuple):
    """What the ARN of a private CA says of it.

    Attributes:
        partition: ``aws``, ``aws-us-gov``, ``aws-cn``.
        region: where it is.
        account: 12 digits.
    """

    partition: str
    region: str
    account: str

    @classmethod
    def of(cls, arn: str) -> Authority:
        """Read an ARN.

        Raises:
            ValueError: it is none of a private CA.
        """
        found = _AUTHORITY.fullmatch(arn)
        if found is None:
            raise ValueError(f"{arn!r} is no ARN of a private CA")
        return cls(found["partition"], found["region"], found["account"])


class CredentialsSettings(Section):
    """A Secret with ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY`` that somebody else made."""

    name: ObjectName
    namespace: DnsLabel


class AwsPcaSettings(Section):
    """Which private CA signs for each generation, and how aws-privateca-issuer reaches it."""

    # Of the CA that signs leaves, not of the root above it.
    authorities: dict[Generation, AuthorityArn] = Field(default_factory=dict)
    # Assumed by the issuer for its calls; None: what its pod has (IRSA, pod identity).
    role: RoleArn | None = None
    # Keys that last; only where the issuer's pod can have no role.
    credentials: CredentialsSettings | None = None
    # Of aws-privateca-issuer in the clusters: what it can do depends on it.
    issuer_release: Release = "1.9"

    @property
    def release(self) -> tuple[int, ...]:
        """The issuer's release, to compare."""
        return tuple(int(part) for part in self.issuer_release.split("."))
