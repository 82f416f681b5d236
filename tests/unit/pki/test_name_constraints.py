"""Which names constraints allow (RFC 5280, 4.2.1.10), and where verifiers differ."""

from __future__ import annotations

import pytest

from mtls_pki.pki.name_constraints import Constraint, GeneralNames, NameConstraints, violations

FINE, DOUBTFUL, REFUSED = "fine", "doubtful", "refused"
SPIFFE = "spiffe://cluster.local/ns/a/sa/b"


@pytest.mark.parametrize(
    ("kind", "name", "tree", "permitted", "excluded"),
    [
        ("dns", "a.example.org", "example.org", FINE, REFUSED),
        ("dns", "A.EXAMPLE.org", "example.ORG", FINE, REFUSED),
        ("dns", "example.org", "example.org", FINE, REFUSED),
        ("dns", "notexample.org", "example.org", REFUSED, FINE),
        ("dns", "org", "example.org", REFUSED, FINE),
        ("dns", "a.example.org", "", FINE, REFUSED),
        ("dns", "example.org", ".example.org", REFUSED, FINE),
        ("dns", "*.example.org", "example.org", FINE, REFUSED),
        ("dns", "*.example.org", "a.example.org", DOUBTFUL, DOUBTFUL),
        ("dns", "*.example.org", "a.b.example.org", REFUSED, FINE),
        ("uri", SPIFFE, "cluster.local", DOUBTFUL, REFUSED),
        ("uri", "https://a.example.org:8443/", "a.example.org", DOUBTFUL, REFUSED),
        ("uri", "https://a.example.org/", "example.org", DOUBTFUL, DOUBTFUL),
        ("uri", "https://a.example.org/", ".example.org", DOUBTFUL, REFUSED),
        ("uri", "https://example.org/", ".example.org", REFUSED, DOUBTFUL),
        ("uri", "urn:a:b", "example.org", REFUSED, REFUSED),
        ("uri", "https://[half/", "example.org", REFUSED, REFUSED),
        ("ip", "10.1.2.3", "10.0.0.0/8", FINE, REFUSED),
        ("ip", "11.1.2.3", "10.0.0.0/8", REFUSED, FINE),
        ("ip", "fd00::1", "10.0.0.0/8", REFUSED, FINE),
        ("ip", "fd00::1", "fd00::/8", FINE, REFUSED),
        ("email", "a@example.org", "a@EXAMPLE.org", FINE, REFUSED),
        ("email", "b@example.org", "a@example.org", REFUSED, FINE),
        ("email", "a@example.org", "example.org", FINE, REFUSED),
        ("email", "a@b.example.org", "example.org", DOUBTFUL, DOUBTFUL),
        ("email", "a@b.example.org", ".example.org", FINE, REFUSED),
    ],
)
def test_a_name_is_held_to_a_subtree(
    kind: str, name: str, tree: str, permitted: str, excluded: str
) -> None:
    names = GeneralNames(**{kind: (name,)})
    subtrees = (Constraint(kind, tree),)
    assert _answer(names, NameConstraints(permitted=subtrees)) == permitted
    assert _answer(names, NameConstraints(excluded=subtrees)) == excluded


def _answer(names: GeneralNames, constraints: NameConstraints) -> str:
    found = list(violations(names, constraints))
    if not found:
        return FINE
    return REFUSED if any(violation.everywhere for violation in found) else DOUBTFUL


def test_constraints_say_nothing_of_other_kinds_of_names() -> None:
    names = GeneralNames(dns=("a.example.org",), uri=(SPIFFE,), ip=("10.1.2.3",))
    constraints = NameConstraints(permitted=(Constraint("email", "example.org"),))
    assert _answer(names, constraints) == FINE


@pytest.mark.parametrize("uri", ["urn:a:b", "https://10.1.2.3/x", "https://[fd00::1]/x"])
def test_a_uri_without_a_host_name_is_doubtful_under_any_constraints(uri: str) -> None:
    constraints = NameConstraints(permitted=(Constraint("dns", "example.org"),))
    assert _answer(GeneralNames(uri=(uri,)), constraints) == DOUBTFUL


def test_one_permitted_subtree_of_several_is_enough_and_exclusion_prevails() -> None:
    permitted = (Constraint("dns", "example.org"), Constraint("dns", "other.example"))
    names = GeneralNames(dns=("a.other.example",))
    assert _answer(names, NameConstraints(permitted=permitted)) == FINE
    excluded = (Constraint("dns", "a.other.example"),)
    assert _answer(names, NameConstraints(permitted=permitted, excluded=excluded)) == REFUSED


def test_a_common_name_counts_only_if_it_looks_like_a_dns_name() -> None:
    constraints = NameConstraints(permitted=(Constraint("dns", "example.org"),))
    assert _answer(GeneralNames(common=("a.other.example",)), constraints) == DOUBTFUL
    assert _answer(GeneralNames(common=("some service",)), constraints) == FINE
    assert _answer(GeneralNames(common=("b.example.org",)), constraints) == FINE


def test_constraints_that_some_verifier_refuses_are_named() -> None:
    constraints = NameConstraints(
        permitted=(Constraint("DirectoryName", "CN=a"), Constraint("dns", "example.org")),
        excluded=(Constraint("dns", ".example.org"), Constraint("uri", ".example.org")),
    )
    assert constraints.of_unknown_kinds() == ("DirectoryName CN=a",)
    assert constraints.with_leading_dots() == (".example.org",)
