"""From raw configuration values to :class:`~settings.model.Settings`, or every mistake at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mtls_pki.settings.errors import Mistake, SettingsError
from mtls_pki.settings.extensions import Extensions
from mtls_pki.settings.model import Settings, settings_model
from mtls_pki.settings.rules import mistakes_of
from mtls_pki.settings.section import Section
from mtls_pki.settings.types import FileError, SpellingError, UnreadSecret

# Values at or below these keys are never shown, whatever is wrong with them.
_SECRET_KEYS = frozenset({"privateKey"})
_SHOWN_LENGTH = 80
# A user in a URL, or a password in a connection string of libpq.
_MAY_HOLD_A_SECRET = re.compile("://[^/?#]*@|password *=", re.IGNORECASE)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]")


def _shown(details: ErrorDetails, secret: Collection[str]) -> str:
    """The offending value for the message, or nothing where it is secret, or may hold a secret.

    The engine tells only which top-level keys hold an encrypted value somewhere, so nothing below
    those is shown. A list or a PEM text is not shown either, because it may hold a key by mistake.
    A URL with a user's name is not shown, because it may hold a password.
    """
    value, location = details["input"], details["loc"]
    if location[0] in secret or _SECRET_KEYS.intersection(location):
        return ""
    if not isinstance(value, str | int | float | None) or "-----BEGIN" in str(value):
        return ""
    if _MAY_HOLD_A_SECRET.search(str(value)):
        return ""
    text = repr(value)
    return f"{text[:_SHOWN_LENGTH]}{'...' if len(text) > _SHOWN_LENGTH else ''}: "


def _section_at(model: type[Settings], location: tuple[int | str, ...]) -> type[Section] | None:
    """The section class of the keys at ``location``, found by walking the annotations."""
    annotation: Any = model
    for part in location:
        candidates = [annotation, *get_args(annotation)]
        section = next(
            (c for c in candidates if isinstance(c, type) and issubclass(c, Section)), None
        )
        if section is None:
            return None
        by_alias = {field.alias: field for field in section.model_fields.values()}
        if part in by_alias:
            annotation = by_alias[str(part)].annotation
        elif annotation is section:
            return None
        else:
            annotation = section
    found = [annotation, *get_args(annotation)]
    return next((c for c in found if isinstance(c, type) and issubclass(c, Section)), None)


def _unknown_key(model: type[Settings], details: ErrorDetails) -> str:
    *parent, key = details["loc"]
    section = _section_at(model, tuple(parent))
    known = sorted(str(field.alias) for field in section.model_fields.values()) if section else []
    close = get_close_matches(str(key), known, n=1)
    if close:
        return f"unknown key; did you mean {close[0]}?"
    return f"unknown key; known here: {', '.join(known)}" if known else "unknown key; remove it"


def _as_text(value: object) -> str:
    """How to write a value that YAML takes for a number or a truth value."""
    if not isinstance(value, bool | int | float):
        return "write text"
    return "quote it, for YAML takes it for a number or a truth value"


def _message(model: type[Settings], details: ErrorDetails, secret: Collection[str]) -> str:
    if isinstance(details["input"], UnreadSecret):
        return "encrypted, and not decrypted here; write it in clear text: it is no secret"
    kind, context, shown = details["type"], details.get("ctx", {}), _shown(details, secret)
    match kind:
        case "missing":
            return "missing; write it"
        case "extra_forbidden":
            return _unknown_key(model, details)
        case "enum" | "literal_error":
            return f"{shown}write one of: {context['expected']}"
        case "value_error":
            error = context["error"]
            if isinstance(error, SpellingError) and not shown:
                return error.plain
            return str(error) if isinstance(error, FileError) else f"{shown}{error}"
        case "too_short":
            return f"{shown}write at least {context['min_length']}"
        case "dict_type" | "model_type" | "model_attributes_type":
            # The value is never shown: a key may be written in place of the section that holds it.
            return "write a mapping of keys"
        case "list_type" | "tuple_type":
            return f"{shown}write a list"
        case "int_type":
            return f"{shown}write a whole number"
        case "bool_type" | "bool_parsing":
            return f"{shown}write true or false"
        case "string_type":
            return f"{shown}{_as_text(details['input'])}"
        case _:
            return f"{shown}{details['msg'][0].lower()}{details['msg'][1:]}"


def _schema_mistakes(
    model: type[Settings], error: ValidationError, secret: Collection[str]
) -> Iterator[Mistake]:
    found = error.errors(include_url=False)
    for details in found:
        location = details["loc"]
        # pydantic counts only the valid items of a list, so it reports a list with a wrong item as
        # too short.
        if details["type"] == "too_short" and any(other["loc"][:-1] == location for other in found):
            continue
        yield Mistake(path=_path(location), message=_message(model, details, secret))


def _clear_text_secrets(values: Mapping[str, Any], secret: Collection[str]) -> Iterator[Mistake]:
    anchors = values.get("anchors")
    if "anchors" in secret or not isinstance(anchors, Mapping):
        return
    for name, anchor in anchors.items():
        issuing_ca = anchor.get("issuingCa") if isinstance(anchor, Mapping) else None
        if isinstance(issuing_ca, Mapping) and "privateKey" in issuing_ca:
            path = f"anchors.{name}.issuingCa.privateKey"
            yield Mistake(
                path=path,
                message="a private key in clear text; store it encrypted with "
                f"`pulumi config set --secret --path 'mtls-pki:{path}' < key.pem`, and treat this "
                "one as compromised if the file was ever committed",
            )


def _without(values: Mapping[str, Any], location: tuple[int | str, ...]) -> dict[str, Any]:
    """``values`` without the value at ``location``."""
    head, *rest = location
    copy = dict(values)
    if not rest or not isinstance(copy.get(str(head)), Mapping):
        copy.pop(str(head), None)
    else:
        copy[str(head)] = _without(copy[str(head)], tuple(rest))
    return copy


def _mistakes_of_the_rest(
    model: type[Settings],
    values: Mapping[str, Any],
    error: ValidationError,
    context: Mapping[str, Any],
) -> Iterator[Mistake]:
    """The breaches of rules that can be found although another part breaks the schema.

    Unknown keys and unusable services are left out, because nothing else depends on them. If any
    other part were missing, a rule would report mistakes in what is right.
    """
    for details in error.errors(include_url=False):
        location = details["loc"]
        if details["type"] == "extra_forbidden":
            values = _without(values, location)
        elif location[0] == "services" and len(location) > 1:
            values = _without(values, location[:2])
        else:
            return
    yield from mistakes_of(model.model_validate(values, context=context))


def load_settings(
    values: Mapping[str, Any],
    *,
    source: str,
    directory: Path,
    owner: str,
    secret_keys: Collection[str],
    extensions: Extensions,
) -> Settings:
    """Return the settings that ``values`` spell.

    Args:
        values: top-level key (without the project's prefix) -> decoded value, secrets decrypted or
            (where nothing needs them) an ``UnreadSecret`` in their place.
        source: what to call the configuration in messages, such as ``Pulumi.dev.yaml``.
        directory: what relative file names in the configuration are relative to.
        owner: the stack's own name, ``<project>/<stack>``.
        secret_keys: the top-level keys that hold at least one encrypted value.
        extensions: the backends and consumers that the configuration may name.

    Raises:
        SettingsError: with every mistake that can be found in the given values.
    """
    mistakes = list(_clear_text_secrets(values, secret_keys))
    model = settings_model(extensions)
    context = {"directory": directory, "owner": owner}
    try:
        settings = model.model_validate(dict(values), context=context)
    except ValidationError as error:
        mistakes += _schema_mistakes(model, error, secret_keys)
        mistakes += _mistakes_of_the_rest(model, values, error, context)
        raise SettingsError(source, mistakes) from None
    mistakes += mistakes_of(settings)
    if mistakes:
        raise SettingsError(source, mistakes)
    return settings
