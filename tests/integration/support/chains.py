"""Chains that the real cert-manager issued, judged by those who know nothing of this project."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from cryptography import x509

from tests.chains.lint import findings
from tests.chains.test_chains import ALLOWED_FINDINGS
from tests.chains.verifiers import VERIFIERS

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def blocks(pem: str) -> list[str]:
    """The certificates of a PEM text, one each, with a newline at the end."""
    return [f"{block}\n" for block in _BLOCK.findall(pem)]


def assert_chain_holds(
    chain: str, roots: str, host: str, *, allowed: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Every verifier accepts the chain now, and the linter finds what is allowed and no more.

    Args:
        chain: as a server presents it: leaf first.
        roots: the trust bundle.
        host: a DNS name of the leaf.
        allowed: what the linter may say of this leaf beside what it may say of all: code -> reason.
    """
    for name, verify in VERIFIERS.items():
        verdict = verify(chain, roots, host, None)
        if not verdict.accepted:
            pytest.fail(f"{name} refuses the chain of {host}: {verdict.reason}")
    presented = blocks(chain)
    leaf, *authorities = presented
    above = [*authorities, _signer(presented[-1], roots)]
    allowed_of_all = {code for kind, code in ALLOWED_FINDINGS if kind == "leaf"}
    assert findings(leaf, issuer_pem=above[0]) - allowed_of_all == set(allowed)
    for authority, issuer in zip(authorities, above[1:], strict=True):
        assert not findings(authority, issuer_pem=issuer)
    for root in blocks(roots):
        assert not findings(root)


def _signer(certificate: str, roots: str) -> str:
    """The root that signed; a bundle has them in the order of their fingerprints."""
    signed = x509.load_pem_x509_certificate(certificate.encode())
    names = {x509.load_pem_x509_certificate(root.encode()).subject: root for root in blocks(roots)}
    return names[signed.issuer]


def openssl_complaint(chain: str, roots: str, *options: str) -> str:
    """What ``openssl verify`` says against a chain (leaf first), empty where it has nothing to say.

    For leaves with one purpose, and for chains that are judged whatever their dates are: the
    verifiers of :func:`assert_chain_holds` want a server and a client of now.
    """
    with tempfile.TemporaryDirectory() as directory:
        for name, text in (("chain.pem", chain), ("roots.pem", roots)):
            Path(directory, name).write_text(text)
        done = subprocess.run(
            [
                *("openssl", "verify", "-x509_strict", *options),
                *("-CAfile", "roots.pem", "-untrusted", "chain.pem", "chain.pem"),
            ],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
    return "" if done.returncode == 0 else done.stderr or "refused"


def assert_chain_is_refused(chain: str, roots: str, host: str) -> None:
    """Every verifier refuses the chain."""
    verdicts = {name: verify(chain, roots, host, None) for name, verify in VERIFIERS.items()}
    assert not [name for name, verdict in verdicts.items() if verdict.accepted]
