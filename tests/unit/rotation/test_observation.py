"""From PEM to evidence: who signed a leaf, told apart where names, keys or chains agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.rotation.evidence import BundleProblem, LeafObservation
from mtls_pki.rotation.observation import observe_bundle, observe_leaf
from tests.unit.rotation.cases import place

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=365)
Key = ec.EllipticCurvePrivateKey


def key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def certificate(
    subject: str,
    subject_key: Key,
    issuer: str,
    issuer_key: Key,
    *,
    ca: bool = True,
    end: datetime = END,
) -> x509.Certificate:
    public = issuer_key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(subject_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(subject_key.public_key()), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def pem(*certificates: x509.Certificate) -> str:
    return "".join(c.public_bytes(serialization.Encoding.PEM).decode() for c in certificates)


def observe(chain: str | None, *anchors: x509.Certificate, **others: object) -> LeafObservation:
    return observe_leaf(
        cluster="dev",
        namespace="monoskope",
        name="a",
        kind="Certificate",
        declared=True,
        issuer="ClusterIssuer/mtls-ca-g1",
        chain_pem=chain,
        anchors=anchors,
        **others,  # type: ignore[arg-type]
    )


ROOT_KEY, ISSUING_KEY, LEAF_KEY = key(), key(), key()
ROOT = certificate("root", ROOT_KEY, "root", ROOT_KEY)
ISSUING = certificate("issuing", ISSUING_KEY, "root", ROOT_KEY, end=END - timedelta(days=9))
LEAF = certificate("a", LEAF_KEY, "issuing", ISSUING_KEY, ca=False, end=BEGIN + timedelta(days=1))


def test_a_leaf_is_judged_by_its_chain() -> None:
    found = observe(pem(LEAF, ISSUING), ROOT)
    assert found.signers == {spki_sha256(ROOT)}
    assert (found.not_before, found.not_after) == (BEGIN, BEGIN + timedelta(days=1))
    assert found.issuing_ca_not_after == END - timedelta(days=9)
    assert found.problem is None
    assert found.live(BEGIN)
    assert not found.live(BEGIN + timedelta(days=1))


def test_a_root_of_the_same_name_is_another_root() -> None:
    impostor_key = key()
    impostor = certificate("root", impostor_key, "root", impostor_key)
    assert observe(pem(LEAF, ISSUING), impostor).signers == frozenset()
    assert observe(pem(LEAF, ISSUING), impostor, ROOT).signers == {spki_sha256(ROOT)}


def test_a_reissue_of_the_same_key_is_the_same_anchor() -> None:
    renewed = certificate("root", ROOT_KEY, "root", ROOT_KEY, end=END + timedelta(days=365))
    assert observe(pem(LEAF, ISSUING), renewed).signers == {spki_sha256(ROOT)}


def test_the_same_key_under_another_name_signed_nothing() -> None:
    renamed = certificate("root-2", ROOT_KEY, "root-2", ROOT_KEY)
    assert observe(pem(LEAF, ISSUING), renamed).signers == frozenset()


def test_a_cross_signed_pair_chains_to_both() -> None:
    new_key = key()
    new = certificate("root-g2", new_key, "root-g2", new_key)
    cross = certificate("issuing", ISSUING_KEY, "root-g2", new_key)
    both = {spki_sha256(ROOT), spki_sha256(new)}
    assert observe(pem(LEAF, ISSUING, cross), ROOT, new).signers == both
    assert observe(pem(LEAF, ISSUING), ROOT, new).signers == {spki_sha256(ROOT)}


def test_a_chain_without_its_intermediate_is_completed_from_the_known_ones() -> None:
    assert observe(pem(LEAF), ROOT).signers == frozenset()
    completed = observe(pem(LEAF), ROOT, issuing_cas=[ISSUING])
    assert completed.signers == {spki_sha256(ROOT)}
    assert completed.issuing_ca_not_after == END - timedelta(days=9)


def test_a_leaf_directly_under_its_root_does_not_end_with_a_cross_certificate() -> None:
    old_key = key()
    old = certificate("root-g0", old_key, "root-g0", old_key)
    crossed = certificate("root", ROOT_KEY, "root-g0", old_key, end=BEGIN + timedelta(hours=1))
    direct = certificate("a", LEAF_KEY, "root", ROOT_KEY, ca=False)
    found = observe(pem(direct, crossed), ROOT, old)
    assert found.live(BEGIN + timedelta(days=1))
    assert found.signers == {spki_sha256(ROOT), spki_sha256(old)}
    ended = observe(pem(direct, crossed), old)
    assert not ended.live(BEGIN + timedelta(days=1))


def test_what_is_judged_is_the_chain_that_is_presented() -> None:
    completed = observe(pem(LEAF), ROOT, issuing_cas=[ISSUING])
    assert completed.facts is not None
    assert completed.facts.chain.presented == ()
    whole = observe(pem(LEAF, ISSUING), ROOT)
    assert whole.facts is not None
    assert [ca.subject.text for ca in whole.facts.chain.presented] == ["CN=issuing"]


def test_a_leaf_directly_under_its_root_has_no_issuing_ca() -> None:
    direct = certificate("a", LEAF_KEY, "root", ROOT_KEY, ca=False)
    found = observe(pem(direct, ROOT), ROOT)
    assert found.signers == {spki_sha256(ROOT)}
    assert found.issuing_ca_not_after is None


def test_a_leaf_that_cannot_be_read_is_live_and_says_why() -> None:
    for text in (None, "", "-----BEGIN CERTIFICATE-----\nAAAA"):
        found = observe(text, ROOT)
        assert found.problem is not None
        assert "Certificate a" in found.problem
        assert found.live(END)


def test_a_bundle_is_judged_by_its_members() -> None:
    found = observe_bundle(place(), pem(ROOT, ISSUING, ROOT), changed_at=BEGIN)
    assert found.anchors == {spki_sha256(ROOT)}
    assert {member.self_signed for member in found.members} == {True, False}
    assert len(found.members) == 2
    assert found.holds(spki_sha256(ROOT), BEGIN)
    assert not found.holds(spki_sha256(ROOT), END)
    assert not found.holds(spki_sha256(ISSUING), BEGIN)


def test_a_bundle_without_members_says_why() -> None:
    assert observe_bundle(place(), None, changed_at=None).problem is BundleProblem.MISSING
    assert observe_bundle(place(), " \n", changed_at=None).problem is BundleProblem.EMPTY
    broken = observe_bundle(place(), "not a bundle", changed_at=None)
    assert broken.problem is BundleProblem.UNPARSABLE
    assert "ca.crt" in broken.detail
