"""From a private CA of AWS to an anchor of a stack file: two certificates and an ARN."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel

from mtls_pki.backends.aws_pca.account import Account, Installed, Wanted
from mtls_pki.backends.aws_pca.section import KEY, NAME, Authority
from mtls_pki.errors import CommandError
from mtls_pki.files import write_whole
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.key_algorithms import KeyAlgorithm
from mtls_pki.pki.names import common_name_mistake
from mtls_pki.pki.parsing import parse_certificate, parse_certificates
from mtls_pki.settings.model import IntermediateSettings
from mtls_pki.settings.stack_file import edits
from mtls_pki.settings.stack_file.reading import StackFile

_PUBLIC = 0o644
_ISSUING_CA = "i1"


@dataclass(frozen=True, kw_only=True)
class NewAuthorities:
    """What is to be made for one generation.

    Attributes:
        generation: of the anchor.
        key_algorithm: of both keys.
        root_valid_for: of the root's certificate.
        valid_for: of the issuing CA's certificate; None as ``issuing.intermediate`` says.
        organization: in both subjects; None for none.
        root_arn: of a root that exists; None to make one.
    """

    generation: str
    key_algorithm: KeyAlgorithm
    root_valid_for: timedelta
    valid_for: timedelta | None
    organization: str | None
    root_arn: str | None


def wanted(stack: StackFile, new: NewAuthorities) -> tuple[Wanted | None, Wanted]:
    """Return the root that is to be made (None where one exists), and the CA below it.

    Raises:
        CommandError: the stack file names no trust domain, or one that is too long; or it has an
            anchor of that name that AWS does not hold.
        SettingsError: a stack file that has anchors has mistakes.
    """
    values = stack.values()
    _refuse_another(values, new.generation)
    domain = values.get("trustDomain")
    if not isinstance(domain, str):
        raise CommandError(f"{stack.path.name}: trustDomain is missing; the CAs are named after it")
    intermediate = IntermediateSettings()
    if values.get("anchors"):
        # A mistake in the file is found before anything is made that costs money.
        intermediate = stack.settings().issuing.issuing_ca or intermediate
    owner = f"{stack.project}/{stack.stack}"

    def one(kind: Any, name: str, valid_for: timedelta, path_length: int) -> Wanted:
        common_name = f"{name}.{domain}"
        if mistake := common_name_mistake(common_name):
            raise CommandError(f"the common name {common_name!r} {mistake}")
        return Wanted(
            kind=kind,
            owner=owner,
            generation=new.generation,
            common_name=common_name,
            key_algorithm=new.key_algorithm,
            valid_for=valid_for,
            path_length=path_length,
            organization=new.organization,
        )

    root = None
    if new.root_arn is None:
        root = one("ROOT", f"root-{new.generation}", new.root_valid_for, 0)
    return root, one(
        "SUBORDINATE",
        f"issuing-{new.generation}-{_ISSUING_CA}-pca",
        new.valid_for or intermediate.valid_for,
        intermediate.path_length,
    )


def _refuse_another(values: Mapping[str, Any], generation: str) -> None:
    """Refuse the name of an anchor that somebody else holds, before anything costs money."""
    anchor = (values.get("anchors") or {}).get(generation)
    backend = (values.get("issuing") or {}).get("backend")
    if anchor is not None and anchor.get("backend", backend) != NAME:
        raise CommandError(
            f"anchors.{generation} is there already, and AWS does not hold it; name a new "
            "generation"
        )


def create(
    account: Account, stack: StackFile, root: Wanted | None, root_arn: str | None, below: Wanted
) -> Installed:
    """Return the CA that signs leaves, made and installed as far as it was not.

    Raises:
        CommandError: AWS refuses, or is not reached; or the root that exists is that of another
            anchor.
    """
    if root is not None:
        return account.ensure(below, account.ensure(root, None).arn)
    if root_arn is None:
        raise ValueError("there is neither a root to make nor one that exists")
    _refuse_shared_root(stack, below.generation, account.installed(root_arn))
    return account.ensure(below, root_arn)


def _refuse_shared_root(stack: StackFile, generation: str, root: Installed) -> None:
    """Refuse a root that another anchor has: one key is one anchor."""
    if not stack.values().get("anchors"):
        return
    certificate = parse_certificate(root.certificate, origin=root.arn)
    for name, anchor in stack.settings().anchors.items():
        if anchor.certificate is None or name == generation:
            continue
        if certificate == parse_certificate(anchor.certificate.pem, origin=f"anchors.{name}"):
            raise CommandError(
                f"{root.arn} is the root of anchors.{name} already, and a generation has a root of "
                "its own; leave --root out to make one"
            )


def existing(account: Account, arn: str) -> Installed:
    """Return a CA that somebody made, which can sign leaves below an anchor.

    Raises:
        CommandError: AWS refuses; or it is a root, whose leaves would have no CA above them that
            could be replaced.
    """
    if account.kind(arn) == "ROOT":
        raise CommandError(
            f"{arn} is a root, and leaves are signed by a CA below it: make one with "
            f"`mtls-pki aws-pca create GENERATION --root {arn}`"
        )
    return account.installed(arn)


def files(
    stack: StackFile, generation: str, authority: Installed, directory: str
) -> dict[Path, str]:
    """Return what the files of the root and of the issuing CA are to hold, in this order.

    Args:
        stack: the stack file, beside which they are looked up.
        generation: of the anchor.
        authority: the CA that signs leaves.
        directory: as the stack file names it.

    Raises:
        CommandError: the chain is not a root alone.
    """
    place = stack.path.parent / directory
    return {
        place / f"{generation}.pem": _root(authority),
        place / f"{generation}-issuing.pem": authority.certificate,
    }


@contextlib.contextmanager
def written(files: Mapping[Path, str], *, keep: bool) -> Iterator[None]:
    """Have the files there inside; those that were not there go again on an error.

    Args:
        files: what each is to hold.
        keep: whether they stay where there was no error.

    Raises:
        CommandError: one holds something else already, or cannot be written.
    """
    new: list[Path] = []
    try:
        for path, text in files.items():
            if _write(path, text):
                new.append(path)
        yield
        if keep:
            new.clear()
    finally:
        for path in new:
            path.unlink(missing_ok=True)


def with_anchor(
    stack: StackFile, generation: str, authority: Installed, files: Iterable[Path]
) -> StackFile:
    """Return the stack file with an anchor that names the files, which are there.

    Raises:
        CommandError: there is another anchor of that name.
        SettingsError: the stack file that would be written has mistakes.
    """
    place = stack.path.parent
    names = [
        # A file elsewhere is named by its whole path.
        (path.relative_to(place) if path.is_relative_to(place) else path).as_posix()
        for path in files
    ]
    reference = (("issuing", to_camel(KEY), "authorities", generation), authority.arn)
    return edits.add_held(
        stack,
        edits.HeldAnchor(
            generation=generation,
            backend=NAME,
            certificate=names[0],
            issuing_certificate=names[1],
            reference=reference,
        ),
    )


def region_of(arn: str) -> str:
    """Return the region in an ARN.

    Raises:
        CommandError: it is none of a private CA.
    """
    try:
        return Authority.of(arn).region
    except ValueError as error:
        raise CommandError(
            f"{error}; it looks like arn:aws:acm-pca:REGION:ACCOUNT:certificate-authority/UUID"
        ) from None


def _root(authority: Installed) -> str:
    try:
        above = parse_certificates(authority.chain, origin=f"chain of {authority.arn}")
    except PkiError as error:
        raise CommandError(str(error)) from None
    if len(above) != 1:
        raise CommandError(
            f"{authority.arn} has {len(above)} CAs above it, and an anchor has one issuing CA "
            "directly below it; name a CA below the root"
        )
    return authority.chain


def _write(path: Path, text: str) -> bool:
    """Write a file, and return whether it was not there."""
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") != text:
                raise CommandError(
                    f"{path} is there already and holds something else; move it away, or give "
                    "--directory"
                )
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text, mode=_PUBLIC)
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror})") from None
    return True
