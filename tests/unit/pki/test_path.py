"""Chains as verifiers judge them: one table row for each reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given, settings

from mtls_pki.pki.ca_facts import CaFacts, interchangeable
from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.expected import KeyFacts, expected_issuing_ca, expected_root
from mtls_pki.pki.leaf_facts import LeafFacts
from mtls_pki.pki.path import Acceptance, Verification, verify_issuer, verify_leaf
from mtls_pki.pki.path_faults import ONLY_CRYPTOGRAPHY
from tests.unit.pki import material
from tests.unit.pki.chain_strategies import Example, examples
from tests.unit.pki.material import KEY_KINDS, NOW, ONE_YEAR, TEN_YEARS, key, key_pem, parsed

EVERY, SOME, NONE = Acceptance.EVERY, Acceptance.SOME, Acceptance.NONE
DAY = timedelta(days=1)
PAST = Validity(NOW - 9 * DAY, NOW - DAY)
FUTURE = Validity(NOW + DAY, NOW + 9 * DAY)


def _judged(chain: list[str], bundle: list[str], *, known: tuple[str, ...] = ()) -> Verification:
    """Judge a chain (leaf first) under a bundle, as guards do with what they read."""
    certificates, anchors = [parsed(pem) for pem in chain], [parsed(pem) for pem in bundle]
    pool = (*anchors, *map(parsed, known))
    leaf = LeafFacts.of(tuple(certificates), pool)
    return verify_leaf(leaf, frozenset(CaFacts.of(anchor, pool) for anchor in anchors), NOW)


def _root(generation: str = "g1", **fields: Any) -> str:
    return material.root(generation, **fields)


def _issuing(root: str, generation: str = "g1", **fields: Any) -> str:
    return material.issuing("i", root_pem=root, root_key=key_pem(generation), **fields)


def _leaf(issuer: str, name: str = "i", **fields: Any) -> str:
    return material.leaf(issuer, key(name), **fields)


def _ca(
    name: str, issuer: str, signer: str, *, common_name: str | None = None, **spoilt: Any
) -> str:
    """Return a CA of this key that ``signer`` signs; ``spoilt`` replaces extensions."""
    path_length = spoilt.pop("path_length", 0)
    validity = spoilt.pop("validity", ONE_YEAR)
    named = parsed(issuer)
    extensions = material.ca_extensions(key(name), issuer=named, path_length=path_length) | spoilt
    return material.certificate(
        key=key(name),
        subject=common_name or f"{name}.example.org",
        issuer=named.subject,
        issuer_key=key(signer),
        validity=validity,
        extensions=[extension for extension in extensions.values() if extension],
    )


@dataclass(frozen=True)
class Case:
    """A chain and a bundle, with the answer and a part of its reason."""

    chain: list[str]
    bundle: list[str]
    acceptance: Acceptance
    reason: str = ""


def _steady() -> Case:
    root = _root()
    issuing = _issuing(root)
    return Case([_leaf(issuing), issuing], [root], EVERY)


def _direct() -> Case:
    return Case([_leaf(_root(), "g1")], [_root()], EVERY)


def _renamed_root() -> Case:
    old, new = _root(), _root(common_name="new")
    issuing = _issuing(old)
    return Case([_leaf(issuing), issuing], [new], NONE, "was issued by CN=root-g1.example.org, but")


def _renamed_root_beside_the_old_one() -> Case:
    case = _renamed_root()
    return Case(case.chain, [*case.bundle, _root()], EVERY)


def _future_root() -> Case:
    issuing = _issuing(_root())
    later = Validity(FUTURE.not_before, TEN_YEARS.not_after)
    reason = "the root CN=root-g1.example.org is not valid before 2026-11-24"
    return Case([_leaf(issuing), issuing], [_root(validity=later)], NONE, reason)


def _ended_root() -> Case:
    issuing = _issuing(_root())
    return Case([_leaf(issuing), issuing], [_root(validity=PAST)], NONE, "ended at 2026-11-22")


def _future_root_beside_the_present_one() -> Case:
    issuing = _issuing(_root())
    later = Validity(FUTURE.not_before, TEN_YEARS.not_after)
    return Case([_leaf(issuing), issuing], [_root(validity=later), _root()], EVERY)


def _future_issuing_ca() -> Case:
    issuing = _issuing(_root(), validity=FUTURE)
    reason = "the CA CN=i.example.org is not valid before"
    return Case([_leaf(issuing), issuing], [_root()], NONE, reason)


def _ended_leaf() -> Case:
    issuing = _issuing(_root())
    chain = [_leaf(issuing, validity=PAST), issuing]
    return Case(chain, [_root()], NONE, "the leaf ended at")


def _future_leaf() -> Case:
    issuing = _issuing(_root())
    chain = [_leaf(issuing, validity=FUTURE), issuing]
    return Case(chain, [_root()], NONE, "the leaf is not valid before")


def _no_room() -> Case:
    issuing = _issuing(_root())
    reason = "path length 0 of the root CN=root-g1.example.org allows no more CAs below it"
    return Case([_leaf(issuing), issuing], [_root(path_length=0)], NONE, reason)


def _self_issued_ca_below_path_length_1() -> Case:
    root = _root()
    rollover = _ca("g1b", root, "g1", common_name="root-g1.example.org", path_length=1)
    issuing = _ca("i", rollover, "g1b")
    return Case([_leaf(issuing), issuing, rollover], [root], SOME, "allows no more CAs")


def _other_anchor() -> Case:
    issuing = _issuing(_root())
    reason = "presented CA signed the CA CN=i.example.org (issued by CN=root-g1.example.org)"
    return Case([_leaf(issuing), issuing], [_root("g2")], NONE, reason)


def _other_anchor_of_the_same_name() -> Case:
    issuing = _issuing(_root())
    bundle = [_root("g2", common_name="root-g1.example.org")]
    return Case([_leaf(issuing), issuing], bundle, NONE, "that of the bundle has another key")


def _other_key_id() -> Case:
    strange = (x509.SubjectKeyIdentifier(b"other"), False)
    root = material.certificate(
        key=key("g1"),
        subject="root-g1.example.org",
        validity=TEN_YEARS,
        extensions=(material.ca_extensions(key("g1"), path_length=1) | {"ski": strange}).values(),
    )
    issuing = _issuing(_root())
    return Case([_leaf(issuing), issuing], [root], SOME, "names the key id")


def _serial(serial: int) -> Case:
    root = _root()
    stated = x509.AuthorityKeyIdentifier(
        parsed(root).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest,
        [x509.DirectoryName(parsed(root).issuer)],
        serial,
    )
    issuing = _ca("i", root, "g1", aki=(stated, False))
    right = serial == parsed(root).serial_number
    reason = "" if right else "names the serial number 5"
    return Case([_leaf(issuing), issuing], [root], EVERY if right else SOME, reason)


def _spoilt_ca(acceptance: Acceptance, reason: str, **spoilt: Any) -> Callable[[], Case]:
    def case() -> Case:
        issuing = _ca("i", _root(), "g1", **spoilt)
        leaf = _leaf(_ca("i", _root(), "g1"))
        return Case([leaf, issuing], [_root()], acceptance, reason)

    return case


def _usage(**changed: bool) -> x509.KeyUsage:
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    names += ("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: changed.get(name, False) for name in names})


def _missing_issuing_ca() -> Case:
    return Case([_leaf(_issuing(_root()))], [_root()], NONE, "signed the leaf (issued by CN=i")


def _junk_and_disorder() -> Case:
    root = _root()
    issuing = _issuing(root)
    junk = _ca("junk", _root("g2"), "g2")
    return Case([_leaf(issuing), junk, root, issuing, issuing], [root, _root("g2")], EVERY)


def _cross(below: str, above: str, **fields: Any) -> str:
    return _ca(below, _root(above), above, common_name=f"root-{below}.example.org", **fields)


def _ended_cross_certificate_beside_the_root() -> Case:
    chain = [_leaf(_root("g2"), "g2"), _cross("g2", "g1", validity=PAST)]
    return Case(chain, [_root("g2")], EVERY)


def _cross_certificate_alone() -> Case:
    return Case([_leaf(_root("g2"), "g2"), _cross("g2", "g1")], [_root()], EVERY)


def _ended_cross_certificate_alone() -> Case:
    chain = [_leaf(_root("g2"), "g2"), _cross("g2", "g1", validity=PAST)]
    return Case(chain, [_root()], NONE, "ended at")


def _two_issuers(other: Validity) -> Case:
    a = _ca("i", _root("g1"), "g1", validity=other)
    b = _ca("i", _root("g2"), "g2")
    reason = "a verifier may try another path first"
    return Case([_leaf(a), a, b], [_root("g2")], SOME, reason)


def _loop() -> Case:
    chain = [_leaf(_root("g1"), "g1"), _cross("g1", "g2"), _cross("g2", "g1")]
    return Case(chain, [_root("g3")], NONE, "no anchor")


def _intermediate_as_anchor() -> Case:
    issuing = _issuing(_root())
    return Case([_leaf(issuing)], [issuing], SOME, "is in the bundle, but is no root")


def _intermediate_in_the_bundle_without_its_issuer() -> Case:
    root = _root(path_length=2)
    upper = _ca("upper", root, "g1", path_length=1)
    issuing = _ca("i", upper, "upper")
    reason = "the CA CN=i.example.org is in the bundle, but CN=upper.example.org is not"
    return Case([_leaf(issuing), issuing, upper], [root, issuing], SOME, reason)


def _empty_bundle() -> Case:
    return Case(_steady().chain, [], NONE, "the bundle holds no certificate")


def _strange_extension() -> Case:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    issuing = _ca("i", _root(), "g1", unknown=(unknown, True))
    return Case([_leaf(issuing), issuing], [_root()], NONE, "the critical extension 1.2.3.4")


def _leaf_without_key_id() -> Case:
    issuing = _issuing(_root())
    chain = [_leaf(issuing, key_id=False), issuing]
    return Case(chain, [_root()], SOME, "the leaf has no authority key id")


def _constrained(dns: str) -> Case:
    issuing = _issuing(_root(), permitted=("svc.cluster.local",))
    if dns.endswith(".svc.cluster.local"):
        return Case([_leaf(issuing, dns=dns), issuing], [_root()], EVERY)
    reason = f"the leaf has the name {dns}, but the CA CN=i.example.org permits only svc.cluster"
    return Case([_leaf(issuing, dns=dns), issuing], [_root()], NONE, reason)


def _common_name_outside_the_constraints() -> Case:
    issuing = _issuing(_root(), permitted=("svc.cluster.local",))
    uri = x509.UniformResourceIdentifier("spiffe://cluster.local/ns/a/sa/b")
    leaf = material.certificate(
        key=key("leaf"),
        subject="a.example.org",
        issuer=parsed(issuing).subject,
        issuer_key=key("i"),
        extensions=[
            (x509.SubjectAlternativeName([uri]), False),
            (material.authority_key_id(parsed(issuing)), False),
        ],
    )
    return Case([leaf, issuing], [_root()], SOME, "the leaf has the name a.example.org, but")


def _name_in_another_encoding() -> Case:
    printable = x509.NameAttribute(
        x509.NameOID.COMMON_NAME, "root-g1.example.org", _type=x509.name._ASN1Type.PrintableString
    )
    root = material.certificate(
        key=key("g1"),
        subject=x509.Name([printable]),
        validity=TEN_YEARS,
        extensions=material.ca_extensions(key("g1"), path_length=1).values(),
    )
    issuing = _issuing(_root())
    return Case([_leaf(issuing), issuing], [root], SOME, "in another encoding")


def _root_with_constraints() -> Case:
    domain = x509.NameConstraints([x509.DNSName("other.example")], None)
    extensions = material.ca_extensions(key("g1"), path_length=1) | {"names": (domain, True)}
    root = material.certificate(
        key=key("g1"),
        subject="root-g1.example.org",
        validity=TEN_YEARS,
        extensions=extensions.values(),
    )
    issuing = _issuing(_root())
    return Case([_leaf(issuing), issuing], [root], NONE, "the root CN=root-g1.example.org permits")


CASES: dict[str, Callable[[], Case]] = {
    "a steady chain": _steady,
    "a leaf directly under the root": _direct,
    "the root has a new name": _renamed_root,
    "the root of the new name is beside the old one": _renamed_root_beside_the_old_one,
    "the root is not valid yet": _future_root,
    "the root has ended": _ended_root,
    "a root of the future beside the present one": _future_root_beside_the_present_one,
    "the issuing CA is not valid yet": _future_issuing_ca,
    "the leaf has ended": _ended_leaf,
    "the leaf is not valid yet": _future_leaf,
    "the root's path length is used up": _no_room,
    "a self-issued CA counts for Go alone": _self_issued_ca_below_path_length_1,
    "another anchor": _other_anchor,
    "another anchor of the same name": _other_anchor_of_the_same_name,
    "the root has another key id": _other_key_id,
    "the issuing CA names the root's serial number": lambda: _serial(parsed(_root()).serial_number),
    "the issuing CA names another serial number": lambda: _serial(5),
    "CA:FALSE": _spoilt_ca(
        NONE, "no CA", constraints=(x509.BasicConstraints(ca=False, path_length=None), True)
    ),
    "no basic constraints": _spoilt_ca(NONE, "no CA", constraints=None),
    "basic constraints that are not critical": _spoilt_ca(
        SOME, "not critical", constraints=(x509.BasicConstraints(ca=True, path_length=0), False)
    ),
    "no keyCertSign": _spoilt_ca(
        NONE, "may not sign", usage=(_usage(digital_signature=True), True)
    ),
    "no key usage": _spoilt_ca(SOME, "no key usage", usage=None),
    "no subject key id": _spoilt_ca(SOME, "no subject key id", ski=None),
    "no authority key id": _spoilt_ca(SOME, "no authority key id", aki=None),
    "extended key usage of clients": _spoilt_ca(
        NONE,
        "extended key usage",
        purposes=(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), False),
    ),
    "any extended key usage": _spoilt_ca(
        SOME,
        "extended key usage",
        purposes=(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False),
    ),
    "directory names constrained": _spoilt_ca(
        SOME,
        "DirectoryName",
        names=(x509.NameConstraints([x509.DirectoryName(x509.Name([]))], None), True),
    ),
    "the issuing CA is not presented": _missing_issuing_ca,
    "useless certificates in disorder": _junk_and_disorder,
    "an ended cross-certificate beside the root": _ended_cross_certificate_beside_the_root,
    "a cross-certificate": _cross_certificate_alone,
    "an ended cross-certificate": _ended_cross_certificate_alone,
    "two issuers of one CA, the other one ended": lambda: _two_issuers(PAST),
    "two issuers of one CA, one of them trusted": lambda: _two_issuers(ONE_YEAR),
    "cross-certificates in a loop": _loop,
    "an intermediate CA as anchor": _intermediate_as_anchor,
    "an intermediate CA in the bundle without its issuer": (
        _intermediate_in_the_bundle_without_its_issuer
    ),
    "an empty bundle": _empty_bundle,
    "an unknown critical extension": _strange_extension,
    "a leaf without authority key id": _leaf_without_key_id,
    "a name within the constraints": lambda: _constrained("a.svc.cluster.local"),
    "a name outside the constraints": lambda: _constrained("a.example.org"),
    "a root with constraints": _root_with_constraints,
    "a common name outside the constraints": _common_name_outside_the_constraints,
    "the root's name in another encoding": _name_in_another_encoding,
}


@pytest.mark.parametrize("name", CASES)
def test_each_chain_gets_its_answer_and_the_reason(name: str) -> None:
    case = CASES[name]()
    found = _judged(case.chain, case.bundle)
    assert found.acceptance is case.acceptance, found.reason
    assert case.reason in found.reason
    assert bool(found.reason) is not found.everywhere


def test_a_change_is_worse_if_a_verifier_may_refuse_that_accepted_before() -> None:
    every = Verification(EVERY)
    doubtful = _judged_case("no key usage")
    broken = _judged_case("the root has a new name")
    assert broken.worse_than(doubtful)
    assert doubtful.worse_than(every)
    assert not every.worse_than(doubtful)
    assert not any(same.worse_than(same) for same in (every, doubtful, broken))


def test_a_further_doubt_is_worse() -> None:
    strange = (x509.SubjectKeyIdentifier(b"other"), False)
    extensions = material.ca_extensions(key("g1"), path_length=1) | {"ski": strange}
    renewed = material.certificate(
        key=key("g1"),
        subject="root-g1.example.org",
        validity=TEN_YEARS,
        extensions=extensions.values(),
    )
    chain = CASES["no key usage"]().chain
    before, after = _judged(chain, [_root()]), _judged(chain, [renewed])
    assert before.acceptance is after.acceptance is SOME
    assert after.worse_than(before)
    assert not before.worse_than(after)


def _judged_case(name: str) -> Verification:
    case = CASES[name]()
    return _judged(case.chain, case.bundle)


@given(examples())
@settings(max_examples=100)
def test_the_judge_agrees_with_a_verifier_on_chains_with_random_faults(example: Example) -> None:
    """OpenSSL, Go and GnuTLS, which are slower, judge such chains in tests/chains."""
    chain, bundle = example.pems()
    found = _judged(chain, bundle)
    accepted = _accepts(chain, bundle)
    assert accepted or not found.everywhere
    assert not accepted or found.anywhere, found.reason


def _accepts(chain: list[str], bundle: list[str]) -> bool:
    leaf, *rest = map(parsed, chain)
    verifier = PolicyBuilder().store(Store([*map(parsed, bundle)])).time(NOW.replace(tzinfo=None))
    try:
        verifier.build_client_verifier().verify(leaf, rest)
    except VerificationError:
        return False
    return True


def test_chains_that_form_too_many_paths_are_not_followed_for_ever() -> None:
    names = [f"c{number}" for number in range(12)]
    roots = {name: _root(name) for name in names}
    crossed = [_cross(below, above) for below in names for above in names if below != above]
    leaf = _leaf(roots["c0"], "c0")
    assert _judged([leaf, *crossed], [_root("g1")]).acceptance is NONE
    assert _judged([leaf, *crossed], [roots["c11"]]).acceptance is SOME


@pytest.mark.parametrize("kind", KEY_KINDS)
@pytest.mark.parametrize("path_length", [None, 1, 3])
def test_facts_are_foretold_from_the_configuration(kind: str, path_length: int | None) -> None:
    root = parsed(material.root("g1", kind=kind, path_length=path_length))
    made = CaFacts.of(root)
    foretold = expected_root(
        key=KeyFacts.of(key("g1", kind).public_key()),
        common_name="root-g1.example.org",
        validity=TEN_YEARS,
        path_length=path_length,
    )
    assert foretold == replace(made, serial=None)
    domains = ("svc.cluster.local", ".example.org")
    issuing = material.issuing(
        "i",
        root_pem=material.root("g1", kind=kind, path_length=path_length),
        root_key=key_pem("g1", kind),
        kind=kind,
        permitted=domains,
    )
    assert expected_issuing_ca(
        key=KeyFacts.of(key("i", kind).public_key()),
        common_name="i.example.org",
        validity=ONE_YEAR,
        permitted_dns_domains=domains,
        root=foretold,
    ) == replace(CaFacts.of(parsed(issuing), [root]), serial=None)


def test_a_leaf_verifies_under_a_root_that_is_not_made_yet() -> None:
    issuing = _issuing(_root())
    leaf = LeafFacts.of((parsed(_leaf(issuing)), parsed(issuing)), (parsed(_root()),))
    fields: dict[str, Any] = {
        "key": KeyFacts.of(key("g1").public_key()),
        "common_name": "root-g1.example.org",
        "validity": TEN_YEARS,
    }
    assert verify_leaf(leaf, frozenset({expected_root(**fields)}), NOW).everywhere
    for changed in (
        {"common_name": "other"},
        {"validity": PAST},
        {"path_length": 0},
        {"key": KeyFacts.pending("g2")},
    ):
        root = expected_root(**(fields | changed))
        assert verify_leaf(leaf, frozenset({root}), NOW).acceptance is NONE


def test_an_issuing_ca_in_the_bundle_is_the_presented_one_even_if_read_without_its_root() -> None:
    root, issuing = parsed(_root()), parsed(_issuing(_root()))
    leaf = LeafFacts.of((parsed(_leaf(_issuing(_root()))), issuing), (root,))
    alone = CaFacts.of(issuing)
    assert alone.signer is None
    assert verify_leaf(leaf, frozenset({CaFacts.of(root), alone}), NOW).everywhere


def test_leaves_of_one_issuing_ca_share_its_chain_and_one_verification() -> None:
    root, issuing = _root(), _issuing(_root())
    leaves = [
        LeafFacts.of((parsed(_leaf(issuing)), parsed(issuing)), (parsed(root),)) for _ in range(3)
    ]
    assert all(leaf.chain is leaves[0].chain for leaf in leaves)
    anchors = frozenset({CaFacts.of(parsed(root))})
    verify_issuer.cache_clear()
    assert all(verify_leaf(leaf, anchors, NOW).everywhere for leaf in leaves)
    assert verify_issuer.cache_info().misses == 1


def test_renewed_certificates_are_interchangeable_unless_their_serial_number_is_named() -> None:
    old, new = CaFacts.of(parsed(_root())), CaFacts.of(parsed(_root(validity=ONE_YEAR)))
    assert interchangeable(old, new)
    named = CaFacts.of(parsed(_serial(5).chain[1])).authority_key
    assert not interchangeable(old, new, below=[named])
    assert interchangeable(old, old, below=[named])


@pytest.mark.parametrize(
    "changed",
    [
        {"common_name": "other"},
        {"path_length": 0},
        {"path_length": None},
    ],
)
def test_certificates_of_one_key_that_say_something_else_are_not_interchangeable(
    changed: dict[str, Any],
) -> None:
    assert not interchangeable(CaFacts.of(parsed(_root())), CaFacts.of(parsed(_root(**changed))))


def test_what_only_cryptography_refuses_breaks_no_connection() -> None:
    whole = Verification(Acceptance.EVERY)
    alone = f"the CA CN=a has a constraint, {ONLY_CRYPTOGRAPHY}"
    harmless = Verification(Acceptance.SOME, alone, frozenset({alone}))
    grave = Verification(Acceptance.SOME, "GnuTLS refuses", frozenset({alone, "GnuTLS refuses"}))
    assert harmless.everywhere
    assert not grave.everywhere
    assert not harmless.worse_than(whole)
    assert grave.worse_than(whole)
    assert grave.worse_than(harmless)
    assert not harmless.worse_than(grave)
    assert Verification(Acceptance.NONE, "ended").worse_than(harmless)
