"""Name constraints: which names the certificates below a CA may have (RFC 5280, 4.2.1.10)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from mtls_pki.pki.profile import extension


class Constraint(NamedTuple):
    """One subtree: ``kind`` as in `GeneralNames`, or the name of a kind that is not compared."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """What a CA permits and excludes, sorted. A kind without permitted subtrees is not limited."""

    permitted: tuple[Constraint, ...] = ()
    excluded: tuple[Constraint, ...] = ()

    @classmethod
    def of(cls, certificate: x509.Certificate) -> NameConstraints | None:
        """Return what the certificate states, None if it states nothing."""
        stated = extension(certificate, x509.NameConstraints)
        if stated is None:
            return None
        return cls(
            permitted=_constraints(stated.value.permitted_subtrees),
            excluded=_constraints(stated.value.excluded_subtrees),
        )

    def of_unknown_kinds(self) -> tuple[str, ...]:
        """Return the constraints that some verifier refuses whatever the names below are.

        Go refuses critical constraints of kinds that it does not compare.
        """
        return tuple(f"{kind} {value}" for kind, value in self._all if kind not in _MATCHES)

    def with_leading_dots(self) -> tuple[str, ...]:
        """Return the DNS constraints that begin with a dot.

        RFC 5280 defines it for URIs and mailboxes alone. OpenSSL, Go and GnuTLS permit all below
        the domain then; ``cryptography`` refuses.
        """
        return tuple(value for kind, value in self._all if kind == "dns" and value.startswith("."))

    @property
    def _all(self) -> tuple[Constraint, ...]:
        return (*self.permitted, *self.excluded)


@dataclass(frozen=True, slots=True)
class GeneralNames:
    """The names of a certificate that constraints are about, in the order of the certificate.

    Attributes:
        dns: DNS names, a wildcard label included, as is.
        uri: URIs.
        ip: addresses, as `ipaddress` prints them.
        email: mailboxes.
        common: common names of the subject, if there is no DNS name. OpenSSL holds those that look
            like DNS names to the DNS constraints, other verifiers do not.
    """

    dns: tuple[str, ...] = ()
    uri: tuple[str, ...] = ()
    ip: tuple[str, ...] = ()
    email: tuple[str, ...] = ()
    common: tuple[str, ...] = ()

    @classmethod
    def of(cls, certificate: x509.Certificate) -> GeneralNames:
        """Return the names of a certificate."""
        stated = extension(certificate, x509.SubjectAlternativeName)
        names = stated.value if stated else ()
        made: dict[str, list[str]] = {kind: [] for kind in _KINDS.values()}
        for name in names:
            if type(name) in _KINDS:
                made[_KINDS[type(name)]].append(str(name.value))
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return cls(
            **{kind: tuple(values) for kind, values in made.items()},
            common=() if made["dns"] else tuple(str(name.value) for name in common),
        )

    def alternative(self) -> GeneralNames:
        """Return them without the common names, which count in leaves alone."""
        return replace(self, common=())


NO_NAMES = GeneralNames()


class Violation(NamedTuple):
    """A name that constraints do not allow.

    ``everywhere`` is False where verifiers differ, and some of them allow it.
    """

    name: str
    rule: str
    everywhere: bool


def violations(names: GeneralNames, constraints: NameConstraints) -> Iterator[Violation]:
    """Yield the names that a verifier refuses under these constraints."""
    for kind in _MATCHES:
        permitted = [c.value for c in constraints.permitted if c.kind == kind]
        excluded = [c.value for c in constraints.excluded if c.kind == kind]
        if not (permitted or excluded):
            continue
        for name in getattr(names, kind):
            yield from _judged(kind, name, permitted, excluded)
        if kind == "dns":
            for name in filter(_like_dns, names.common):
                for found in _judged(kind, name, permitted, excluded):
                    yield found._replace(everywhere=False)
    for name in names.uri:
        if not _is_domain(_uri_host(name)):
            # Go, under constraints of whatever kind.
            rule = "has name constraints, to which a URI without a host name cannot be held"
            yield Violation(name, rule, everywhere=False)


def _judged(kind: str, name: str, permitted: list[str], excluded: list[str]) -> Iterator[Violation]:
    """Yield why the name is refused; RFC 5280's meaning first, then those of single verifiers."""
    narrow, wide = _MATCHES[kind]
    if any(wide(name, tree) for tree in excluded):
        by_all = any(narrow(name, tree) for tree in excluded)
        yield Violation(name, f"excludes {', '.join(excluded)}", everywhere=by_all)
    if permitted and not any(narrow(name, tree) for tree in permitted):
        by_all = not any(wide(name, tree) for tree in permitted)
        yield Violation(name, f"permits only {', '.join(permitted)}", everywhere=by_all)
    if kind == "uri":
        # RFC 5280 refuses a URI without host. GnuTLS and ``cryptography`` compare no URIs, and
        # refuse; OpenSSL takes user and address for a part of the name.
        rule = "constrains the hosts of URIs, which not every verifier compares"
        yield Violation(name, rule, everywhere=not _uri_host(name))


