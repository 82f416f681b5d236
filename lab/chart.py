"""The RBAC objects of a Helm chart, without Helm.

So that cert-manager and trust-manager run in the lab with the rights that their charts give them
and no more, the charts' own templates are read. The RBAC templates use a small part of the template
language: ``if``/``else``, ``with``, ``range``, ``define``/``include``/``template``, values and
``quote``. Anything else is refused by name, so a chart that outgrows this reader is noticed at
once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lab.errors import LabError

_ACTION = re.compile(r"\{\{(-?)\s*(/\*.*?\*/|.*?)\s*(-?)\}\}", re.DOTALL)
# As Helm splits what it has rendered; a trimmed template may well give `---# comment`.
_SEPARATOR = re.compile(r"(?:^|\s*\n)---\s*")
_OPENING = ("if ", "with ", "range ", "define ")


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart directory and what stands for its helper templates.

    Attributes:
        directory: holds ``values.yaml`` and ``templates/``.
        names: text by name of a helper template, such as ``cert-manager.fullname``; a name that is
            not here is looked up in the chart's ``_helpers.tpl``.
    """

    directory: Path
    names: Mapping[str, str]

    def render(self, *templates: str) -> tuple[Mapping[str, Any], ...]:
        """The objects that the named files of ``templates/`` give with the chart's default values.

        Raises:
            LabError: a template uses what this reader does not know.
            OSError: no such chart or template.
        """
        values = yaml.safe_load((self.directory / "values.yaml").read_text(encoding="utf-8"))
        root = {"Values": values, "Release": {"Name": self.directory.name}}
        helpers = _parse((self.directory / "templates/_helpers.tpl").read_text(encoding="utf-8"))
        defines = {_text(b.action.split()[1]): b for b in helpers if isinstance(b, _Block)}
        objects: list[Mapping[str, Any]] = []
        for template in templates:
            source = (self.directory / "templates" / template).read_text(encoding="utf-8")
            scope = _Scope(names=self.names, defines=defines, root=root)
            try:
                text = scope.render(_parse(source))
            except _UnknownError as error:
                raise LabError(f"{self.directory.name}/templates/{template}: {error}") from error
            documents = (yaml.safe_load(part) for part in _SEPARATOR.split(text))
            objects.extend(document for document in documents if document)
        return tuple(objects)


class _UnknownError(Exception):
    pass


@dataclass(frozen=True)
class _Output:
    action: str


@dataclass
class _Block:
    """``action`` with its body; ``otherwise`` is what stands after ``else``."""

    action: str
    body: list[_Node] = field(default_factory=list)
    otherwise: list[_Node] = field(default_factory=list)


_Node = str | _Output | _Block


def _parse(source: str) -> list[_Node]:
    root = _Block("")
    stack = [root]  # the open blocks, innermost last
    target = root.body  # the list being filled
    for token in _tokens(source):
        if isinstance(token, str):
            target.append(token)
        elif token.action.startswith(_OPENING):
            block = _Block(token.action)
            target.append(block)
            stack.append(block)
            target = block.body
        elif token.action == "else":
            target = stack[-1].otherwise
        elif token.action.startswith("else "):
            # A block within the `else` that takes the outer one's place, since one `end` closes
            # both.
            block = _Block(token.action.removeprefix("else "))
            stack.pop().otherwise.append(block)
            stack.append(block)
            target = block.body
        elif token.action == "end":
            stack.pop()
            # The text after an `else` is there already, be it empty.
            target = stack[-1].otherwise or stack[-1].body
        else:
            target.append(token)
    return root.body


def _tokens(source: str) -> Iterator[str | _Output]:
    position, trim = 0, False
    for match in _ACTION.finditer(source):
        text = source[position : match.start()]
        text = text.lstrip() if trim else text
        yield text.rstrip() if match[1] else text
        if not match[2].startswith("/*"):
            yield _Output(" ".join(match[2].split()))
        position, trim = match.end(), bool(match[3])
    text = source[position:]
    yield text.lstrip() if trim else text


@dataclass(frozen=True, kw_only=True)
class _Scope:
    names: Mapping[str, str]
    defines: Mapping[str, _Block]
    root: Mapping[str, Any]
    dot: Any = None

    def render(self, nodes: Sequence[_Node]) -> str:
        return "".join(self._node(node) for node in nodes)

    def _node(self, node: _Node) -> str:
        if isinstance(node, str):
            return node
        if isinstance(node, _Output):
            return self._output(node.action)
        verb, _, expression = node.action.partition(" ")
        if verb == "define":
            return ""
        value = self._value(expression)
        if not value:
            return self.render(node.otherwise)
        if verb == "range":
            return "".join(self._at(item).render(node.body) for item in value)
        return (self._at(value) if verb == "with" else self).render(node.body)

    def _at(self, dot: Any) -> _Scope:
        return _Scope(names=self.names, defines=self.defines, root=self.root, dot=dot)

    def _output(self, action: str) -> str:
        if action.startswith("$") and ":=" in action:
            return ""
        expression, *filters = (part.strip() for part in action.split("|"))
        verb, _, rest = expression.partition(" ")
        if verb in ("include", "template"):
            text = self._helper(_text(rest.split()[0]))
        else:
            text = str(self._value(expression))
        for name in filters:
            text = _filter(name, text)
        return text

    def _helper(self, name: str) -> str:
        if name in self.names:
            return self.names[name]
        if name in self.defines:
            return self.render(self.defines[name].body)
        raise _UnknownError(f"unknown helper template {name!r}")

    def _value(self, expression: str) -> Any:
        if expression.startswith("not "):
            return not self._value(expression.removeprefix("not "))
        if expression == ".":
            return self.dot
        path = expression.replace("(", "").replace(")", "").removeprefix("$")
        if not re.fullmatch(r"\.(Values|Release)(\.\w+)+", path):
            raise _UnknownError(f"unknown expression {{{{ {expression} }}}}")
        value: Any = self.root
        for key in path.split(".")[1:]:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value


def _filter(name: str, text: str) -> str:
    verb, _, argument = name.partition(" ")
    if verb == "quote":
        return json.dumps(text)
    if verb in ("indent", "nindent"):
        indented = "\n".join(" " * int(argument) + line for line in text.splitlines())
        return f"\n{indented}" if verb == "nindent" else indented
    raise _UnknownError(f"unknown function {name!r}")


def _text(literal: str) -> str:
    return literal.strip('"')
