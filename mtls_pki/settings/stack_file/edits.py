"""The three config changes of a rotation, made in the stack file as a person would make them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mtls_pki.errors import CommandError
from mtls_pki.files import mode_of, write_whole
from mtls_pki.pki.names import common_name_mistake
from mtls_pki.rotation.generations import next_generation
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.transitions import structural_refusals
from mtls_pki.settings.model import AnchorSettings, Settings
from mtls_pki.settings.stack_file.reading import StackFile
from mtls_pki.settings.stack_file.yaml_text import Scalar, add_entry, remove_entry, set_scalar
from mtls_pki.settings.trust_domain import configured_stage


@dataclass(frozen=True, kw_only=True)
class NewAnchor:
    """A new anchor; a field that is None is taken from the anchor named by ``like``.

    ``valid_from`` is RFC 3339 text; ``certificate`` is the file of an anchor made elsewhere, which
    excludes the other fields.
    """

    generation: str
    valid_from: str
    common_name: str | None = None
    valid_for: str | None = None
    like: str | None = None
    certificate: str | None = None


def add(stack: StackFile, new: NewAnchor) -> StackFile:
    """Return the stack file with one more anchor, incoming.

    Raises:
        CommandError: the change makes no sense.
        SettingsError: the stack file that would be written has mistakes.
    """
    settings = stack.settings()
    if new.generation in settings.anchors:
        raise CommandError(
            f"anchors.{new.generation} is there already ({settings.anchors[new.generation].role});"
            " a generation keeps its key for ever, so name a new one"
        )
    like = new.like or settings.issuing_generation
    if like not in settings.anchors:
        raise CommandError(
            f"--like {like}: no such anchor; there are: {', '.join(settings.anchors)}"
        )
    fields: dict[str, Scalar] = {"role": Role.INCOMING.value}
    if new.certificate is not None:
        fields["certificate"] = new.certificate
    else:
        fields |= _generated(stack, settings.anchors[like], like, new)
    return _edited(stack, {new.generation: fields})


def promote(stack: StackFile, generation: str | None) -> StackFile:
    """Return the stack file with the incoming anchor issuing and the issuing one outgoing.

    Raises:
        CommandError: there is nothing to promote.
        SettingsError: the stack file that would be written has mistakes.
    """
    settings = stack.settings()
    following = next_generation(settings.anchors)
    chosen = _chosen(settings, generation, (Role.INCOMING,), f"add one: mtls-pki add {following}")
    issuing = settings.issuing_generation
    return _edited(
        stack,
        {chosen: {"role": Role.ISSUING.value}, issuing: {"role": Role.OUTGOING.value}},
    )


def retire(stack: StackFile, generation: str | None) -> StackFile:
    """Return the stack file without the outgoing anchor, or without the one that is named.

    Naming an incoming anchor abandons its rotation. A compromised anchor may be named too.

    Raises:
        CommandError: there is nothing to retire.
        SettingsError: the stack file that would be written has mistakes.
    """
    settings = stack.settings()
    roles: tuple[Role, ...] = (Role.OUTGOING,)
    if generation is not None:
        roles = (Role.OUTGOING, Role.INCOMING, Role.COMPROMISED)
    chosen = _chosen(settings, generation, roles, "promote its successor first")
    return _edited(stack, {chosen: None})


def difference(old: StackFile, new: StackFile) -> str:
    """Return the unified diff of two states of one stack file."""
    name = old.path.name
    lines = difflib.unified_diff(
        old.text.splitlines(keepends=True),
        new.text.splitlines(keepends=True),
        fromfile=f"a/{name}",
        tofile=f"b/{name}",
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def write(stack: StackFile) -> None:
    """Replace the file on disk in one step: a reader sees the old text or the new, never a part.

    Raises:
        CommandError: it cannot be written; then nothing has changed.
    """
    # A link is followed, so that the file it names changes and the link stays.
    path = stack.path.resolve()
    try:
        write_whole(path, stack.text, mode=mode_of(path))
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written ({error.strerror}); nothing has changed"
        ) from None


def _chosen(
    settings: Settings, generation: str | None, roles: tuple[Role, ...], remedy: str
) -> str:
    """Return the anchor of a step: the one that is named, or the only one in its role."""
    named = {name: anchor.role for name, anchor in settings.anchors.items()}
    if generation is None:
        found = [name for name, role in named.items() if role in roles]
        if len(found) == 1:
            return found[0]
        if found:
            raise CommandError(f"{', '.join(found)} are {roles[0]}; name one of them")
        raise CommandError(f"no anchor is {roles[0]}; {remedy}")
    if generation not in named:
        raise CommandError(f"{generation}: no such anchor; there are: {', '.join(named)}")
    if named[generation] not in roles:
        raise CommandError(
            f"{generation} is {named[generation]}, and must be {' or '.join(roles)}; {remedy}"
        )
    return generation


def _generated(
    stack: StackFile, like: AnchorSettings, name: str, new: NewAnchor
) -> dict[str, Scalar]:
    written: Mapping[str, Any] = stack.values()["anchors"][name]
    common_name = new.common_name or _derived_name(like.common_name, name, new.generation)
    valid_for = new.valid_for or written.get("validFor")
    if common_name is None or valid_for is None:
        raise CommandError(
            f"{name} was made elsewhere, so there is nothing to copy; give --common-name and "
            "--valid-for, or --certificate FILE"
        )
    if new.common_name is None and (mistake := common_name_mistake(common_name)):
        raise CommandError(
            f"the common name {common_name!r}, made from that of {name}, {mistake}; give one with "
            "--common-name"
        )
    fields: dict[str, Scalar] = {
        "commonName": common_name,
        "validFrom": new.valid_from,
        "validFor": valid_for,
    }
    return fields | {key: written[key] for key in ("pathLength", "keyAlgorithm") if key in written}


def _derived_name(common_name: str | None, like: str, generation: str) -> str | None:
    """Return a common name made from one like ``root-g1.example.org`` or ``root.example.org``."""
    if common_name is None:
        return None
    head, dot, rest = common_name.partition(".")
    return f"{head.removesuffix(f'-{like}')}-{generation}{dot}{rest}"


def _edited(stack: StackFile, changes: Mapping[str, Mapping[str, Scalar] | None]) -> StackFile:
    """Apply ``changes`` (generation -> fields to write, or None to remove it) and check the result.

    The new text is read back: it must say what was meant and nothing else, and must be a stage that
    one update may reach.
    """
    anchors = {name: dict(anchor) for name, anchor in stack.values()["anchors"].items()}
    text = stack.text
    for generation, fields in changes.items():
        path = (*stack.anchors_key(), generation)
        if fields is None:
            text = remove_entry(text, path)
            del anchors[generation]
        elif generation in anchors:
            for key, value in fields.items():
                text = set_scalar(text, (*path, key), str(value))
            anchors[generation] |= fields
        else:
            text = add_entry(text, path, fields)
            anchors[generation] = dict(fields)
    edited = replace(stack, text=text)
    settings = edited.settings()
    if edited.values() != {**stack.values(), "anchors": anchors}:
        raise CommandError(
            f"{stack.path.name} is not written in a way that can be edited; edit by hand"
        )
    _refuse_nonsense(_stage(stack.settings()), _stage(settings))
    return edited


def _stage(settings: Settings) -> TrustStage:
    """The stage that a file asks for; which key an anchor has does not matter between two edits."""
    return configured_stage(settings, {})


def _refuse_nonsense(old: TrustStage, new: TrustStage) -> None:
    refusals = structural_refusals(old, new)
    if refusals:
        first = refusals[0]
        raise CommandError(f"{first.rule.sentence} {'; '.join(first.seen)}: {first.remedy}")
