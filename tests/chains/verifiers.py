"""Independent verifiers of certificate chains, behind one signature.

Each entry of `VERIFIERS` takes the leaf with what is presented beside it (PEM, leaf first), the
trusted roots (PEM), the host name, and the instant to verify at (aware; None is now). It accepts a
chain that is good for a mutual TLS peer: as a server of that name *and* as a client.

They share nothing with the code under test, nor with each other. A verifier that is not installed
fails the test with one line that says what to install; it is never skipped.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

HERE = Path(__file__).parent
SERVER_AUTH, CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"

_PACKAGES = {
    "openssl": "openssl",
    "certtool": "gnutls-bin",
    "go": "Go 1.24 or later",
    "cc": "a C compiler such as gcc",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a verifier says.

    Attributes:
        accepted: whether the chain holds, as a server and as a client.
        reason: the verifier's own words.
    """

    accepted: bool
    reason: str


Verifier = Callable[[str, str, str, datetime | None], Verdict]


def openssl(leaf_pem_chain: str, roots_pem: str, hostname: str, at: datetime | None) -> Verdict:
    """``openssl verify -x509_strict``: RFC 5280 to the letter, key ids included."""
    leaf, rest = _split(leaf_pem_chain)
    with tempfile.TemporaryDirectory() as directory:
        files = _write(directory, leaf=leaf, rest=rest, roots=roots_pem)
        command = [_tool("openssl"), "verify", "-x509_strict", "-check_ss_sig"]
        command += ["-CAfile", files["roots"], "-no-CApath", "-no-CAstore"]
        command += ["-untrusted", files["rest"]] if rest else []
        command += ["-attime", str(int(at.timestamp()))] if at else []
        return _all(
            _run([*command, "-purpose", "sslclient", files["leaf"]]),
            _run([*command, "-purpose", "sslserver", "-verify_hostname", hostname, files["leaf"]]),
        )


def gnutls(leaf_pem_chain: str, roots_pem: str, hostname: str, at: datetime | None) -> Verdict:
    """``certtool --verify``: GnuTLS."""
    with tempfile.TemporaryDirectory() as directory:
        files = _write(directory, chain=leaf_pem_chain, roots=roots_pem)
        command = [_tool("certtool"), "--verify", "--infile", files["chain"]]
        command += ["--load-ca-certificate", files["roots"], "--verify-profile", "medium"]
        environment = dict(os.environ)
        if at:
            environment |= {"LD_PRELOAD": str(_attime()), "VERIFY_AT": str(int(at.timestamp()))}
        return _all(
            _run([*command, "--verify-purpose", CLIENT_AUTH], environment),
            _run(
                [*command, "--verify-purpose", SERVER_AUTH, "--verify-hostname", hostname],
                environment,
            ),
        )


def cryptography(
    leaf_pem_chain: str, roots_pem: str, hostname: str, at: datetime | None
) -> Verdict:
    """``cryptography.x509.verification``: the profile of the web PKI."""
    leaf, *rest = x509.load_pem_x509_certificates(leaf_pem_chain.encode())
    store = Store(x509.load_pem_x509_certificates(roots_pem.encode()))
    # The builder takes UTC without a zone.
    instant = (at or datetime.now(UTC)).astimezone(UTC).replace(tzinfo=None)
    builder = PolicyBuilder().store(store).time(instant)
    try:
        builder.build_client_verifier().verify(leaf, rest)
        builder.build_server_verifier(x509.DNSName(hostname)).verify(leaf, rest)
    except VerificationError as error:
        return Verdict(accepted=False, reason=str(error))
    return Verdict(accepted=True, reason="verified")


def go(leaf_pem_chain: str, roots_pem: str, hostname: str, at: datetime | None) -> Verdict:
    """Go's ``crypto/x509``: what cert-manager, istiod and most workloads use."""
    with tempfile.TemporaryDirectory() as directory:
        files = _write(directory, chain=leaf_pem_chain, roots=roots_pem)
        command = [str(_goverify()), files["chain"], files["roots"], hostname]
        return _run([*command, *([at.astimezone(UTC).isoformat()] if at else [])])


VERIFIERS: dict[str, Verifier] = {
    "openssl": openssl,
    "gnutls": gnutls,
    "cryptography": cryptography,
    "go": go,
}


def _split(chain_pem: str) -> tuple[str, str]:
    """Return the first certificate and the rest."""
    end = "-----END CERTIFICATE-----\n"
    leaf, _, rest = chain_pem.partition(end)
    return leaf + end, rest


def _write(directory: str, **texts: str) -> dict[str, str]:
    files = {name: Path(directory) / f"{name}.pem" for name in texts}
    for name, path in files.items():
        path.write_text(texts[name])
    return {name: str(path) for name, path in files.items()}


def _run(command: list[str], environment: dict[str, str] | None = None) -> Verdict:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    # Anything but 0 and 1 or 2 ("does not verify") would be a crash, taken for a refusal.
    assert done.returncode in (0, 1, 2), f"{command} ended with {done.returncode}: {done.stderr}"
    return Verdict(accepted=done.returncode == 0, reason=(done.stdout + done.stderr).strip())


def _all(*verdicts: Verdict) -> Verdict:
    """Return the first refusal, or the last acceptance."""
    return next((verdict for verdict in verdicts if not verdict.accepted), verdicts[-1])


def _tool(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.fail(f"{name} is not on PATH; install {_PACKAGES[name]}", pytrace=False)
    return found


@cache
def _build_directory() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="mtls-pki-verifiers-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def _build(command: Iterable[str], *, cwd: Path, **environment: str) -> None:
    done = subprocess.run(
        [*command], cwd=cwd, env=os.environ | environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@cache
def _goverify() -> Path:
    binary = _build_directory() / "goverify"
    command = (_tool("go"), "build", "-trimpath", "-o", str(binary), ".")
    # No dependencies, so nothing is fetched: neither modules nor another toolchain.
    _build(command, cwd=HERE / "goverify", CGO_ENABLED="0", GOTOOLCHAIN="local", GOPROXY="off")
    return binary


@cache
def _attime() -> Path:
    library = _build_directory() / "attime.so"
    command = (_tool("cc"), "-shared", "-fPIC", "-O1", "-o", str(library), "attime.c")
    _build(command, cwd=HERE / "attime")
    return library
