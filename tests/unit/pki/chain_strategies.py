"""Chains with random faults, for comparing the judge of paths with verifiers."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import strategies as st

from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.profile import ca_key_usage
from tests.unit.pki import material
from tests.unit.pki.material import NOW, key

DAY = timedelta(days=1)
NOW_VALID = Validity(NOW - 9 * DAY, NOW + 9 * DAY)
RENEWED = Validity(NOW - 8 * DAY, NOW + 10 * DAY)
PAST = Validity(NOW - 9 * DAY, NOW - DAY)
FUTURE = Validity(NOW + DAY, NOW + 9 * DAY)

Constraints = tuple[tuple[str, ...], tuple[str, ...]]
"""Permitted and excluded subtrees, each as ``kind:value``."""


@dataclass(frozen=True, kw_only=True)
class Ca:
    """What a CA certificate is made of; ``above`` None is a root.

    ``signer`` is the key that signs it if it is not that of ``above``; ``issuer`` is a wrong name.
    """

    key: str
    name: str
    above: Ca | None = None
    signer: str | None = None
    issuer: str | None = None
    validity: Validity = NOW_VALID
    path_length: int | None = None
    ski: bytes | None = b""
    aki: str | None = "key"
    usage: bool | None = True
    constraints: Constraints = ((), ())
    purposes: tuple[x509.ObjectIdentifier, ...] = ()
    ca: bool = True
    critical: bool = True
    unknown: bool = False

    def key_id(self) -> bytes | None:
        if self.ski == b"":
            return x509.SubjectKeyIdentifier.from_public_key(key(self.key).public_key()).digest
        return self.ski

    def serial(self) -> int:
        return zlib.crc32(repr(self).encode()) + 1

    def pem(self) -> str:
        above = self.above or self
        return material.certificate(
            key=key(self.key),
            subject=self.name,
            issuer=_name(self.issuer or above.name),
            issuer_key=key(self.signer or above.key),
            validity=self.validity,
            extensions=list(self._extensions()),
            serial=self.serial(),
        )

    def _extensions(self) -> Sequence[tuple[x509.ExtensionType, bool]]:
        made: list[tuple[x509.ExtensionType, bool]] = []
        path_length = self.path_length if self.ca and self.usage is not False else None
        made.append((x509.BasicConstraints(ca=self.ca, path_length=path_length), self.critical))
        if self.usage is not None:
            usage = ca_key_usage() if self.usage else _SIGNS_NO_CERTIFICATE
            made.append((usage, True))
        key_id = self.key_id()
        if key_id is not None:
            made.append((x509.SubjectKeyIdentifier(key_id), False))
        if self.above and self.aki:
            made.append((_authority_key_id(self.above, self.aki), False))
        if any(self.constraints):
            permitted, excluded = map(_general_names, self.constraints)
            made.append((x509.NameConstraints(permitted, excluded), True))
        if self.purposes:
            made.append((x509.ExtendedKeyUsage(self.purposes), False))
        if self.unknown:
            oid = x509.ObjectIdentifier("1.2.3.4")
            made.append((x509.UnrecognizedExtension(oid, b"\x05\x00"), True))
        return made


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """What a leaf is made of; its first DNS name is the host that a client asks for."""

    above: Ca
    signer: str | None = None
    issuer: str | None = None
    validity: Validity = NOW_VALID
    aki: str | None = "key"
    names: tuple[str, ...] = ("dns:a.example.org",)

    def pem(self) -> str:
        made: list[tuple[x509.ExtensionType, bool]] = [
            (x509.ExtendedKeyUsage(_BOTH), False),
            (x509.BasicConstraints(ca=False, path_length=None), True),
            (_SIGNS_NO_CERTIFICATE, True),
            (x509.SubjectAlternativeName(_general_names(self.names) or []), True),
        ]
        if self.aki:
            made.append((_authority_key_id(self.above, self.aki), False))
        return material.certificate(
            key=key("leaf"),
            subject=None,
            issuer=_name(self.issuer or self.above.name),
            issuer_key=key(self.signer or self.above.key),
            validity=self.validity,
            extensions=made,
            serial=zlib.crc32(repr(self).encode()) + 1,
        )


@dataclass(frozen=True)
class Example:
    """A leaf, the CAs that are presented with it, and a bundle."""

    leaf: Leaf
    presented: tuple[Ca, ...]
    bundle: tuple[Ca, ...]

    @property
    def host(self) -> str:
        """The name that a client asks for."""
        return self.leaf.names[0].removeprefix("dns:").replace("*", "w")

    def pems(self) -> tuple[list[str], list[str]]:
        """Return the chain, leaf first, and the bundle."""
        chain = [self.leaf.pem(), *(ca.pem() for ca in self.presented)]
        return chain, [ca.pem() for ca in self.bundle]


_BOTH = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
_SIGNS_NO_CERTIFICATE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)

_SUBTREES = (
    *("dns:example.org", "dns:.example.org", "dns:a.example.org", "dns:other.example", "dns:org"),
    *("uri:example.org", "uri:.example.org", "uri:a.example.org", "uri:cluster.local"),
    *("ip:10.0.0.0/8", "ip:10.1.0.0/16", "ip:fd00::/8", "ip:192.168.1.1/32"),
    *("email:example.org", "email:a@example.org", "email:.example.org"),
)
_NAMES = (
    *("dns:a.example.org", "dns:A.Example.org", "dns:example.org", "dns:b.a.example.org"),
    *("dns:*.example.org", "dns:notexample.org", "dns:other.example"),
    *("uri:spiffe://cluster.local/ns/a/sa/b", "uri:https://a.example.org/x", "uri:spiffe://org/x"),
    *("uri:urn:a:b", "uri:https://10.1.2.3/x", "uri:https://a.example.org:8443/x"),
    *(
        "ip:10.1.2.3",
        "ip:192.168.1.1",
        "ip:fd00::1",
        "email:a@example.org",
        "email:b@a.example.org",
    ),
)

_constraints = st.tuples(
    st.lists(st.sampled_from(_SUBTREES), max_size=3, unique=True).map(tuple),
    st.lists(st.sampled_from(_SUBTREES), max_size=1).map(tuple),
)
_names = st.tuples(
    st.sampled_from([name for name in _NAMES if name.startswith("dns:")]),
    st.lists(st.sampled_from(_NAMES), max_size=2),
).map(lambda drawn: (drawn[0], *drawn[1]))
_validities = st.sampled_from([PAST, FUTURE, RENEWED])
_ca_faults: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.fixed_dictionaries({"name": st.sampled_from(["root-g1", "root-g2", "new"])}),
    st.fixed_dictionaries({"issuer": st.sampled_from(["root-g1", "root-g2", "new"])}),
    st.fixed_dictionaries({"signer": st.sampled_from(["g1", "g2", "i"])}),
    st.fixed_dictionaries({"validity": _validities}),
    st.fixed_dictionaries({"path_length": st.integers(0, 2)}),
    st.fixed_dictionaries({"path_length": st.integers(0, 2)}),
    st.fixed_dictionaries({"ski": st.sampled_from([None, b"other"])}),
    st.fixed_dictionaries({"aki": st.sampled_from([None, "key+issuer+serial", "serial", "wrong"])}),
    st.fixed_dictionaries({"usage": st.sampled_from([None, False])}),
    st.fixed_dictionaries({"constraints": _constraints}),
    st.fixed_dictionaries({"constraints": _constraints}),
    st.fixed_dictionaries({"purposes": st.sampled_from([_BOTH, _BOTH[:1]])}),
    st.just({"ca": False}),
    st.just({"critical": False}),
    st.just({"unknown": True}),
)
_leaf_faults: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.fixed_dictionaries({"issuer": st.sampled_from(["root-g1", "i", "new"])}),
    st.fixed_dictionaries({"signer": st.sampled_from(["g1", "g2", "i"])}),
    st.fixed_dictionaries({"validity": _validities}),
    st.fixed_dictionaries({"aki": st.sampled_from([None, "key+issuer+serial", "serial", "wrong"])}),
)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Draw a chain below g1 that would hold, and then what spoils it."""
    roots = [Ca(key=name, name=f"root-{name}") for name in ("g1", "g2")]
    roots[0] = _spoilt(draw, roots[0])
    chain = [roots[0]]
    for name in ("i", "j", "k")[: draw(st.sampled_from([0, 1, 1, 1, 2, 3]))]:
        self_issued = draw(st.integers(0, 9)) == 0
        own = chain[-1].name if self_issued else name
        chain.append(_spoilt(draw, Ca(key=name, name=own, above=chain[-1])))
    leaf = Leaf(above=chain[-1], names=draw(_names))
    if draw(st.integers(0, 4)) == 0:
        leaf = replace(leaf, **draw(_leaf_faults))  # type: ignore[arg-type]
    others = [*chain, roots[1]]
    # What stands beside: renewed and edited siblings of the same key, cross-certificates, junk.
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3]))):
        sibling = draw(st.sampled_from(others))
        if draw(st.booleans()) and sibling.key != "g2":
            sibling = replace(sibling, above=roots[1])
        others.append(replace(sibling, **draw(_ca_faults)))  # type: ignore[arg-type]
    presented = [*chain[1:], *draw(st.lists(st.sampled_from(others), max_size=3))]
    if draw(st.integers(0, 9)) == 0:
        presented = presented[1:]
    trusted = [ca for ca in others if ca.above is None]
    if draw(st.integers(0, 9)) == 0:
        trusted = others
    bundle = draw(st.lists(st.sampled_from(trusted), min_size=1, max_size=3))
    if draw(st.integers(0, 4)):
        bundle.append(roots[0])
    return Example(
        leaf,
        tuple(dict.fromkeys(draw(st.permutations(presented)))),
        tuple(dict.fromkeys(bundle)),
    )


def _spoilt(draw: st.DrawFn, ca: Ca) -> Ca:
    if draw(st.integers(0, 3)):
        return ca
    return replace(ca, **draw(_ca_faults))  # type: ignore[arg-type]


def _authority_key_id(above: Ca, style: str) -> x509.AuthorityKeyIdentifier:
    key_id = b"wrong" if style == "wrong" else above.key_id()
    if style == "serial":
        key_id = None
    if "serial" not in style:
        return x509.AuthorityKeyIdentifier(key_id, None, None)
    issuer = _name(above.issuer or (above.above or above).name)
    return x509.AuthorityKeyIdentifier(key_id, [x509.DirectoryName(issuer)], above.serial())


def _general_names(spelt: Sequence[str]) -> list[x509.GeneralName] | None:
    return [_general_name(*name.split(":", 1)) for name in spelt] or None


def _general_name(kind: str, value: str) -> x509.GeneralName:
    match kind:
        case "dns":
            return x509.DNSName(value)
        case "uri":
            return x509.UniformResourceIdentifier(value)
        case "email":
            return x509.RFC822Name(value)
    network = ipaddress.ip_network(value) if "/" in value else ipaddress.ip_address(value)
    return x509.IPAddress(network)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
