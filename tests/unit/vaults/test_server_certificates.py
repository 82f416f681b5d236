"""Why a Vault's own certificate is not accepted, told by what is wrong with it."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from mtls_pki.backends.vault.connection import Vault
from mtls_pki.backends.vault.transport import VaultAddress, VaultError
from mtls_pki.pki.certificates import Validity
from tests.unit.pki import material

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
NOW_VALID = Validity(NOW - DAY, NOW + DAY)
HERE = "127.0.0.1"


@contextmanager
def presenting(directory: Path, authority: str, validity: Validity, address: str) -> Iterator[str]:
    """A server that closes every connection after its handshake; gives the URL."""
    issuer = material.parsed(material.root(authority, validity=NOW_VALID))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
    pem = material.certificate(
        key=material.key("vault"),
        subject="vault",
        issuer=issuer.subject,
        issuer_key=material.key(authority),
        validity=validity,
        extensions=[(names, False), (material.authority_key_id(issuer), False)],
        serial=2,
    )
    own = directory / "vault.pem"
    own.write_text(material.key_pem("vault") + pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    with socket.create_server((HERE, 0)) as server:

        def shake_hands() -> None:
            connection, _ = server.accept()
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()  # the client has hung up, as it should

        thread = threading.Thread(target=shake_hands)
        thread.start()
        try:
            yield f"https://{HERE}:{server.getsockname()[1]}"
        finally:
            thread.join()


@pytest.mark.parametrize(
    ("authority", "validity", "address", "said"),
    [
        ("other", NOW_VALID, HERE, "give the CA that signed it as issuing.vault.caBundle"),
        ("ours", Validity(NOW - 2 * DAY, NOW - DAY), HERE, "renew it, or set this machine's"),
        ("ours", Validity(NOW + DAY, NOW + 2 * DAY), HERE, "set the clock right"),
        ("ours", NOW_VALID, "127.0.0.2", "write an address that it names (issuing.vault)"),
    ],
    ids=["unknown CA", "ended", "not begun", "another address"],
)
def test_what_is_wrong_with_it_decides_the_remedy(
    tmp_path: Path, authority: str, validity: Validity, address: str, said: str
) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(material.root("ours", validity=NOW_VALID))
    with (
        presenting(tmp_path, authority, validity, address) as url,
        pytest.raises(VaultError) as told,
    ):
        Vault(VaultAddress(url=url, ca_file=ca_file)).server()
    assert str(told.value).startswith(f"{url} shows a certificate that {ca_file} does not verify (")
    assert said in str(told.value)


def test_a_good_one_is_no_reason(tmp_path: Path) -> None:
    """The positive control: the server that says nothing else is only not a Vault."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(material.root("ours", validity=NOW_VALID))
    with (
        presenting(tmp_path, "ours", NOW_VALID, HERE) as url,
        pytest.raises(VaultError) as told,
    ):
        Vault(VaultAddress(url=url, ca_file=ca_file)).server()
    assert "shows a certificate" not in str(told.value)
    assert "cannot be reached" in str(told.value)
