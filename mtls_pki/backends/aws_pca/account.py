"""The private CAs of an AWS account: found, made in the right order, and gone on with.

A CA costs money from the moment that it exists, and a deleted one is kept for days. So each carries
tags that say whose it is, given in the very call that makes it. It is looked up by them first, and
a run that ended anywhere goes on from there. Nothing is ever deleted.

The order is that of AWS ("Creating and installing the CA certificate"): the CA, its own request,
the certificate for that request (of a root by itself, of another by its parent), the import. A
request of another key gives a certificate that AWS does not import.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NoReturn

from mtls_pki.backends.aws_pca.diagnosis import explain
from mtls_pki.backends.aws_pca.policy import template_arn
from mtls_pki.backends.aws_pca.section import Authority
from mtls_pki.errors import CommandError
from mtls_pki.pki.key_algorithms import KeyAlgorithm

Kind = Literal["ROOT", "SUBORDINATE"]

OWNER_TAG, GENERATION_TAG, KIND_TAG = "mtls-pki:owner", "mtls-pki:generation", "mtls-pki:kind"

# `KeyAlgorithm` and `SigningAlgorithm` of CreateCertificateAuthority.
KEYS: Mapping[KeyAlgorithm, tuple[str, str]] = {
    "P-256": ("EC_prime256v1", "SHA256WITHECDSA"),
    "P-384": ("EC_secp384r1", "SHA384WITHECDSA"),
    "RSA-2048": ("RSA_2048", "SHA256WITHRSA"),
    "RSA-3072": ("RSA_3072", "SHA256WITHRSA"),
    "RSA-4096": ("RSA_4096", "SHA256WITHRSA"),
}
_USABLE = ("CREATING", "PENDING_CERTIFICATE", "ACTIVE")
# The templates that AWS has: SubordinateCACertificate_PathLen0 to 3.
_LONGEST_PATH = 3
_WAIT = {"Delay": 1, "MaxAttempts": 120}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One CA of a generation.

    Attributes:
        kind: a root, or one below it.
        owner: the stack that it is of, ``project/stack``.
        generation: of the anchor.
        common_name: its subject.
        key_algorithm: of the key that AWS makes.
        valid_for: of its certificate, from now.
        path_length: how many CAs may follow below one that is no root, 0 to 3.
        organization: in its subject; None for none.
    """

    kind: Kind
    owner: str
    generation: str
    common_name: str
    key_algorithm: KeyAlgorithm
    valid_for: timedelta
    path_length: int = 0
    organization: str | None = None

    @property
    def tags(self) -> dict[str, str]:
        """Which it is found by."""
        return {
            OWNER_TAG: self.owner,
            GENERATION_TAG: self.generation,
            KIND_TAG: self.kind.lower(),
        }

    def token(self, *more: str) -> str:
        """Return what makes two calls for it one (AWS: at most 36 characters)."""
        text = "\n".join([*sorted(self.tags.values()), *more])
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An ACTIVE CA.

    Attributes:
        arn: its ARN.
        certificate: its certificate, PEM.
        chain: the certificates above it, nearest first, PEM; empty for a root.
    """

    arn: str
    certificate: str
    chain: str


class Account:
    """The private CAs of one account in one region."""

    def __init__(self, region: str | None, say: Callable[[str], None]) -> None:
        """Connect, with the credentials that boto3 finds.

        Args:
            region: None as boto3 is configured.
            say: told of each step.

        Raises:
            CommandError: boto3 is not installed, or it knows no region.
        """
        try:
            import boto3
            from botocore import exceptions
        except ImportError:
            raise CommandError(
                "boto3 is not installed, by which AWS is called: pip install 'mtls-pki[aws]'"
            ) from None
        self._exceptions = exceptions
        self._say = say
        try:
            # boto3 reads AWS_DEFAULT_REGION only; every other tool of AWS reads this one.
            session = boto3.session.Session(
                region_name=region or os.environ.get("AWS_REGION") or None
            )
            if session.region_name is None:
                raise CommandError("no region is set for AWS: give --region, or set AWS_REGION")
            self._client: Any = session.client("acm-pca")
        except exceptions.BotoCoreError as error:
            raise CommandError(f"AWS: {error}") from None

    def find(self, wanted: Wanted) -> str | None:
        """Return the ARN of the CA that has the tags, None where there is none.

        Raises:
            CommandError: AWS refuses; or there are two, or it cannot be used any more.
        """
        found = [ca for ca in self._authorities() if wanted.tags.items() <= self._tags(ca).items()]
        if len(found) > 1:
            arns = ", ".join(ca["Arn"] for ca in found)
            raise CommandError(
                f"AWS has {len(found)} CAs for {wanted.generation} of {wanted.owner} "
                f"({wanted.kind.lower()}): {arns}; take the tag {KIND_TAG} from those that are "
                "not meant"
            )
        if not found:
            return None
        (ca,) = found
        if ca["Status"] not in _USABLE:
            raise CommandError(
                f"{ca['Arn']}, which was made for {wanted.generation}, is {ca['Status']}; "
                "enable it, or take its tags and run this again to make another"
            )
        if ca["Type"] != wanted.kind:
            raise CommandError(
                f"{ca['Arn']} has the tags of a {wanted.kind.lower()} CA, but is of type "
                f"{ca['Type']}; correct its tag {KIND_TAG}"
            )
        return str(ca["Arn"])

    def ensure(self, wanted: Wanted, parent: str | None) -> Installed:
        """Return the CA, made and installed as far as it was not.

        Args:
            wanted: what it is to be.
            parent: ARN of the CA that certifies it; None for a root, which certifies itself.

        Raises:
            CommandError: AWS refuses, or is not reached; what was done stays, and the same call
                goes on from there.
        """
        arn = self.find(wanted)
        if arn is None:
            self._say(f"{wanted.common_name}: making the CA, which costs money from now on")
            arn = self._create(wanted)
        if self._describe(arn)["Status"] != "ACTIVE":
            self._install(arn, parent or arn, wanted)
        return self.installed(arn)

    def installed(self, arn: str) -> Installed:
        """Return an ACTIVE CA with its certificates.

        Raises:
            CommandError: AWS refuses, or the CA is not ACTIVE.
        """
        answer = self._call("get_certificate_authority_certificate", CertificateAuthorityArn=arn)
        return Installed(
            arn=arn,
            certificate=_text(answer["Certificate"]),
            chain=_text(answer.get("CertificateChain", "")),
        )

    def kind(self, arn: str) -> str:
        """Return ``ROOT`` or ``SUBORDINATE``.

        Raises:
            CommandError: AWS refuses, or there is no such CA.
        """
        return str(self._describe(arn)["Type"])

    def _create(self, wanted: Wanted) -> str:
        key, signature = KEYS[wanted.key_algorithm]
        subject = {"CommonName": wanted.common_name}
        if wanted.organization is not None:
            subject["Organization"] = wanted.organization
        answer = self._call(
            "create_certificate_authority",
            CertificateAuthorityConfiguration={
                "KeyAlgorithm": key,
                "SigningAlgorithm": signature,
                "Subject": subject,
            },
            CertificateAuthorityType=wanted.kind,
            IdempotencyToken=wanted.token(),
            Tags=[{"Key": key, "Value": value} for key, value in wanted.tags.items()],
        )
        return str(answer["CertificateAuthorityArn"])

    def _install(self, arn: str, signer: str, wanted: Wanted) -> None:
        self._wait("certificate_authority_csr_created", CertificateAuthorityArn=arn)
        request = self._call("get_certificate_authority_csr", CertificateAuthorityArn=arn)["Csr"]
        self._say(f"{wanted.common_name}: having its request certified by {signer}")
        configuration = self._describe(signer)["CertificateAuthorityConfiguration"]
        end = datetime.now(UTC) + wanted.valid_for
        issued = self._call(
            "issue_certificate",
            CertificateAuthorityArn=signer,
            Csr=request.encode(),
            SigningAlgorithm=configuration["SigningAlgorithm"],
            TemplateArn=template_arn(Authority.of(signer).partition, _template(wanted)),
            Validity={"Type": "ABSOLUTE", "Value": int(end.timestamp())},
            IdempotencyToken=wanted.token("certificate", arn),
        )["CertificateArn"]
        place = {"CertificateAuthorityArn": signer, "CertificateArn": issued}
        self._wait("certificate_issued", **place)
        answer = self._call("get_certificate", **place)
        given = {"Certificate": answer["Certificate"].encode()}
        if signer != arn:
            given["CertificateChain"] = answer["CertificateChain"].encode()
        self._say(f"{wanted.common_name}: importing its certificate")
        self._call("import_certificate_authority_certificate", CertificateAuthorityArn=arn, **given)

    def _authorities(self) -> Iterator[dict[str, Any]]:
        with self._explained("list_certificate_authorities"):
            for page in self._client.get_paginator("list_certificate_authorities").paginate():
                for ca in page["CertificateAuthorities"]:
                    if ca["Status"] != "DELETED":
                        yield ca

    def _tags(self, ca: Mapping[str, Any]) -> dict[str, str]:
        # 50 tags at most, and 50 fit into the first answer.
        answer = self._call("list_tags", CertificateAuthorityArn=ca["Arn"])
        return {each["Key"]: each.get("Value", "") for each in answer.get("Tags", [])}

    def _describe(self, arn: str) -> dict[str, Any]:
        answer = self._call("describe_certificate_authority", CertificateAuthorityArn=arn)
        found: dict[str, Any] = answer["CertificateAuthority"]
        return found

    def _wait(self, waiter: str, **arguments: str) -> None:
        with self._explained(waiter):
            self._client.get_waiter(waiter).wait(WaiterConfig=_WAIT, **arguments)

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        with self._explained(operation):
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
            return answer

    def _explained(self, operation: str) -> _Explained:
        return _Explained(operation, self._exceptions)


class _Explained:
    """Turns what boto3 raises inside into one message that says what to do."""

    def __init__(self, operation: str, exceptions: Any) -> None:
        self._operation, self._exceptions = operation, exceptions

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, self._exceptions.NoCredentialsError):
            raise CommandError(
                "AWS: there are no credentials: set AWS_PROFILE, or log in (`aws sso login`)"
            ) from None
        known = (self._exceptions.BotoCoreError, self._exceptions.ClientError)
        if isinstance(error, known):
            _refuse(self._operation, str(error))


def _refuse(operation: str, said: str) -> NoReturn:
    meaning = explain(said)
    more = f". It means: {meaning}" if meaning else ""
    raise CommandError(
        f"AWS, {operation}: {said}{more}. What was done so far stays, and the same command goes on "
        "from there"
    ) from None


def _template(wanted: Wanted) -> str:
    if wanted.kind == "ROOT":
        return "RootCACertificate/V1"
    return f"SubordinateCACertificate_PathLen{min(wanted.path_length, _LONGEST_PATH)}/V1"


def _text(pem: str) -> str:
    return f"{pem.strip()}\n" if pem else ""
