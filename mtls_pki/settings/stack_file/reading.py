"""Reading the stack file: which file it is, and what it says; no passphrase is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import ScalarNode

from mtls_pki.errors import CommandError
from mtls_pki.settings.extensions import Extensions
from mtls_pki.settings.load import load_settings
from mtls_pki.settings.model import Settings
from mtls_pki.settings.types import UnreadSecret

STACK_VARIABLE = "PULUMI_STACK"
DEFAULT_STACK = "dev"
_PROJECT_FILE = "Pulumi.yaml"


class _Constructor(SafeConstructor):
    """Makes plain data. Times stay text, because the engine hands them over as text too."""


def _as_text(_: SafeConstructor, node: ScalarNode) -> str:
    return str(node.value)


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _as_text)


@dataclass(frozen=True, kw_only=True)
class StackFile:
    """One stack's file.

    Attributes:
        path: of ``Pulumi.<stack>.yaml``; its directory is the project's.
        project: the project's name, which prefixes every key.
        text: the file as it is, line ends included.
        defaults: values of the project's own file for keys that the stack's does not have.
        extensions: the backends and consumers that it may name.
    """

    path: Path
    project: str
    text: str
    defaults: Mapping[str, Any]
    extensions: Extensions

    @property
    def stack(self) -> str:
        """The stack's name."""
        return self.path.name.removeprefix("Pulumi.").removesuffix(".yaml")

    def values(self) -> dict[str, Any]:
        """Return the project's configuration: key without prefix -> value, secrets unread.

        Raises:
            CommandError: the file is not YAML, or not a stack file.
        """
        config = _mapping(parse_yaml(self.text, self.path).get("config"), self.path, "config")
        prefix = f"{self.project}:"
        own = {
            str(key).removeprefix(prefix): _without_secrets(value)
            for key, value in config.items()
            if str(key).startswith(prefix)
        }
        return {**self.defaults, **own}

    def settings(self) -> Settings:
        """Return what the file says, checked as `pulumi up` would check it.

        Raises:
            CommandError: the file cannot be read.
            SettingsError: with every mistake in it.
        """
        values = self.values()
        return load_settings(
            values,
            source=self.path.name,
            directory=self.path.parent,
            owner=f"{self.project}/{self.stack}",
            secret_keys={key for key, value in values.items() if _holds_secret(value)},
            extensions=self.extensions,
        )


def open_stack_file(
    directory: Path,
    stack: str | None,
    environment: Mapping[str, str],
    extensions: Extensions,
) -> StackFile:
    """Return the file of ``stack`` in the project ``directory``.

    Args:
        directory: of ``Pulumi.yaml``.
        stack: None for the selected one: what ``PULUMI_STACK`` names, else the only stack file,
            else ``dev``.
        environment: where ``PULUMI_STACK`` is looked up.
        extensions: the backends and consumers that the file may name.

    Raises:
        CommandError: there is no project or no such file, or it cannot be read.
    """
    project_file = directory / _PROJECT_FILE
    project = parse_yaml(_read(project_file, "run this in the project's directory"), project_file)
    found = sorted(
        path.name.removeprefix("Pulumi.").removesuffix(".yaml")
        for path in directory.glob("Pulumi.*.yaml")
    )
    chosen = stack or environment.get(STACK_VARIABLE)
    if not chosen:
        chosen = found[0] if len(found) == 1 else DEFAULT_STACK
    # A full name is organisation/project/stack; the file has the last part (pulumi, workspace).
    chosen = chosen.rsplit("/", 1)[-1]
    path = directory / f"Pulumi.{chosen}.yaml"
    there = ", ".join(found) or "none"
    name = str(project.get("name", ""))
    return StackFile(
        path=path,
        project=name,
        text=_read(path, f"name a stack with --stack; there are: {there}"),
        defaults=dict(_project_values(project, name, project_file)),
        extensions=extensions,
    )


def parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """Return the document as plain data.

    Raises:
        CommandError: it is not YAML, or not a mapping.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        return _mapping(yaml.load(text), path, "the file")
    except YAMLError as error:
        raise CommandError(f"{path.name}{yaml_problem(error)}; correct the YAML") from None


def yaml_problem(error: YAMLError) -> str:
    """Return line and problem of a YAML error, for a message; never text of the file."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
        return f", line {error.problem_mark.line + 1}: {error.problem}"
    return ": not YAML"


def _project_values(project: Mapping[str, Any], name: str, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield what the project's file sets for every stack: ``default`` or ``value`` of a key."""
    for key, entry in _mapping(project.get("config"), path, "config").items():
        namespace, colon, rest = str(key).rpartition(":")
        if colon and namespace != name:
            continue
        given = entry if isinstance(entry, dict) else {"value": entry}
        for source in ("value", "default"):
            if source in given:
                yield rest, _without_secrets(given[source])
                break


def _mapping(value: Any, path: Path, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise CommandError(f"{path.name}: {what} is no mapping; write `key: value` lines")
    return value


def _read(path: Path, remedy: str) -> str:
    try:
        # Line ends are kept: an edit must not change lines that it does not touch.
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except FileNotFoundError:
        raise CommandError(f"{path.name} does not exist in {path.parent}; {remedy}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read ({error}); it must be UTF-8 text") from None


def _without_secrets(value: Any) -> Any:
    """Return ``value`` with every ``{secure: CIPHERTEXT}`` in it as an unread secret."""
    if isinstance(value, dict):
        if list(value) == ["secure"]:
            return UnreadSecret()
        return {str(key): _without_secrets(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_secrets(each) for each in value]
    return value


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_secret, value.values()))
    if isinstance(value, list):
        return any(map(_holds_secret, value))
    return isinstance(value, UnreadSecret)
