"""Which anchor a leaf hangs on, where names, keys and certificates are told apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.chain import SignerCheck, check_signature, signing_anchor, signing_anchors
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.signatures import is_signed_by
from tests.unit.pki import material
from tests.unit.pki.material import KEY_KINDS, TEN_YEARS, key, key_pem, parsed

Chain = tuple[x509.Certificate, ...]

HOLDS = SignerCheck(signature=True, key_id=True, name=True)


def _issuing(generation: str, name: str = "issuing") -> str:
    return material.issuing(name, root_pem=material.root(generation), root_key=key_pem(generation))


def _chain(generation: str) -> Chain:
    """Return a leaf of this generation and its issuing CA."""
    issuing = _issuing(generation, f"issuing-{generation}")
    return parsed(material.leaf(issuing, key(f"issuing-{generation}"))), parsed(issuing)


def _signed_by(subject_pem: str, name: str, issuer_pem: str, issuer: str) -> x509.Certificate:
    """Return the CA ``subject_pem`` certified once more: same name and key, by another issuer."""
    subject, by = parsed(subject_pem), parsed(issuer_pem)
    extensions = material.ca_extensions(key(name), issuer=by)
    return parsed(
        material.certificate(
            key=key(name),
            subject=subject.subject,
            issuer=by.subject,
            issuer_key=key(issuer),
            extensions=extensions.values(),
        )
    )


@pytest.mark.parametrize("kind", KEY_KINDS)
@pytest.mark.parametrize("root_kind", KEY_KINDS)
def test_a_signature_of_any_kind_is_verified(kind: str, root_kind: str) -> None:
    root = material.root("g1", kind=root_kind)
    issuing = material.issuing("i", kind=kind, root_pem=root, root_key=key_pem("g1", root_kind))
    leaf = material.leaf(issuing, key("i", kind))
    assert check_signature(parsed(issuing), parsed(root)) == HOLDS
    assert check_signature(parsed(leaf), parsed(issuing)) == HOLDS
    assert not is_signed_by(parsed(leaf), parsed(root))


def test_rsa_pss_is_verified_too() -> None:
    """Brought roots are made by other tools; we never sign with PSS ourselves."""
    own = key("g1", "rsa2048")
    name = parsed(material.root("g1")).subject
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(own.public_key())
        .serial_number(1)
        .not_valid_before(TEN_YEARS.not_before)
        .not_valid_after(TEN_YEARS.not_after)
    )
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
    made = builder.sign(own, hashes.SHA256(), rsa_padding=pss)
    assert check_signature(made, made) == HOLDS


def test_a_leaf_directly_under_its_root() -> None:
    root, other = material.root("g1"), material.root("g2")
    leaf = parsed(material.leaf(root, key("g1")))
    assert signing_anchor((leaf,), [parsed(other), parsed(root)]) == parsed(root)
    assert signing_anchor((leaf,), [parsed(other)]) is None
    assert signing_anchor((leaf,), []) is None


def test_a_leaf_under_an_issuing_ca_needs_it_to_be_presented() -> None:
    leaf, issuing = _chain("g1")
    anchors = [parsed(material.root(name)) for name in ("g2", "g1")]
    assert signing_anchor((leaf, issuing), anchors) == anchors[1]
    assert signing_anchor((leaf,), anchors) is None


def test_the_order_of_what_is_presented_and_strangers_in_it_do_not_matter() -> None:
    top = material.root("g1", path_length=2)
    upper = material.issuing("upper", root_pem=top, root_key=key_pem("g1"), path_length=1)
    lower = material.certificate(
        key=key("lower"),
        subject="lower",
        issuer=parsed(upper).subject,
        issuer_key=key("upper"),
        extensions=material.ca_extensions(key("lower"), issuer=parsed(upper)).values(),
    )
    leaf = parsed(material.leaf(lower, key("lower")))
    stranger = _chain("g3")[1]
    presented = (stranger, parsed(upper), parsed(top), parsed(lower), parsed(upper))
    assert signing_anchor((leaf, *presented), [parsed(top)]) == parsed(top)
    assert signing_anchors((leaf, *presented), [parsed(top)]) == (parsed(top),)


def test_an_empty_chain_has_no_anchor() -> None:
    assert signing_anchor((), [parsed(material.root("g1"))]) is None


def test_a_root_is_its_own_anchor() -> None:
    root = parsed(material.root("g1"))
    assert signing_anchor((root,), [root]) == root


def test_dates_do_not_matter_to_who_signed() -> None:
    past = Validity(TEN_YEARS.not_before, TEN_YEARS.not_before + timedelta(seconds=1))
    root = material.root("g1", validity=past)
    leaf = parsed(material.leaf(root, key("g1")))
    assert signing_anchor((leaf,), [parsed(root)]) == parsed(root)


class TestSameNameOtherKey:
    """A new root under the old one's name: only the name agrees."""

    old = staticmethod(lambda: parsed(material.root("g1", common_name="root")))
    new = staticmethod(lambda: parsed(material.root("g2", common_name="root")))

    def test_only_the_name_agrees(self) -> None:
        leaf = parsed(material.leaf(material.root("g1", common_name="root"), key("g1")))
        assert check_signature(leaf, self.old()) == HOLDS
        assert check_signature(leaf, self.new()) == SignerCheck(
            signature=False, key_id=False, name=True
        )

    def test_the_anchor_is_the_one_whose_key_signed(self) -> None:
        leaf = parsed(material.leaf(material.root("g1", common_name="root"), key("g1")))
        for anchors in ([self.old(), self.new()], [self.new(), self.old()]):
            assert signing_anchors((leaf,), anchors) == (self.old(),)
        assert signing_anchor((leaf,), [self.new()]) is None

    def test_without_key_ids_the_signature_alone_tells_them_apart(self) -> None:
        root = material.root("g1", common_name="root")
        leaf = parsed(material.leaf(root, key("g1"), key_id=False))
        assert check_signature(leaf, self.new()) == SignerCheck(
            signature=False, key_id=True, name=True
        )
        assert signing_anchors((leaf,), [self.new(), self.old()]) == (self.old(),)

    def test_a_copied_key_id_fools_nobody(self) -> None:
        extensions = material.ca_extensions(key("g2"), path_length=1)
        extensions["ski"] = (
            x509.SubjectKeyIdentifier.from_public_key(key("g1").public_key()),
            False,
        )
        impostor = parsed(
            material.certificate(key=key("g2"), subject="root", extensions=extensions.values())
        )
        leaf = parsed(material.leaf(material.root("g1", common_name="root"), key("g1")))
        assert check_signature(leaf, impostor) == SignerCheck(
            signature=False, key_id=True, name=True
        )
        assert signing_anchor((leaf,), [impostor]) is None


