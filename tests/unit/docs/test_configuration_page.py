"""docs/configuration.md names every key of the settings, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

from mtls_pki.registry import extensions
from mtls_pki.settings.model import settings_model
from mtls_pki.settings.section import Section

_PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"
_CODE = re.compile(r"`([^`]+)`")


def _sections(annotation: Any) -> set[type[Section]]:
    found = set()
    if isinstance(annotation, type) and issubclass(annotation, Section):
        found.add(annotation)
        for field in annotation.model_fields.values():
            found |= _sections(field.annotation)
    for argument in get_args(annotation):
        found |= _sections(argument)
    return found


def _keys() -> set[str]:
    return {
        str(f.alias)
        for s in _sections(settings_model(extensions()))
        for f in s.model_fields.values()
    }


def test_every_key_of_the_settings_is_on_the_page() -> None:
    written = set(re.findall(r"\w+", " ".join(_CODE.findall(_PAGE.read_text(encoding="utf-8")))))
    assert _keys() - written == set()


def test_every_key_in_the_tables_first_column_exists() -> None:
    rows = [line.split("|")[1] for line in _PAGE.read_text().splitlines() if line.startswith("| ")]
    written = {
        key for row in rows for code in _CODE.findall(row) for key in re.findall(r"\w+", code)
    }
    assert written - _keys() - {"name", "generation"} == set()
