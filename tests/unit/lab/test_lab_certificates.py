"""The control plane's own keys and certificates."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab import certificates
from lab.certificates import Pair, Subject, ensure_authority, ensure_key_pair, ensure_leaf

SERVER = Subject(common_name="kube-apiserver", addresses=("127.0.0.1", "localhost"))


@pytest.fixture
def authority(tmp_path: Path) -> Pair:
    pair = Pair.at(tmp_path / "ca")
    ensure_authority(pair, "dev cluster CA")
    return pair


def read(pair: Pair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate.read_bytes())


def test_an_authority_is_a_ca_and_is_kept(authority: Pair) -> None:
    certificate = read(authority)
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca

    ensure_authority(authority, "dev cluster CA")

    assert read(authority) == certificate


def test_a_client_certificate_carries_user_and_groups(authority: Pair, tmp_path: Path) -> None:
    pair = Pair.at(tmp_path / "alice")
    ensure_leaf(pair, Subject(common_name="alice", organizations=("a", "b")), authority=authority)
    certificate = read(pair)

    certificate.verify_directly_issued_by(read(authority))
    assert certificate.subject.rfc4514_string() == "CN=alice,O=b,O=a"
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert pair.key.stat().st_mode & 0o777 == 0o600
    assert certificate.not_valid_before_utc < dt.datetime.now(dt.UTC) - dt.timedelta(minutes=4)


def test_a_server_certificate_names_its_addresses(authority: Pair, tmp_path: Path) -> None:
    pair = Pair.at(tmp_path / "server")
    ensure_leaf(pair, SERVER, authority=authority)

    extensions = read(pair).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("127.0.0.1")]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert ExtendedKeyUsageOID.SERVER_AUTH in usage


def test_a_good_leaf_is_kept(authority: Pair, tmp_path: Path) -> None:
    pair = Pair.at(tmp_path / "server")
    ensure_leaf(pair, SERVER, authority=authority)
    before = pair.certificate.read_bytes()

    ensure_leaf(pair, SERVER, authority=authority)

    assert pair.certificate.read_bytes() == before


@pytest.mark.parametrize("damage", ["other key", "no key", "rubbish", "other authority"])
def test_a_bad_leaf_is_made_anew(authority: Pair, tmp_path: Path, damage: str) -> None:
    pair, other = Pair.at(tmp_path / "server"), Pair.at(tmp_path / "other")
    ensure_leaf(pair, SERVER, authority=authority)
    ensure_leaf(other, SERVER, authority=authority)
    if damage == "other key":
        other.key.replace(pair.key)
    elif damage == "no key":
        pair.key.unlink()
    elif damage == "rubbish":
        pair.certificate.write_text("rubbish")
    else:
        authority.key.unlink()
        ensure_authority(authority, "dev cluster CA")
    before = pair.certificate.read_bytes()

    ensure_leaf(pair, SERVER, authority=authority)

    assert pair.certificate.read_bytes() != before
    read(pair).verify_directly_issued_by(read(authority))


def test_a_changed_subject_makes_a_new_leaf(authority: Pair, tmp_path: Path) -> None:
    pair = Pair.at(tmp_path / "server")
    ensure_leaf(pair, SERVER, authority=authority)
    more = Subject(common_name="kube-apiserver", addresses=("127.0.0.1", "localhost", "::1"))

    ensure_leaf(pair, more, authority=authority)

    names = read(pair).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("::1") in names.get_values_for_type(x509.IPAddress)


def test_a_leaf_near_its_end_is_made_anew(
    authority: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = Pair.at(tmp_path / "server")
    with monkeypatch.context() as patch:
        patch.setattr(certificates, "_LEAF_LIFETIME", dt.timedelta(days=29))
        ensure_leaf(pair, SERVER, authority=authority)
    before = read(pair).not_valid_after_utc

    ensure_leaf(pair, SERVER, authority=authority)

    assert read(pair).not_valid_after_utc > before


def test_the_token_key_is_kept_and_its_public_half_restored(tmp_path: Path) -> None:
    private, public = tmp_path / "sa.key", tmp_path / "sa.pub"
    ensure_key_pair(private, public)
    key, half = private.read_bytes(), public.read_bytes()
    public.unlink()

    ensure_key_pair(private, public)

    assert (private.read_bytes(), public.read_bytes()) == (key, half)
    assert b"PUBLIC KEY" in half
