"""The ``pkilint`` RFC 5280 linter, for a certificate alone and for it together with its issuer."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from pkilint.bin import lint_pkix_cert, lint_pkix_signer_signee_cert_chain


def findings(pem: str, *, issuer_pem: str | None = None) -> frozenset[str]:
    """Return the codes of what the linter finds, from notice to fatal.

    Args:
        pem: the certificate, exactly one.
        issuer_pem: its issuer, exactly one, to look at both together as well.
    """
    with tempfile.TemporaryDirectory() as directory:
        certificate = _write(directory, "certificate", pem)
        found = _run(lint_pkix_cert.main, certificate)
        if issuer_pem:
            issuer = _write(directory, "issuer", issuer_pem)
            found |= _run(lint_pkix_signer_signee_cert_chain.main, issuer, certificate)
    return found


def _write(directory: str, name: str, pem: str) -> str:
    path = Path(directory) / f"{name}.pem"
    path.write_text(pem)
    return str(path)


def _run(linter: Callable[[list[str]], int], *files: str) -> frozenset[str]:
    """Run a linter's console script in this process and return the codes that it reports."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        linter(["lint", "--severity", "NOTICE", "--format", "JSON", *files])
    results = json.loads(output.getvalue())["results"]
    return frozenset(
        finding["code"] for result in results for finding in result["finding_descriptions"]
    )
