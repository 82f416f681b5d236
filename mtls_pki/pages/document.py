"""What a page is made of, before it is Markdown, HTML or a terminal's output: blocks of lines.

Texts are made fit to be shown (``mtls_pki.rotation.text``) when a part of a page is built, so a
document cannot hold a private key, a control character or a line break inside a line. Only the
renderers know what their language takes for markup, so no text can be markup either. ``room`` is
how many characters of Markdown a block may take.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from mtls_pki.rotation.text import one_line, part_of_line, row


def _make_fit(part: object, *names: str) -> None:
    """Make the texts of these attributes fit to be shown."""
    for name in names:
        object.__setattr__(part, name, one_line(getattr(part, name)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """A name, a command or a value."""

    text: str

    def __post_init__(self) -> None:
        _make_fit(self, "text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Strong:
    """What is read first."""

    text: str

    def __post_init__(self) -> None:
        _make_fit(self, "text")


Part = str | Code | Strong
"""A part of a line; a plain string is prose."""


@dataclass(frozen=True, slots=True, init=False)
class Line:
    """Parts of a line in their order, without white space at its ends."""

    parts: tuple[Part, ...]

    def __init__(self, *parts: Part) -> None:
        """Take the parts; prose is made fit here, ``Code`` and ``Strong`` are so already."""
        fit = [part_of_line(part) if isinstance(part, str) else part for part in parts]
        shown = [part for part in fit if _text(part)]
        for end, stripped in ((0, str.lstrip), (-1, str.rstrip)):
            _trim(shown, end, stripped)
        object.__setattr__(self, "parts", tuple(shown))

    @property
    def text(self) -> str:
        """What a reader reads."""
        return "".join(map(_text, self.parts))


def with_code(text: str) -> tuple[Part, ...]:
    """Return a message as parts: what stands in backticks is a command or a key of a file."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return (text,)
    return tuple(Code(text=part) if n % 2 else part for n, part in enumerate(parts) if part)


def _trim(parts: list[Part], end: int, stripped: Callable[[str], str]) -> None:
    """Take white space away at one end, and prose that is nothing else."""
    while parts and isinstance(part := parts[end], str):
        parts[end] = stripped(part)
        if parts[end]:
            return
        parts.pop(end)


def _text(part: Part) -> str:
    return part if isinstance(part, str) else part.text


class Tone(enum.StrEnum):
    """How a callout is meant; the values are GitHub's alerts."""

    SAFE = "TIP"
    NOTE = "NOTE"
    WARNING = "WARNING"
    STOP = "CAUTION"


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A heading, ``level`` 1 to 4."""

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
    """A list, ``numbered`` or not; entries that do not fit are counted."""

    items: tuple[Item, ...]
    room: int = 2_000
    numbered: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; rows that do not fit are counted."""

    head: tuple[str, ...]
    rows: tuple[tuple[Line, ...], ...]
    room: int = 5_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "head", tuple(map(one_line, self.head)))


@dataclass(frozen=True, kw_only=True)
class Folded:
    """Lines of a diff, folded below ``summary``; they take what room the page has left."""

    summary: str
    lines: tuple[str, ...]

    def __post_init__(self) -> None:
        _make_fit(self, "summary")
        object.__setattr__(self, "lines", tuple(map(row, self.lines)))


@dataclass(frozen=True, kw_only=True)
class Quoted:
    """Lines that others wrote, as they are; those that do not fit are counted."""

    lines: tuple[str, ...]
    room: int = 20_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(map(row, self.lines)))


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Events in their order: when, and what."""

    title: str
    events: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        _make_fit(self, "title")
        fit = tuple((one_line(when), one_line(what)) for when, what in self.events)
        object.__setattr__(self, "events", fit)


@dataclass(frozen=True, kw_only=True)
class Signer:
    """An issuer of the picture, and how many Certificates name it."""

    name: str
    certificates: int

    def __post_init__(self) -> None:
        _make_fit(self, "name")


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

    def __post_init__(self) -> None:
        _make_fit(self, "generation", "role")


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


class Column(enum.StrEnum):
    """The columns of a cluster's drawing, from left to right."""

    BUNDLES = "bundles"
    ANCHORS = "anchors"
    ISSUERS = "issuers"
    LEAVES = "leaves"


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box of a drawing: where it stands, and its two lines.

    ``style`` is a role's word, ``problem``, or empty; colours follow it.
    """

    column: Column
    row: int
    first: str
    second: str
    style: str = ""

    def __post_init__(self) -> None:
        _make_fit(self, "first", "second", "style")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What one cluster holds: boxes in columns, and the pairs of boxes that belong together."""

    title: str
    boxes: tuple[Box, ...]
    edges: tuple[tuple[Box, Box], ...]

    def __post_init__(self) -> None:
        _make_fit(self, "title")


@dataclass(frozen=True, kw_only=True)
class Drawings:
    """A drawing for each cluster; those that do not fit are counted."""

    drawings: tuple[Drawing, ...]
    room: int = 20_000


Block = (
    Heading
    | Callout
    | Paragraph
    | Bullets
    | Table
    | Folded
    | Quoted
    | Timeline
    | Picture
    | Drawings
)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A page: ``marker`` is how a program finds the page again among others; empty for none."""

    marker: str
    title: str
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        _make_fit(self, "marker", "title")