@pytest.mark.parametrize("condition", ["name", "key_id", "signature"])
def test_a_certificate_is_signed_by_what_meets_every_condition_and_nothing_less(
    condition: str,
) -> None:
    leaf = parsed(material.leaf(material.root("g1", common_name="root"), key("g1")))
    signer, subject, identifier = "g1", "root", key("g1").public_key()
    match condition:
        case "name":
            subject = "renamed"
        case "key_id":
            identifier = key("g2").public_key()
        case "signature":
            signer = "g2"
    extensions = material.ca_extensions(key(signer), path_length=1)
    extensions["ski"] = (x509.SubjectKeyIdentifier.from_public_key(identifier), False)
    other = parsed(
        material.certificate(key=key(signer), subject=subject, extensions=extensions.values())
    )
    assert check_signature(leaf, other) == replace(HOLDS, **{condition: False})
    assert not is_signed_by(leaf, other)
    assert is_signed_by(leaf, parsed(material.root("g1", common_name="root")))


class TestSameKeyReissue:
    """A root made again from the same key: the same anchor, unless its name or key id changed."""

    def test_new_dates_are_the_same_anchor(self) -> None:
        old = material.root("g1")
        renewed = material.root(
            "g1", validity=Validity(TEN_YEARS.not_before, TEN_YEARS.not_after + timedelta(days=9))
        )
        leaf = parsed(material.leaf(old, key("g1")))
        assert parsed(old) != parsed(renewed)
        assert check_signature(leaf, parsed(renewed)) == HOLDS
        assert spki_sha256(parsed(old)) == spki_sha256(parsed(renewed))
        assert set(signing_anchors((leaf,), [parsed(old), parsed(renewed)])) == {
            parsed(old),
            parsed(renewed),
        }

    def test_another_name_did_not_issue_the_leaf_although_the_signature_verifies(self) -> None:
        renamed = parsed(material.root("g1", common_name="renamed"))
        leaf = parsed(material.leaf(material.root("g1"), key("g1")))
        assert check_signature(leaf, renamed) == SignerCheck(
            signature=True, key_id=True, name=False
        )
        assert signing_anchor((leaf,), [renamed]) is None

    def test_another_key_id_did_not_issue_the_leaf_although_the_signature_verifies(self) -> None:
        extensions = material.ca_extensions(key("g1"), path_length=1)
        extensions["ski"] = (x509.SubjectKeyIdentifier(b"another"), False)
        remade = parsed(
            material.certificate(
                key=key("g1"), subject="root-g1.example.org", extensions=extensions.values()
            )
        )
        leaf = parsed(material.leaf(material.root("g1"), key("g1")))
        assert check_signature(leaf, remade) == SignerCheck(signature=True, key_id=False, name=True)
        assert signing_anchor((leaf,), [remade]) is None

    def test_a_leaf_that_names_the_serial_number_hangs_on_that_certificate_alone(self) -> None:
        old, renewed = (
            parsed(material.root("g1", validity=validity))
            for validity in (TEN_YEARS, material.ONE_YEAR)
        )
        names = [x509.DirectoryName(old.subject)]
        ski = old.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
        authority = x509.AuthorityKeyIdentifier(ski, names, old.serial_number)
        leaf = parsed(
            material.certificate(
                key=key("leaf"),
                subject="leaf",
                issuer=old.subject,
                issuer_key=key("g1"),
                extensions=[(authority, False)],
            )
        )
        assert check_signature(leaf, old) == HOLDS
        assert check_signature(leaf, renewed) == SignerCheck(
            signature=True, key_id=False, name=True
        )
        assert signing_anchors((leaf,), [renewed, old]) == (old,)


