"""CAs made elsewhere: a good one is taken, and each thing wrong with a bad one is said."""

from __future__ import annotations

import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.chain import check_root, verify_issuing_ca
from mtls_pki.pki.requests import certificate_signing_request
from tests.unit.pki import material
from tests.unit.pki.material import KEY_KINDS, ONE_YEAR, TEN_YEARS, key, key_pem, parsed

LEAF_KEY_USAGE = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
SERVER_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
ANY_PURPOSE = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
SERVER_AND_CLIENT = x509.ExtendedKeyUsage(
    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
)
NO_CA = (x509.BasicConstraints(ca=False, path_length=None), True)

Change = dict[str, tuple[x509.ExtensionType, bool] | None]

# What to change in a good CA's extensions (None: leave out), and how the mistake begins.
SPOILED: dict[str, tuple[Change, str]] = {
    "no constraints": ({"constraints": None}, "is no CA; its basic constraints must say CA:TRUE"),
    "not a ca": ({"constraints": NO_CA}, "is no CA; its basic constraints must say CA:TRUE"),
    "constraints not critical": (
        {"constraints": (x509.BasicConstraints(ca=True, path_length=0), False)},
        "'s basic constraints are not critical",
    ),
    "no key usage": ({"usage": None}, "may not sign certificates; its key usage must have"),
    "leaf usage": ({"usage": (LEAF_KEY_USAGE, True)}, "may not sign certificates; its key usage"),
    "no ski": ({"ski": None}, "has no subject key id"),
    "any purpose": (
        {"purposes": (ANY_PURPOSE, False)},
        "has an extended key usage without server and client authentication",
    ),
    "unknown critical extension": (
        {"strange": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0"), True)},
        "has a critical extension for which verifiers refuse it: 1.2.3.4; make it without that",
    ),
    "server only": (
        {"purposes": (SERVER_ONLY, False)},
        "has an extended key usage without server and client authentication",
    ),
}


def _spoil(
    extensions: dict[str, tuple[x509.ExtensionType, bool]], change: Change
) -> list[tuple[x509.ExtensionType, bool]]:
    return [extension for extension in (extensions | change).values() if extension]


def _brought_root(change: Change | None = None, kind: str = "p256", **fields: Any) -> str:
    own = material.unchecked_key("brought", kind)
    extensions = _spoil(material.ca_extensions(own, path_length=1), change or {})
    return material.certificate(
        **{"key": own, "subject": "brought root", "validity": TEN_YEARS} | fields,
        extensions=extensions,
    )


def _brought_issuing(change: Change | None = None, **fields: Any) -> str:
    root = parsed(_brought_root())
    extensions = _spoil(material.ca_extensions(key("i"), issuer=root), change or {})
    return material.certificate(
        **{
            "key": key("i"),
            "subject": "brought issuing",
            "issuer": root.subject,
            "issuer_key": key("brought"),
        }
        | fields,
        extensions=extensions,
    )


def _judge(issuing_pem: str, *, key_of: str = "i", root_pem: str | None = None) -> tuple[str, ...]:
    return verify_issuing_ca(issuing_pem, key_pem(key_of), root_pem or _brought_root())


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_good_root_has_no_mistake(kind: str) -> None:
    assert check_root(_brought_root(kind=kind)) == ()
    for path_length in (None, 0, 1, 2):
        assert check_root(material.root("g1", kind=kind, path_length=path_length)) == ()


def test_an_authority_key_id_of_its_own_is_fine_on_a_root() -> None:
    own = parsed(_brought_root())
    assert check_root(_brought_root({"aki": (material.authority_key_id(own), False)})) == ()


@pytest.mark.parametrize("name", SPOILED)
def test_each_mistake_of_a_root_is_said(name: str) -> None:
    change, message = SPOILED[name]
    (mistake,) = check_root(_brought_root(change))
    assert mistake.startswith(f"the trust anchor{'' if message[0] == chr(39) else ' '}{message}")


@pytest.mark.parametrize(
    ("kind", "message"),
    [("p224", "is EC secp224r1; use EC P-256"), ("rsa1024", "is RSA of 1024 bits; use EC P-256")],
)
def test_a_root_with_a_weak_key_is_a_mistake(kind: str, message: str) -> None:
    (mistake,) = check_root(_brought_root(kind=kind))
    assert mistake.startswith(f"the trust anchor's key {message}")


def test_a_root_must_be_its_own_issuer() -> None:
    (mistake,) = check_root(_brought_issuing())
    assert mistake == (
        "the trust anchor is not self-signed but issued by CN=brought root; "
        "give the root at the top of its chain"
    )
    (mistake,) = check_root(_brought_root(issuer_key=key("other")))
    assert mistake.startswith("the trust anchor's signature is not by its own key")
    other = parsed(material.root("g1"))
    (mistake,) = check_root(_brought_root({"aki": (material.authority_key_id(other), False)}))
    assert mistake.startswith("the trust anchor's authority key id is not its own")


def test_a_root_is_exactly_one_certificate() -> None:
    (mistake,) = check_root(material.root("g1") + material.root("g2"))
    assert mistake == "the trust anchor: holds 2 certificates; give exactly one"
    (mistake,) = check_root(key_pem("g1"))
    assert mistake.startswith("the trust anchor: block 1 is a private key")


def test_all_mistakes_of_a_root_are_said_at_once() -> None:
    bare = material.certificate(key=key("leaf"), subject="bare", extensions=())
    assert len(check_root(bare)) == 3


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_a_good_issuing_ca_has_no_mistake(kind: str) -> None:
    root = material.root("g1")
    issuing = material.issuing(
        "i", kind=kind, root_pem=root, root_key=key_pem("g1"), permitted=("example.org",)
    )
    assert verify_issuing_ca(issuing, key_pem("i", kind), root) == ()
    assert _judge(_brought_issuing()) == ()


def test_purposes_that_allow_mutual_tls_are_fine() -> None:
    assert _judge(_brought_issuing({"purposes": (SERVER_AND_CLIENT, False)})) == ()


@pytest.mark.parametrize("name", SPOILED)
def test_each_mistake_of_an_issuing_ca_is_said(name: str) -> None:
    change, message = SPOILED[name]
    (mistake,) = _judge(_brought_issuing(change))
    assert mistake.startswith(f"the issuing CA{'' if message[0] == chr(39) else ' '}{message}")


def test_the_key_must_be_that_of_the_certificate() -> None:
    (mistake,) = _judge(_brought_issuing(), key_of="other")
    assert mistake.startswith("the private key does not belong to the issuing CA's certificate")


def test_a_key_that_cannot_be_read_is_a_mistake_among_others_and_not_repeated() -> None:
    secret = key_pem("i").replace("MIG", "MI!")
    mistakes = verify_issuing_ca(_brought_issuing({"ski": None}), secret, _brought_root())
    assert len(mistakes) == 2
    assert mistakes[0].startswith("the issuing CA's key is not a PEM private key")
    assert not [line for line in secret.splitlines() if line in "".join(mistakes)]


def test_files_that_hold_something_else_are_mistakes() -> None:
    root = _brought_root()
    mistakes = verify_issuing_ca(_brought_issuing() + root, "", "")
    assert [mistake.split(";")[0] for mistake in mistakes] == [
        "the issuing CA: holds 2 certificates",
        "the trust anchor: holds no PEM certificate",
        "the issuing CA's key is not a PEM private key",
    ]


def test_the_root_itself_is_no_issuing_ca() -> None:
    assert _judge(_brought_root(), key_of="brought") == (
        "the issuing CA is the trust anchor itself; give the CA below it",
    )


def test_another_root_is_a_mistake_in_every_way_that_disagrees() -> None:
    mistakes = _judge(_brought_issuing(), root_pem=material.root("g1"))
    assert [mistake.split(",")[0].split(";")[0] for mistake in mistakes] == [
        "the issuing CA was issued by CN=brought root",
        "the issuing CA's signature is not by the trust anchor's key",
        "the issuing CA's authority key id is not the trust anchor's subject key id",
    ]


def test_a_root_of_the_same_name_and_another_key_is_told_apart() -> None:
    impostor = material.root("g2", common_name="brought root")
    mistakes = _judge(_brought_issuing(), root_pem=impostor)
    assert [mistake.split(";")[0] for mistake in mistakes] == [
        "the issuing CA's signature is not by the trust anchor's key",
        "the issuing CA's authority key id is not the trust anchor's subject key id",
    ]


def test_a_root_of_the_same_key_and_another_name_is_told_apart() -> None:
    renamed = material.root("brought", common_name="renamed")
    (mistake,) = _judge(_brought_issuing(), root_pem=renamed)
    assert mistake.startswith(
        "the issuing CA was issued by CN=brought root, but the trust anchor is CN=renamed"
    )


def test_the_same_key_reissued_root_is_as_good() -> None:
    assert _judge(_brought_issuing(), root_pem=_brought_root(serial=2)) == ()


def test_no_authority_key_id_is_a_mistake() -> None:
    (mistake,) = _judge(_brought_issuing({"aki": None}))
    assert mistake.startswith("the issuing CA has no authority key id")


def test_an_issuing_ca_must_not_outlive_its_root() -> None:
    longer = Validity(TEN_YEARS.not_before, TEN_YEARS.not_after + timedelta(days=1))
    (ends,) = _judge(_brought_issuing(validity=longer))
    assert ends.startswith(
        "the issuing CA ends 2036-10-30T00:00:00+00:00, after the trust anchor (2036-10-29"
    )
    assert ONE_YEAR.not_after < TEN_YEARS.not_after


def test_an_issuing_ca_may_have_begun_before_a_renewed_root_and_must_not_have_ended() -> None:
    day = timedelta(days=1)
    before = Validity(TEN_YEARS.not_before - day, TEN_YEARS.not_after)
    assert _judge(_brought_issuing(validity=before)) == ()
    ended = Validity(TEN_YEARS.not_before - 2 * day, TEN_YEARS.not_before)
    (mistake,) = _judge(_brought_issuing(validity=ended))
    assert mistake.startswith(
        "the issuing CA ends 2026-11-01T00:00:00+00:00, before the trust anchor begins (2026-11-01"
    )


def _by_serial(root_pem: str) -> Change:
    """The authority key id that names the certificate of the signer, as `openssl ca` makes it."""
    root = parsed(root_pem)
    stated = x509.AuthorityKeyIdentifier(
        material.authority_key_id(root).key_identifier,
        [x509.DirectoryName(root.subject)],
        root.serial_number,
    )
    return {"aki": (stated, False)}


def test_a_renewed_root_is_told_by_the_serial_number_that_differs() -> None:
    issuing = _brought_issuing(_by_serial(_brought_root(serial=0xA1)))
    assert _judge(issuing, root_pem=_brought_root(serial=0xA1)) == ()
    (mistake,) = _judge(issuing, root_pem=_brought_root(serial=0xB2))
    assert mistake.startswith(
        "the issuing CA names its signer's certificate by serial number a1, but the trust anchor's "
        "is b2, as after a renewal; have the issuing CA signed again"
    )


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"serial": 0}, "the trust anchor's serial number is 0; RFC 5280 4.1.2.2 demands"),
        ({"serial": 255}, "the trust anchor's serial number is -1; RFC 5280 4.1.2.2 demands"),
        ({"subject": None}, "the trust anchor has an empty subject, which RFC 5280 4.1.2.6"),
    ],
)
def test_what_no_ca_may_have(fields: dict[str, Any], message: str) -> None:
    if "serial" in fields:
        # cryptography makes none, so the number of a good one is written over.
        good = _brought_root(serial=1)
        der = x509.load_pem_x509_certificate(good.encode()).public_bytes(Encoding.DER)
        pem = x509.load_der_x509_certificate(
            der.replace(b"\x02\x01\x01", bytes([2, 1, fields["serial"]]), 1)
        )
        mistakes = check_root(pem.public_bytes(Encoding.PEM).decode())
    else:
        mistakes = check_root(_brought_root(**fields))
    assert [each for each in mistakes if each.startswith(message)]


