"""Roots and issuing CAs: what they mean in X.509, and that the same inputs give the same bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from mtls_pki.pki.certificates import Validity, issuing_certificate, root_certificate
from mtls_pki.pki.errors import PkiError
from tests.unit.pki import material
from tests.unit.pki.assertions import (
    assert_common_name_only,
    assert_is_issuing_ca,
    assert_is_root,
    assert_permits,
    assert_serial_is_good,
)
from tests.unit.pki.material import KEY_KINDS, ONE_YEAR, TEN_YEARS, key_pem, parsed

common_names = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=16
)
instants = st.datetimes(
    min_value=datetime(1950, 1, 1),
    max_value=datetime(9999, 12, 31, 23, 59, 58),
).map(lambda instant: instant.replace(microsecond=0, tzinfo=UTC))
validities = (
    st.tuples(instants, instants)
    .filter(lambda pair: pair[0] != pair[1])
    .map(lambda pair: Validity(*sorted(pair)))
)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
domains = st.lists(labels, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize("kind", KEY_KINDS)
@pytest.mark.parametrize("path_length", [None, 0, 1, 2])
def test_a_root_is_what_step_makes(kind: str, path_length: int | None) -> None:
    root = parsed(material.root("g1", kind=kind, path_length=path_length))
    assert_is_root(root, path_length=path_length)
    assert_common_name_only(root, "root-g1.example.org")
    assert_serial_is_good(root)
    assert root.version is x509.Version.v3
    assert root.not_valid_before_utc == TEN_YEARS.not_before
    assert root.not_valid_after_utc == TEN_YEARS.not_after


def test_a_root_leaves_room_for_one_ca_by_default() -> None:
    root = root_certificate(key_pem=key_pem("g1"), common_name="r", validity=TEN_YEARS)
    assert_is_root(parsed(root), path_length=1)


@pytest.mark.parametrize("kind", KEY_KINDS)
@pytest.mark.parametrize("root_kind", KEY_KINDS)
def test_an_issuing_ca_stands_under_a_root_of_any_kind(kind: str, root_kind: str) -> None:
    root = material.root("g1", kind=root_kind)
    issuing = material.issuing(
        "issuing", kind=kind, root_pem=root, root_key=key_pem("g1", root_kind)
    )
    assert_is_issuing_ca(parsed(issuing), root=parsed(root), path_length=0)
    assert_common_name_only(parsed(issuing), "issuing.example.org")
    assert_serial_is_good(parsed(issuing))


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("p256", hashes.SHA256),
        ("p384", hashes.SHA384),
        ("p521", hashes.SHA512),
        ("rsa2048", hashes.SHA256),
        ("ed25519", type(None)),
    ],
)
def test_the_hash_fits_the_key(kind: str, algorithm: type) -> None:
    root = parsed(material.root("g1", kind=kind))
    assert isinstance(root.signature_hash_algorithm, algorithm)


def test_an_issuing_ca_above_istiod_has_room_for_one_more() -> None:
    root = material.root("g1", path_length=2)
    issuing = material.issuing("i", root_pem=root, root_key=key_pem("g1"), path_length=1)
    assert_is_issuing_ca(parsed(issuing), root=parsed(root), path_length=1)


def test_the_authority_key_id_is_copied_from_the_root_not_computed() -> None:
    """A brought root may number its key by a method of its own."""
    own = material.key("g1")
    extensions = material.ca_extensions(own, path_length=1)
    extensions["ski"] = (x509.SubjectKeyIdentifier(b"a number of its own"), False)
    root = material.certificate(
        key=own, subject="r", validity=TEN_YEARS, extensions=extensions.values()
    )
    issuing = material.issuing("i", root_pem=root, root_key=key_pem("g1"))
    assert_is_issuing_ca(parsed(issuing), root=parsed(root), path_length=0)


@given(st.lists(domains, max_size=5), st.data())
@settings(max_examples=40, deadline=None)
def test_permitted_domains_do_not_depend_on_order_case_dot_or_repetition(
    names: list[str], data: st.DataObject
) -> None:
    spelled = [
        prefix + (name.upper() if shout else name)
        for name in data.draw(st.permutations(names + names[:1]))
        for prefix, shout in [data.draw(st.tuples(st.sampled_from(["", "."]), st.booleans()))]
    ]
    root = material.root("g1")
    made = {
        material.issuing("i", root_pem=root, root_key=key_pem("g1"), permitted=tuple(permitted))
        for permitted in (names, spelled)
    }
    assert len(made) == 1
    assert_permits(parsed(made.pop()), tuple(sorted(set(names))))


@pytest.mark.parametrize(
    "domain",
    ["", ".", "..a", "*.example.org", "example.org.", "exa mple", "münchen.de", "-a", "a" * 64],
)
def test_what_is_no_domain_is_refused_with_the_way_to_write_it(domain: str) -> None:
    with pytest.raises(
        PkiError, match=r"is no DNS domain; write it as svc.cluster.local"
    ) as caught:
        material.issuing(
            "i", root_pem=material.root("g1"), root_key=key_pem("g1"), permitted=(domain,)
        )
    assert repr(domain) in str(caught.value)


@pytest.mark.parametrize("kind", KEY_KINDS)
def test_the_same_inputs_give_the_same_bytes(kind: str) -> None:
    first, second = (
        (
            root := material.root("g1", kind=kind),
            material.issuing("i", kind=kind, root_pem=root, root_key=key_pem("g1", kind)),
        )
        for _ in range(2)
    )
    assert first == second


def test_the_encoding_of_the_key_does_not_matter() -> None:
    forms = (serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL)
    for kind in ("p256", "rsa2048"):
        key = material.key("g1", kind)
        made = {
            root_certificate(
                key_pem=material.encoded(key, form), common_name="r", validity=TEN_YEARS
            )
            for form in forms
        }
        assert len(made) == 1


@given(common_names, validities, st.none() | st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_any_name_and_dates_make_a_root_that_says_them(
    common_name: str, validity: Validity, path_length: int | None
) -> None:
    pem = root_certificate(
        key_pem=key_pem("g1"), common_name=common_name, validity=validity, path_length=path_length
    )
    root = parsed(pem)
    assert_is_root(root, path_length=path_length)
    assert_common_name_only(root, common_name)
    assert_serial_is_good(root)
    assert root.not_valid_before_utc == validity.not_before
    assert root.not_valid_after_utc == validity.not_after


@given(
    st.lists(
        st.tuples(common_names, validities, st.none() | st.integers(0, 2), st.sampled_from("ab")),
        min_size=2,
        max_size=6,
        unique=True,
    )
)
@settings(max_examples=30, deadline=None)
def test_different_inputs_have_different_serial_numbers(
    inputs: list[tuple[str, Validity, int | None, str]],
) -> None:
    serials = {
        parsed(
            root_certificate(
                key_pem=key_pem(key), common_name=name, validity=validity, path_length=path_length
            )
        ).serial_number
        for name, validity, path_length, key in inputs
    }
    assert len(serials) == len(inputs)


def test_each_input_of_an_issuing_ca_changes_its_serial_number() -> None:
    root = material.root("g1", path_length=2)
    same_name = material.root("g2", common_name="root-g1.example.org", path_length=2)
    base: dict[str, Any] = {"root_pem": root, "root_key": key_pem("g1"), "common_name": "i"}
    variants = [
        material.issuing("i", **base),
        material.issuing("j", **base),
        material.issuing("i", **base | {"common_name": "j"}),
        material.issuing("i", **base, path_length=1),
        material.issuing("i", **base, permitted=("example.org",)),
        material.issuing(
            "i", **base, validity=replace(ONE_YEAR, not_after=datetime(2027, 1, 1, tzinfo=UTC))
        ),
        material.issuing("i", **base | {"root_pem": same_name, "root_key": key_pem("g2")}),
    ]
    assert len({parsed(pem).serial_number for pem in variants}) == len(variants)


def test_renewing_the_root_leaves_its_issuing_ca_as_it_was() -> None:
    longer = Validity(TEN_YEARS.not_before, TEN_YEARS.not_after + timedelta(days=365))
    roots = (material.root("g1"), material.root("g1", validity=longer))
    assert roots[0] != roots[1]
    made = {material.issuing("i", root_pem=root, root_key=key_pem("g1")) for root in roots}
    assert len(made) == 1


def test_dates_from_2050_on_are_generalized_times() -> None:
    """RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050."""
    validity = Validity(
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)
    )
    der = parsed(material.root("g1", validity=validity)).public_bytes(serialization.Encoding.DER)
    assert b"\x17\x0d491231235959Z\x18\x0f20500101000000Z" in der


@pytest.mark.parametrize(
    ("not_before", "not_after", "message"),
    [
        (datetime(2026, 1, 1), datetime(2027, 1, 1, tzinfo=UTC), "is not in UTC"),
        (
            datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            datetime(2027, 1, 1, tzinfo=UTC),
            "is not in UTC",
        ),
        (
            datetime(2026, 1, 1, microsecond=1, tzinfo=UTC),
            datetime(2027, 1, 1, tzinfo=UTC),
            "parts of a second",
        ),
        (datetime(1949, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), "before 1950"),
        (datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), "does not come after"),
    ],
)
def test_a_validity_that_x509_cannot_hold_is_refused(
    not_before: datetime, not_after: datetime, message: str
) -> None:
    with pytest.raises(PkiError, match=message):
        Validity(not_before, not_after)


@pytest.mark.parametrize(
    ("common_name", "message"),
    [
        ("", "is 0 bytes long; write 1 to 64"),
        ("x" * 65, "is 65 bytes long; write 1 to 64"),
        ("ü" * 33, "is 66 bytes long; write 1 to 64"),
        (" root", "blanks at an end"),
        ("ro\not", "do not print"),
        ("ro\x00ot", "do not print"),
    ],
)
def test_a_common_name_that_verifiers_may_refuse_is_refused(common_name: str, message: str) -> None:
    with pytest.raises(PkiError, match=message):
        root_certificate(key_pem=key_pem("g1"), common_name=common_name, validity=TEN_YEARS)


def test_a_negative_path_length_is_refused() -> None:
    with pytest.raises(PkiError, match="path length -1 is negative; write 0 or more"):
        material.root("g1", path_length=-1)


def test_everything_that_would_not_verify_under_the_root_is_said_at_once() -> None:
    outlives = Validity(
        TEN_YEARS.not_before - timedelta(days=1), TEN_YEARS.not_after + timedelta(days=1)
    )
    with pytest.raises(PkiError) as caught:
        issuing_certificate(
            key_pem=key_pem("g1"),
            common_name="root-g1.example.org",
            validity=outlives,
            path_length=1,
            root_pem=material.root("g1"),
            root_key_pem=key_pem("g2"),
        )
    message = str(caught.value)
    for part in (
        "the root's key is not the one that its certificate certifies",
        "the issuing CA has the root's key",
        "the issuing CA has the root's common name",
        "begins 2026-10-31T00:00:00+00:00, before its root (2026-11-01T00:00:00+00:00)",
        "ends 2036-10-30T00:00:00+00:00, after its root (2036-10-29T00:00:00+00:00)",
        "path length 1 does not fit below the root's 1",
        "a root with path length 2 or more would hold it",
    ):
        assert part in message


def test_a_root_without_limit_holds_any_path_length() -> None:
    root = material.root("g1", path_length=None)
    issuing = material.issuing("i", root_pem=root, root_key=key_pem("g1"), path_length=7)
    assert_is_issuing_ca(parsed(issuing), root=parsed(root), path_length=7)