def _in_domain(name: str, tree: str) -> bool:
    """The domain itself and all below it; with a leading dot only those below it."""
    name, tree = name.lower(), tree.lower()
    if not tree or name == tree:
        return True
    return name.endswith(tree if tree.startswith(".") else f".{tree}")


def _in_domain_as_wildcard(name: str, tree: str) -> bool:
    # A wildcard also stands for the one name that is excluded (Go since 1.24.11 and 1.25.5).
    if name.startswith("*.") and tree.partition(".")[2].lower() == name[2:].lower():
        return True
    return _in_domain(name, tree)


def _is_host(host: str, tree: str) -> bool:
    """The host itself, or with a leading dot all below it: of URIs and mailboxes."""
    host, tree = host.lower(), tree.lower()
    return host.endswith(tree) if tree.startswith(".") else host == tree


def _uri_host(name: str) -> str:
    try:
        return urlsplit(name).hostname or ""
    except ValueError:
        return ""


def _is_domain(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host)
    return False


def _uri(match: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    return lambda name, tree: match(_uri_host(name), tree)


def _mailbox(match: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
    def matches(name: str, tree: str) -> bool:
        local, _, host = name.rpartition("@")
        if "@" in tree:
            tree_local, _, tree_host = tree.rpartition("@")
            return local == tree_local and host.lower() == tree_host.lower()
        return match(host, tree)

    return matches


def _in_network(name: str, tree: str) -> bool:
    return ipaddress.ip_address(name) in ipaddress.ip_network(tree)


def _like_dns(common_name: str) -> bool:
    labels = common_name.split(".")
    return len(labels) > 1 and all(
        label and label.replace("-", "a").replace("_", "a").isalnum() for label in labels
    )


def _constraints(subtrees: Iterable[x509.GeneralName] | None) -> tuple[Constraint, ...]:
    return tuple(
        sorted(
            Constraint(_KINDS.get(type(tree), type(tree).__name__), str(tree.value))
            for tree in subtrees or ()
        )
    )


_KINDS: Mapping[type[x509.GeneralName], str] = {
    x509.DNSName: "dns",
    x509.UniformResourceIdentifier: "uri",
    x509.IPAddress: "ip",
    x509.RFC822Name: "email",
}
# By kind: what RFC 5280 says, and the widest meaning that a verifier gives it. Go lets a host
# without a leading dot stand for all below it, in URIs and mailboxes too.
_MATCHES: Mapping[str, tuple[Callable[[str, str], bool], Callable[[str, str], bool]]] = {
    "dns": (_in_domain, _in_domain_as_wildcard),
    "uri": (_uri(_is_host), _uri(_in_domain)),
    "ip": (_in_network, _in_network),
    "email": (_mailbox(_is_host), _mailbox(_in_domain)),
}