class TestCrossSigned:
    """One CA certified by two issuers: every anchor that the chain leads to is found."""

    def test_a_new_root_certified_by_the_old_one(self) -> None:
        old, new = material.root("g1"), material.root("g2")
        cross = _signed_by(new, "g2", old, "g1")
        leaf = parsed(material.leaf(new, key("g2")))
        chain = (leaf, cross)
        assert spki_sha256(cross) == spki_sha256(parsed(new))
        assert cross != parsed(new)
        assert signing_anchor(chain, [parsed(old)]) == parsed(old)
        assert signing_anchors(chain, [parsed(old), parsed(new)]) == (parsed(new), parsed(old))
        assert signing_anchors((leaf,), [parsed(old), parsed(new)]) == (parsed(new),)

    def test_an_issuing_ca_certified_by_both_roots(self) -> None:
        first = _issuing("g1")
        second = _signed_by(first, "issuing", material.root("g2"), "g2")
        leaf = parsed(material.leaf(first, key("issuing")))
        g1, g2 = parsed(material.root("g1")), parsed(material.root("g2"))
        assert signing_anchors((leaf, parsed(first)), [g1, g2]) == (g1,)
        assert signing_anchors((leaf, second), [g1, g2]) == (g2,)
        assert signing_anchors((leaf, parsed(first), second), [g1, g2]) == (g1, g2)

    def test_a_loop_of_two_roots_that_certify_each_other_ends(self) -> None:
        one, two = material.root("g1"), material.root("g2")
        loop = (_signed_by(one, "g1", two, "g2"), _signed_by(two, "g2", one, "g1"))
        leaf = parsed(material.leaf(one, key("g1")))
        assert signing_anchor((leaf, *loop), [parsed(material.root("g3"))]) is None
        assert signing_anchors((leaf, *loop), [parsed(two), parsed(one)]) == (
            parsed(one),
            parsed(two),
        )


def test_a_signature_that_says_another_algorithm_than_its_key_is_none() -> None:
    root = material.root("g1", kind="rsa2048", common_name="root")
    leaf = parsed(material.leaf(root, key("g1", "rsa2048"), key_id=False))
    assert not check_signature(leaf, parsed(material.root("g2", common_name="root"))).signature
    assert is_signed_by(leaf, parsed(root))


def test_each_of_many_leaves_is_judged_by_its_own_chain() -> None:
    anchors = [parsed(material.root(name)) for name in ("g1", "g2", "g3")]
    issuing = {name: _issuing(name, f"issuing-{name}") for name in ("g1", "g2", "g3")}
    chains = [
        (parsed(material.leaf(issuing[name], key(f"issuing-{name}"))), parsed(issuing[name]))
        for _ in range(100)
        for name in issuing
    ]
    found = [signing_anchor(chain, anchors) for chain in chains]
    assert found == anchors * 100
