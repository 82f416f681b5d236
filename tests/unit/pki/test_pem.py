"""What is taken for a block is what OpenSSL takes for one; the rest is refused by its place."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.pem import blocks
from tests.unit.pki import material

ONE, TWO = material.root("g1"), material.root("g2")
DAMAGED = {
    "indented": (ONE + "".join(f"  {line}\n" for line in TWO.splitlines()), "block 2 is indented"),
    "tab": (ONE.replace("-----END", "\t-----END"), "block 1 is indented"),
    "joined": (ONE.rstrip() + TWO, "block 1 has BEGIN and END on one line"),
    "four dashes": (ONE.replace("-----BEGIN", "----BEGIN"), "block 1 has a damaged BEGIN or END"),
    "dash of a word processor": (
        ONE + TWO.replace("-----BEGIN CERTIFICATE-----", "\u2014BEGIN CERTIFICATE\u2014"),
        "block 2 has a damaged BEGIN or END",
    ),
    "text before": (ONE.replace("-----BEGIN", "ca: -----BEGIN"), "block 1 has a damaged BEGIN"),
    "text behind": (
        ONE.replace("CERTIFICATE-----\nM", "CERTIFICATE----- M"),
        "block 1 has a damag",
    ),
    "no begin": (ONE.partition("\n")[2], "block 1 has no BEGIN line"),
    "no end": (ONE.partition("-----END")[0] + TWO, "block 1 has no END line"),
    "cut off": (ONE + TWO[:200], "block 2 has no END line"),
    "two labels": (ONE.replace("END CERT", "END X509 CERT"), "block 1 begins as CERTIFICATE and"),
    "comment inside": (ONE.replace("-----END", "#-----END"), "block 1 has a damaged BEGIN or END"),
}
WHOLE = {
    "one": ONE,
    "two": ONE + TWO,
    "text around": f"subject=g1\n{ONE}issuer=g2\n{TWO}the end\n",
    "commented out": "".join(f"# {line}\n" for line in ONE.splitlines()) + TWO,
    "windows": ONE.replace("\n", "\r\n"),
    "blanks behind": ONE.replace("-----\n", "----- \t\n"),
    "no last line end": ONE.rstrip(),
    "indented body": ONE.replace("\n", "\n  ").replace("  -----END", "-----END"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_boundary_is_refused_and_no_line_is_repeated(name: str) -> None:
    text, message = DAMAGED[name]
    with pytest.raises(PkiError) as refused:
        blocks(text, origin="x")
    assert str(refused.value).startswith(f"x: {message}")
    assert not [line for line in text.splitlines() if len(line) > 30 and line in str(refused.value)]


@pytest.mark.parametrize("name", WHOLE)
def test_openssl_finds_as_many(name: str, tmp_path: Path) -> None:
    file = tmp_path / "text.pem"
    file.write_text(WHOLE[name], newline="")
    listed = subprocess.run(
        ["openssl", "storeutl", "-noout", "-certs", str(file)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = blocks(WHOLE[name], origin="x")
    assert f"Total found: {len(found)}" in listed
    assert [block.number for block in found] == [*range(1, len(found) + 1)]
