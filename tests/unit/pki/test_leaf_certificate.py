"""Leaves that are made here, for readers that cannot take what cert-manager writes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from mtls_pki.pki.certificates import Validity, leaf_certificate
from mtls_pki.pki.errors import PkiError
from mtls_pki.pki.parsing import parse_certificate
from tests.unit.pki import material
from tests.unit.pki.material import ONE_DAY, key_pem, parsed

ISSUER = material.issuing("relay", root_pem=material.root("g1"), root_key=key_pem("g1"))


def made(**changes: Any) -> str:
    arguments = {
        "key_pem": key_pem("leaf"),
        "dns_names": ("cluster1",),
        "validity": ONE_DAY,
        "issuer_pem": ISSUER,
        "issuer_key_pem": key_pem("relay"),
        **changes,
    }
    return leaf_certificate(**arguments)


def test_it_is_what_cert_manager_would_make() -> None:
    leaf = parsed(made())
    like = parsed(material.leaf(ISSUER, material.key("relay"), dns="cluster1"))
    kinds = {extension.oid: extension.critical for extension in like.extensions}
    assert {extension.oid: extension.critical for extension in leaf.extensions} == kinds
    for kind in (x509.KeyUsage, x509.ExtendedKeyUsage, x509.BasicConstraints):
        both = [each.extensions.get_extension_for_class(kind).value for each in (leaf, like)]
        assert both[0] == both[1]
    leaf.verify_directly_issued_by(parsed(ISSUER))


def test_the_same_inputs_give_the_same_bytes() -> None:
    assert made() == made()
    later = Validity(ONE_DAY.not_before, ONE_DAY.not_after - timedelta(seconds=1))
    serials = {
        parse_certificate(pem, origin="x").serial_number for pem in (made(), made(validity=later))
    }
    assert len(serials) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dns_names": ()}, "a leaf needs a name; give one"),
        ({"issuer_key_pem": key_pem("other")}, "do not belong together"),
        (
            {"validity": Validity(ONE_DAY.not_before - timedelta(days=9999), ONE_DAY.not_after)},
            "the leaf begins before its issuer",
        ),
        (
            {"validity": Validity(ONE_DAY.not_before, ONE_DAY.not_after + timedelta(days=9999))},
            "the leaf ends after its issuer",
        ),
    ],
)
def test_what_would_not_verify_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PkiError, match=words):
        made(**changes)