def test_an_issuing_ca_that_was_made_a_moment_after_its_root_ends_after_it() -> None:
    together = Validity(TEN_YEARS.not_before, TEN_YEARS.not_after + timedelta(seconds=1))
    assert _judge(_brought_issuing(validity=together)) == ()


@pytest.mark.parametrize(
    ("room", "wanted", "message"),
    [
        (None, None, None),
        (None, 5, None),
        (1, None, None),
        (1, 0, None),
        (2, 1, None),
        (0, 0, "the trust anchor's path length 0 allows no CA below it"),
        (0, None, "the trust anchor's path length 0 allows no CA below it"),
        (1, 1, "the issuing CA's path length 1 does not fit below the trust anchor's 1"),
        (2, 3, "the issuing CA's path length 3 does not fit below the trust anchor's 2"),
    ],
)
def test_path_lengths(room: int | None, wanted: int | None, message: str | None) -> None:
    root = _brought_root({"constraints": (x509.BasicConstraints(True, room), True)})
    issuing = _brought_issuing({"constraints": (x509.BasicConstraints(True, wanted), True)})
    mistakes = _judge(issuing, root_pem=root)
    assert [mistake.split(";")[0] for mistake in mistakes] == ([message] if message else [])


def test_the_root_s_name_or_key_is_not_to_be_used_again() -> None:
    (mistake,) = _judge(_brought_issuing(subject="brought root"))
    assert mistake.startswith("the issuing CA has the trust anchor's name")
    own = key("brought")
    root = parsed(_brought_root())
    same_key = _brought_issuing(
        {
            "ski": (x509.SubjectKeyIdentifier.from_public_key(own.public_key()), False),
            "aki": (material.authority_key_id(root), False),
        },
        key=own,
    )
    (mistake,) = _judge(same_key, key_of="brought")
    assert mistake.startswith("the issuing CA has the trust anchor's key")


def test_a_broken_hash_is_a_mistake(tmp_path: Path) -> None:
    """Made with OpenSSL, because ``cryptography`` does not sign with SHA-1 any more."""
    files = {
        "issuing.csr": certificate_signing_request(key_pem=key_pem("i"), common_name="issuing"),
        "root.pem": material.root("g1"),
        "root.key": key_pem("g1"),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = "openssl x509 -req -in issuing.csr -CA root.pem -CAkey root.key -sha1"
    made = subprocess.run(
        [*command.split(), "-copy_extensions", "copyall", "-set_serial", "7", "-days", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    mistakes = verify_issuing_ca(made, key_pem("i"), material.root("g1"))
    assert any(text.startswith("the issuing CA is signed with MD5 or SHA-1") for text in mistakes)
