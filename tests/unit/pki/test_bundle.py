"""The trust bundle: roots only, each once, always in the same order, never empty."""

from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.pki.bundle import bundle_members, render_bundle
from mtls_pki.pki.errors import PkiError
from tests.unit.pki import material
from tests.unit.pki.material import key_pem, parsed

GENERATIONS = ("g1", "g2", "g3", "g4")


@given(st.lists(st.sampled_from(GENERATIONS), min_size=1, max_size=8))
def test_order_and_repetition_of_the_inputs_do_not_matter(generations: list[str]) -> None:
    bundle = render_bundle(material.root(name) for name in generations)
    assert bundle == render_bundle(material.root(name) for name in sorted(set(generations)))
    members = bundle_members(bundle, origin="bundle")
    assert set(members) == {parsed(material.root(name)) for name in generations}
    digests = [
        hashlib.sha256(member.public_bytes(serialization.Encoding.DER)).digest()
        for member in members
    ]
    assert digests == sorted(set(digests))


def test_a_bundle_is_plain_blocks_with_a_newline_at_the_end() -> None:
    bundle = render_bundle([f"# comment\n{material.root('g1').rstrip()}"])
    assert bundle == material.root("g1")
    assert bundle.endswith("-----END CERTIFICATE-----\n")


def test_the_same_key_with_new_dates_is_a_second_member() -> None:
    renewed = material.root("g1", validity=material.ONE_YEAR)
    bundle = render_bundle([material.root("g1"), renewed])
    assert len(bundle_members(bundle, origin="bundle")) == 2


def test_an_empty_bundle_is_refused() -> None:
    with pytest.raises(PkiError, match=r"would be empty.*keep at least one anchor"):
        render_bundle([])


def test_what_is_no_root_is_refused_by_number_and_name() -> None:
    root = material.root("g1")
    issuing = material.issuing("i", root_pem=root, root_key=key_pem("g1"))
    stranger = material.certificate(key=material.key("leaf"), subject="self", extensions=())
    for pem, name in ((issuing, "CN=i.example.org"), (stranger, "CN=self")):
        with pytest.raises(PkiError, match=f"^root 2 of the trust bundle: {name} is no self-sign"):
            render_bundle([root, pem])


def test_a_concatenation_is_refused() -> None:
    with pytest.raises(PkiError, match="root 1 of the trust bundle: holds 2 certificates"):
        render_bundle([material.root("g1") + material.root("g2")])


def test_members_of_a_live_bundle_are_whatever_is_there() -> None:
    root = material.root("g1")
    issuing = material.issuing("i", root_pem=root, root_key=key_pem("g1"))
    members = bundle_members(issuing + root + root, origin="monoskope/mesh-trust")
    assert set(members) == {parsed(root), parsed(issuing)}
    assert len(members) == 2
    with pytest.raises(PkiError, match=r"^monoskope/mesh-trust: holds no PEM certificate"):
        bundle_members("", origin="monoskope/mesh-trust")
