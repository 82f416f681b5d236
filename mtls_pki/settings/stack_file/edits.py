"""The config changes of a rotation, made in the stack file as a person would make them."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic.alias_generators import to_camel

from mtls_pki.errors import CommandError
from mtls_pki.files import mode_of, write_whole
from mtls_pki.pki.names import common_name_mistake
from mtls_pki.rotation.generations import next_generation
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.rotation.transitions import structural_refusals
from mtls_pki.settings.model import AnchorSettings, Settings
from mtls_pki.settings.stack_file.reading import StackFile
from mtls_pki.settings.stack_file.yaml_text import (
    Scalar,
    Value,
    add_entry,
    remove_entry,
    set_scalar,
)
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


Edit = tuple[tuple[str, ...], Value | None]
"""Path of an entry of the configuration, and its value; None removes it."""


@dataclass(frozen=True, kw_only=True)
class HeldAnchor:
    """An anchor whose issuing CA an authority holds, with both certificates.

    Attributes:
        generation: its name.
        backend: who holds the issuing CA.
        certificate: file of the root, as the stack file names it.
        issuing_certificate: file of the issuing CA's certificate.
        reference: path in the configuration of what names it at the authority, and that name.
    """

    generation: str
    backend: str
    certificate: str
    issuing_certificate: str
    reference: tuple[tuple[str, ...], str]


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
    fields: dict[str, Value] = {"role": Role.INCOMING.value}
    if new.certificate is not None:
        fields["certificate"] = new.certificate
    else:
        fields |= _generated(stack, settings.anchors[like], like, new)
    return _edited(stack, [(("anchors", new.generation), fields)])


def add_held(stack: StackFile, new: HeldAnchor) -> StackFile:
    """Return the stack file with an anchor that an authority holds, incoming.

    In a file that has no anchor yet it is the one that issues. An anchor that says the same already
    stays as it is.

    Raises:
        CommandError: there is another anchor of that name.
        SettingsError: the stack file that would be written has mistakes.
    """
    values = stack.values()
    present: Mapping[str, Any] = values.get("anchors") or {}
    fields: dict[str, Value] = {
        "certificate": new.certificate,
        "issuingCa": {"certificate": new.issuing_certificate},
    }
    if (values.get("issuing") or {}).get("backend") != new.backend:
        fields = {"backend": new.backend, **fields}
    known = present.get(new.generation)
    if known is not None:
        if any(known.get(key) != value for key, value in fields.items()):
            raise CommandError(
                f"anchors.{new.generation} is there already and says something else; a generation "
                "keeps its key for ever, so name a new one"
            )
        return stack
    role = Role.INCOMING if present else Role.ISSUING
    return _edited(
        stack, [(("anchors", new.generation), {"role": role.value, **fields}), new.reference]
    )


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
        [
            (("anchors", chosen, "role"), Role.ISSUING.value),
            (("anchors", issuing, "role"), Role.OUTGOING.value),
        ],
    )


def retire(stack: StackFile, generation: str | None) -> StackFile:
    """Return the stack file without the outgoing anchor, or without the one that is named.

    What an authority is told of this generation alone goes with it.

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
    of_it = [
        ("issuing", to_camel(row.key), to_camel(field), chosen)
        for row in stack.extensions.backends
        for field in row.of_generations
        if row.key is not None
    ]
    values = stack.values()
    gone = [path for path in of_it if _at(values, path) is not None]
    return _edited(stack, [(("anchors", chosen), None), *((path, None) for path in gone)])


def renew_access(stack: StackFile, machine: str) -> StackFile:
    """Return the stack file with a new key of a machine, and only the newest of the others.

    Raises:
        CommandError: the file cannot be edited.
        SettingsError: the stack file that would be written has mistakes.
    """
    newest = stack.settings().client_access[machine].keys[-1]
    keys = [newest, _next_key(newest)]
    return _edited(stack, [(("clientAccess", machine, "keys"), keys)])


def _next_key(name: str) -> str:
    head = name.rstrip("0123456789")
    return f"{head}{int(name[len(head) :] or 1) + 1}"


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


def _edited(stack: StackFile, changes: Iterable[Edit]) -> StackFile:
    """Apply ``changes`` and check the result.

    The new text is read back: it must say what was meant and nothing else, and must be a stage that
    one update may reach.
    """
    before = stack.values()
    meant: dict[str, Any] = copy.deepcopy(before)
    text = stack.text
    for path, value in changes:
        text = _written(text, stack.project, meant, path, value)
    edited = replace(stack, text=text)
    settings = edited.settings()
    if edited.values() != meant:
        raise CommandError(
            f"{stack.path.name} is not written in a way that can be edited; edit by hand"
        )
    if before.get("anchors"):
        _refuse_nonsense(_stage(stack.settings()), _stage(settings))
    return edited


def _written(
    text: str, project: str, meant: dict[str, Any], path: tuple[str, ...], value: Value | None
) -> str:
    """Return the text with one entry changed; ``meant`` changes in the same way."""
    if value is None:
        # A mapping without an entry reads as nothing, so it goes with its last one.
        alone = len(path) > 2 and len(_at(meant, path[:-1])) == 1
        path = path[:-1] if alone else path
        del _at(meant, path[:-1])[path[-1]]
        return remove_entry(text, _in_file(project, path))
    if isinstance(value, str) and _at(meant, path) is not None:
        _at(meant, path[:-1])[path[-1]] = value
        return set_scalar(text, _in_file(project, path), value)
    while len(path) > 1 and not _at(meant, path[:-1]):
        path, value = path[:-1], {path[-1]: value}
    parent = _at(meant, path[:-1])
    if path[-1] in parent:
        # It is written, and empty or another list.
        text = remove_entry(text, _in_file(project, path))
    parent[path[-1]] = copy.deepcopy(value)
    return add_entry(text, _in_file(project, path), value)


def _at(values: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return what stands at ``path``, None where nothing does."""
    found: Any = values
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _in_file(project: str, path: tuple[str, ...]) -> tuple[str, ...]:
    return ("config", f"{project}:{path[0]}", *path[1:])


def _stage(settings: Settings) -> TrustStage:
    """The stage that a file asks for; which key an anchor has does not matter between two edits."""
    return configured_stage(settings, {})


def _refuse_nonsense(old: TrustStage, new: TrustStage) -> None:
    refusals = structural_refusals(old, new)
    if refusals:
        first = refusals[0]
        raise CommandError(f"{first.rule.sentence} {'; '.join(first.seen)}: {first.remedy}")
