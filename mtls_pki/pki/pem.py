"""PEM text to its blocks: exactly what strict readers see in it, or a refusal.

RFC 7468, section 2 allows text around the blocks, and section 3 puts each boundary on a line of its
own. Readers differ in what they do with a damaged boundary: Go and OpenSSL pass such a block over
in silence and take the next one, others read it. So a text is refused where they could differ.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mtls_pki.pki.errors import PkiError

# What is meant for a boundary, whatever has happened to its dashes. A label may be cut off.
_MEANT = re.compile(
    r"^.*(?:-----(?:BEGIN|END)\b|\b(?:BEGIN|END) [A-Z0-9 ]*"
    r"(?:CERTIFICATE|KEY|PARAMETERS|REQUEST|CRL|PKCS7|CMS)\b[^A-Za-z0-9\n]*$).*$",
    re.MULTILINE,
)
_BOUNDARY = re.compile(r"-----(?P<side>BEGIN|END) (?P<label>[^\n-]*)-----[ \t\r]*")
_COMMENT = "#"
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block of a PEM text.

    Attributes:
        label: such as ``CERTIFICATE``.
        body: what stands between its boundaries.
        number: its place among the blocks of its text, counted from 1.
    """

    label: str
    body: str
    number: int

    @property
    def text(self) -> str:
        """The block alone, boundaries and all."""
        return f"-----BEGIN {self.label}-----{self.body}-----END {self.label}-----\n"


def blocks(text: str, *, origin: str) -> tuple[Block, ...]:
    """Return the blocks of ``text``, in their order; their bodies are not looked at.

    Args:
        text: blocks and any text around them; a line that begins with ``#`` is a comment.
        origin: where the text comes from, to begin the error message with.

    Raises:
        PkiError: a boundary is damaged, or belongs to no other.
    """
    text = text.removeprefix(_BYTE_ORDER_MARK)
    found: list[Block] = []
    begun: re.Match[str] | None = None
    begun_at = 0
    for line in _MEANT.finditer(text):
        block = f"{origin}: block {len(found) + 1}"
        if line[0].startswith(_COMMENT) and begun is None:
            continue
        boundary = _BOUNDARY.fullmatch(line[0])
        if boundary is None:
            raise PkiError(f"{block} {_damage(line[0])}")
        if boundary["side"] == "BEGIN":
            if begun is not None:
                raise PkiError(f"{block} has no END line; the text is cut off, copy it whole")
            begun, begun_at = boundary, line.end()
            continue
        if begun is None:
            raise PkiError(f"{block} has no BEGIN line; the text is cut off, copy it whole")
        if boundary["label"] != begun["label"]:
            raise PkiError(
                f"{block} begins as {begun['label']} and ends as {boundary['label']}; the text is "
                "damaged, copy it again"
            )
        body = text[begun_at : line.start()]
        found.append(Block(label=begun["label"], body=body, number=len(found) + 1))
        begun = None
    if begun is not None:
        raise PkiError(
            f"{origin}: block {len(found) + 1} has no END line; the text is cut off, copy it whole"
        )
    return tuple(found)


def _damage(line: str) -> str:
    """Return what is wrong with a line that was meant for a boundary; never what it says."""
    if _BOUNDARY.fullmatch(line.strip()):
        return (
            "is indented; remove the blanks before its lines (sed 's/^[[:blank:]]*//'), for "
            "verifiers pass such a block over"
        )
    if line.count("-----BEGIN") + line.count("-----END") > 1:
        return (
            "has BEGIN and END on one line, as files without a last line end make it when they "
            "are joined; give each a line of its own"
        )
    return (
        "has a damaged BEGIN or END line: five '-' on both sides and nothing else belong there; "
        "copy the text again"
    )
