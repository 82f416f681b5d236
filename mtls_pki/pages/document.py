"""What a page is made of, before it is Markdown or HTML: blocks of lines, and nothing marked up.

Only the two renderers know what their language takes for markup, so that no text of a preview can
be one. ``room`` is how many characters of Markdown a block may take.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """A name, a command or a value."""

    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Strong:
    """What is read first."""

    text: str


Line = tuple[str | Code | Strong, ...]
"""Parts of a line in their order; a plain string is prose."""


class Tone(enum.StrEnum):
    """How a callout is meant; the values are GitHub's alerts."""

    SAFE = "TIP"
    NOTE = "NOTE"
    WARNING = "WARNING"
    STOP = "CAUTION"


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A heading, ``level`` 2 to 4."""

    level: int
    line: Line


@dataclass(frozen=True, kw_only=True)
class Callout:
    """The answer, set apart."""

    tone: Tone
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True)
class Paragraph:
    """Prose."""

    line: Line


@dataclass(frozen=True, kw_only=True)
class Item:
    """An entry of a list, and the entries below it."""

    line: Line
    below: tuple[Line, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Bullets:
    """A list; entries that do not fit are counted."""

    items: tuple[Item, ...]
    room: int = 2_000


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; rows that do not fit are counted."""

    head: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    room: int = 5_000


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Lines of a diff, folded below ``summary``; they take what room the page has left."""

    summary: str
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Signer:
    """An issuer of the picture, and how many Certificates name it."""

    name: str
    certificates: int


@dataclass(frozen=True, kw_only=True)
class AnchorBox:
    """An anchor of the picture.

    Attributes:
        generation: its name.
        role: a role's word; the boxes have its colour.
        bundled: whether the trust bundles hold it.
        signers: the issuers below it.
    """

    generation: str
    role: str
    bundled: bool
    signers: tuple[Signer, ...]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """The domain at one time: how many trust bundles there are, and its anchors."""

    bundles: int
    anchors: tuple[AnchorBox, ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The domain before and after."""

    before: Scene
    after: Scene


Block = Heading | Callout | Paragraph | Bullets | Table | Folded | Picture


@dataclass(frozen=True, kw_only=True)
class Document:
    """A page: ``marker`` is how a program finds the page again among others."""

    marker: str
    title: str
    blocks: tuple[Block, ...]
