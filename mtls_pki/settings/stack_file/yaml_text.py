"""Edits of YAML text that change nothing else in the text.

ruamel's round trip would be enough if it kept comments. But it attaches a comment to the entry
before it, so removing an anchor would remove the comment above the next one. Therefore ruamel only
says where a node begins and ends, and the text is cut there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import StringIO

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mtls_pki.errors import CommandError
from mtls_pki.settings.stack_file.reading import yaml_problem

Scalar = str | int

Value = Scalar | Sequence[Scalar] | Mapping[str, "Value"]
"""A scalar, a list, or a mapping; what a mapping holds is written in one line."""

# Characters that are never syntax of YAML, in whatever place.
_UNDEFINED = re.compile(r"undefined alias '(.+)'")
_PLAIN = re.compile(r"[A-Za-z0-9./][A-Za-z0-9./_-]*")


def set_scalar(text: str, path: tuple[str, ...], value: str) -> str:
    """Return ``text`` with another scalar at ``path``, quoted like the old one.

    Raises:
        CommandError: there is no scalar at ``path``.
    """
    _, node = _entry(text, path)
    if not isinstance(node, ScalarNode) or node.style not in (None, "'", '"'):
        raise _by_hand(path)
    quote = node.style or ""
    start, end = node.start_mark.index, node.end_mark.index
    return f"{text[:start]}{quote}{value}{quote}{text[end:]}"


def remove_entry(text: str, path: tuple[str, ...]) -> str:
    """Return ``text`` without the entry at ``path``; comments on lines of their own stay.

    Raises:
        CommandError: there is no such entry, it shares its lines with something else, or something
            else refers to a YAML anchor in it.
    """
    return _still_whole(_without_entry(text, path), path)


def _without_entry(text: str, path: tuple[str, ...]) -> str:
    _, parent = _entry(text, path[:-1])
    key, value = _entry(text, path)
    begin, end = key.start_mark.index, _end(value)
    if not isinstance(parent, MappingNode):
        raise _by_hand(path)
    if not parent.flow_style:
        begin = _line_begin(text, begin)
        if text[begin : key.start_mark.index].strip():
            raise _by_hand(path)
        return text[:begin] + text[_line_end(text, end) :]
    names = [each.value for each, _ in parent.value]
    index = names.index(path[-1])
    if index + 1 < len(names):
        return text[:begin] + text[parent.value[index + 1][0].start_mark.index :]
    before = _end(parent.value[index - 1][1]) if index else begin
    return text[:before] + text[end:]


def add_entry(text: str, path: tuple[str, ...], value: Value) -> str:
    """Return ``text`` with a new entry ``value`` at ``path``, in the style of its neighbours.

    It becomes the last entry of its parent, which must have an entry already.

    Raises:
        CommandError: the parent is not a mapping with entries.
    """
    _, parent = _entry(text, path[:-1])
    if not isinstance(parent, MappingNode) or not parent.value:
        raise _by_hand(path)
    last_key, last = parent.value[-1]
    end = _end(last)
    if parent.flow_style:
        return f"{text[:end]}, {path[-1]}: {_in_one_line(value)}{text[end:]}"
    margin = " " * last_key.start_mark.column
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = [f"{margin}{path[-1]}: {_in_one_line(value)}"]
    if isinstance(value, Mapping) and isinstance(last, MappingNode) and not last.flow_style:
        inner = " " * last.value[0][0].start_mark.column
        lines = [f"{margin}{path[-1]}:"]
        lines += [f"{inner}{key}: {_in_one_line(each)}" for key, each in value.items()]
    place = _line_end(text, end)
    before = text[:place] if text[:place].endswith("\n") else text[:place] + newline
    return before + newline.join(lines) + newline + text[place:]


def _entry(text: str, path: tuple[str, ...]) -> tuple[Node, Node]:
    """Return key and value at ``path``."""
    try:
        key = node = YAML(pure=True).compose(StringIO(text))
    except YAMLError as error:
        raise CommandError(f"the stack file{yaml_problem(error)}; correct the YAML") from None
    for depth, name in enumerate(path, start=1):
        pairs = node.value if isinstance(node, MappingNode) else []
        found = next(((k, v) for k, v in pairs if k.value == name), None)
        if found is None:
            raise _by_hand(path[:depth])
        key, node = found
    return key, node


def _still_whole(text: str, path: tuple[str, ...]) -> str:
    """Return ``text``, from which ``path`` was removed; raise where others referred to it."""
    try:
        YAML(pure=True).compose(StringIO(text))
    except YAMLError as error:
        undefined = _UNDEFINED.search(str(getattr(error, "problem", "")))
        if undefined is None:
            raise _by_hand(path) from None
        name = undefined[1]
        raise CommandError(
            f"{'.'.join(path)} holds the YAML anchor &{name}, to which another entry refers "
            f"(*{name}); write out there what it stands for, and run this again"
        ) from None
    return text


def _by_hand(path: tuple[str, ...]) -> CommandError:
    return CommandError(
        f"{'.'.join(path)} is not written in a way that can be edited; edit it by hand"
    )


def _end(node: Node) -> int:
    """Return where the text of ``node`` ends; ruamel ends a block only after later comments."""
    if isinstance(node, MappingNode) and not node.flow_style:
        return _end(node.value[-1][1])
    if isinstance(node, SequenceNode) and not node.flow_style:
        return _end(node.value[-1])
    return int(node.end_mark.index)


def _line_begin(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _line_end(text: str, position: int) -> int:
    """Return ``position`` if a line begins there, else the position where the next line begins."""
    if position and text[position - 1] == "\n":
        return position
    newline = text.find("\n", position)
    return len(text) if newline < 0 else newline + 1


def _in_one_line(value: Value) -> str:
    if isinstance(value, str | int):
        return scalar_text(value)
    if not isinstance(value, Mapping):
        return f"[{', '.join(map(scalar_text, value))}]"
    inner = ", ".join(f"{key}: {_in_one_line(each)}" for key, each in value.items())
    return f"{{{inner}}}"


def scalar_text(value: Scalar) -> str:
    """Return a scalar without quotes if it then reads back as itself, else in double quotes.

    Times are quoted although they need not be: the pulumi CLI rewrites unquoted times when it saves
    the file.
    """
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and YAML(typ="safe", pure=True).load(value) == value:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    shown = (char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped)
    return f'"{"".join(shown)}"'
