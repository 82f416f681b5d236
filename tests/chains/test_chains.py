"""Chains made by ``pki``, judged by verifiers and a linter that know nothing of it.

Every scenario goes to every verifier, and the bad ones must be refused by each: a verifier that
accepts everything would prove nothing.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from mtls_pki.pki.bundle import render_bundle
from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.chain import verify_issuing_ca
from mtls_pki.pki.requests import certificate_signing_request
from tests.chains.lint import findings
from tests.chains.verifiers import VERIFIERS, Verdict
from tests.unit.pki import material
from tests.unit.pki.material import KEY_KINDS, NOW, key, key_pem, parsed

HOST = "gateway.monoskope.svc.cluster.local"
PAST = Validity(NOW - timedelta(days=9), NOW - timedelta(days=1))
FUTURE = Validity(NOW + timedelta(days=1), NOW + timedelta(days=9))


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A chain (PEM, leaf first) and the roots that are trusted."""

    chain: str
    roots: str
    host: str = HOST
    at: datetime | None = NOW

    def judged_by(self, verifier: str) -> Verdict:
        return VERIFIERS[verifier](self.chain, self.roots, self.host, self.at)


def _root(generation: str = "g1", **fields: Any) -> str:
    return material.root(generation, **fields)


def _issuing(root: str, generation: str = "g1", **fields: Any) -> str:
    return material.issuing("i", root_pem=root, root_key=key_pem(generation), **fields)


def _steady(*, roots: str | None = None, host: str = HOST, **fields: Any) -> Scenario:
    """Return root, issuing CA and leaf, with ``fields`` of the leaf changed."""
    root = _root()
    issuing = _issuing(root)
    leaf = material.leaf(issuing, key("i"), **fields)
    return Scenario(chain=leaf + issuing, roots=roots or root, host=host)


def _direct() -> Scenario:
    return Scenario(chain=material.leaf(_root(), key("g1")), roots=_root())


def _now() -> Scenario:
    """Return a chain that is good at the time of the test itself, as live ones are."""
    now = datetime.now(UTC).replace(microsecond=0)
    validity = Validity(now - timedelta(hours=1), now + timedelta(hours=1))
    root = _root(validity=validity)
    issuing = _issuing(root, validity=validity)
    leaf = material.leaf(issuing, key("i"), validity=validity)
    return Scenario(chain=leaf + issuing, roots=root, at=None)


def _of_kind(kind: str) -> Scenario:
    root = _root(kind=kind)
    issuing = material.issuing("i", kind=kind, root_pem=root, root_key=key_pem("g1", kind))
    return Scenario(chain=material.leaf(issuing, key("i", kind)) + issuing, roots=root)


def _two_cas(room: int | None, below: int) -> Scenario:
    """Return root, issuing CA, one more CA as istiod's, and a leaf."""
    root = _root(path_length=room)
    issuing = _issuing(root, path_length=below)
    lower = material.certificate(
        key=key("lower"),
        subject="lower",
        issuer=parsed(issuing).subject,
        issuer_key=key("i"),
        extensions=material.ca_extensions(key("lower"), issuer=parsed(issuing)).values(),
    )
    return Scenario(chain=material.leaf(lower, key("lower")) + lower + issuing, roots=root)


def _too_long_for_its_root() -> Scenario:
    """Return an issuing CA that promises a CA below it, which its root leaves no room for."""
    root = _root(path_length=1)
    unlimited = material.certificate(
        key=key("i"),
        subject="i",
        issuer=parsed(root).subject,
        issuer_key=key("g1"),
        extensions=material.ca_extensions(key("i"), issuer=parsed(root), path_length=None).values(),
    )
    lower = material.certificate(
        key=key("lower"),
        subject="lower",
        issuer=parsed(unlimited).subject,
        issuer_key=key("i"),
        extensions=material.ca_extensions(key("lower"), issuer=parsed(unlimited)).values(),
    )
    return Scenario(chain=material.leaf(lower, key("lower")) + lower + unlimited, roots=root)


def _constrained(domain: str, dns: str = HOST) -> Scenario:
    root = _root()
    issuing = _issuing(root, permitted=(domain,))
    return Scenario(chain=material.leaf(issuing, key("i"), dns=dns) + issuing, roots=root, host=dns)


def _cross_signed() -> Scenario:
    """Return a leaf of g2 for a verifier that trusts g1 only, with g2 certified by g1."""
    old, new = _root(), _root("g2")
    extensions = material.ca_extensions(key("g2"), issuer=parsed(old))
    cross = material.certificate(
        key=key("g2"),
        subject=parsed(new).subject,
        issuer=parsed(old).subject,
        issuer_key=key("g1"),
        extensions=extensions.values(),
    )
    return Scenario(chain=material.leaf(new, key("g2")) + cross, roots=old)


def _same_name(*, trusted: tuple[str, ...]) -> Scenario:
    """Return a leaf of g1, whose root shares its name with g2's."""
    roots = {name: _root(name, common_name="root") for name in ("g1", "g2")}
    issuing = _issuing(roots["g1"])
    return Scenario(
        chain=material.leaf(issuing, key("i")) + issuing,
        roots=render_bundle(roots[name] for name in trusted),
    )


def _renewed_root() -> Scenario:
    """Return a chain made before its root was renewed: same key and name, new dates."""
    return _steady(roots=_root(validity=material.ONE_YEAR))


def _expired_issuing() -> Scenario:
    root = _root(validity=Validity(NOW - timedelta(days=90), NOW + timedelta(days=90)))
    issuing = _issuing(root, validity=PAST)
    return Scenario(chain=material.leaf(issuing, key("i")) + issuing, roots=root)


def _expired_root() -> Scenario:
    root = _root(validity=PAST)
    return Scenario(chain=material.leaf(root, key("g1")), roots=root)


def _leaf_as_ca() -> Scenario:
    """Return a leaf "signed" by another leaf."""
    root = _root()
    false_ca = material.certificate(
        key=key("i"),
        subject="a leaf",
        issuer=parsed(root).subject,
        issuer_key=key("g1"),
        extensions=[
            (x509.SubjectKeyIdentifier.from_public_key(key("i").public_key()), False),
            (material.authority_key_id(parsed(root)), False),
        ],
    )
    return Scenario(chain=material.leaf(false_ca, key("i")) + false_ca, roots=root)


def _one_purpose(purpose: x509.ObjectIdentifier) -> Scenario:
    return _steady(purposes=(purpose,))


GOOD: dict[str, Callable[[], Scenario]] = {
    "steady": _steady,
    "directly under the root": _direct,
    "by the clock": _now,
    **{f"{kind} keys": partial(_of_kind, kind) for kind in KEY_KINDS},
    "a CA below the issuing CA": lambda: _two_cas(room=2, below=1),
    "a CA below, root without limit": lambda: _two_cas(room=None, below=1),
    "permitted domain": lambda: _constrained("svc.cluster.local"),
    "permitted domain itself": lambda: _constrained(HOST),
    "permitted domain with a leading dot": lambda: _constrained(".svc.cluster.local"),
    "old and new root trusted": lambda: _steady(roots=render_bundle([_root("g2"), _root()])),
    "two roots of one name": lambda: _same_name(trusted=("g1", "g2")),
    "root renewed since": _renewed_root,
    "cross-signed": _cross_signed,
}

# What each of the verifiers says of one fault, openssl | gnutls | cryptography | go: a refusal for
# any other reason (a wrong option, a file not found) must not pass for the control that it is.
UNTRUSTED = "local issuer|issuer is unknown|exhausted|unknown authority"
WRONG_HOST = "hostname mismatch|does not match the expected|no matching|is valid for"
EXPIRED = "has expired|expired certificate|not valid at validation time"
TOO_EARLY = "not yet valid|not valid at validation time"
PATH_LENGTH = "path length|violates the signer's constraints|too many intermediates"
OUTSIDE = "permitted subtree|violates the signer's constraints|no permitted name|not permitted"
NO_CA = "invalid CA|is not a CA|has no basicConstraints|cannot sign this kind"
PURPOSE = "certificate purpose|intended purpose|required EKU not found|incompatible key usage"

BAD: dict[str, tuple[Callable[[], Scenario], str]] = {
    "wrong root": (lambda: _steady(roots=_root("g2")), UNTRUSTED),
    "root of the same name": (lambda: _same_name(trusted=("g2",)), UNTRUSTED),
    "issuing CA not presented": (
        lambda: Scenario(chain=material.leaf(_issuing(_root()), key("i")), roots=_root()),
        UNTRUSTED,
    ),
    "wrong host": (lambda: _steady(host="stranger.monoskope.svc.cluster.local"), WRONG_HOST),
    "leaf expired": (lambda: _steady(validity=PAST), EXPIRED),
    "issuing CA expired": (_expired_issuing, EXPIRED),
    "root expired": (_expired_root, EXPIRED),
    "leaf not yet valid": (lambda: _steady(validity=FUTURE), TOO_EARLY),
    "a CA below path length 0": (lambda: _two_cas(room=2, below=0), PATH_LENGTH),
    "a CA too many for the root": (_too_long_for_its_root, PATH_LENGTH),
    "outside the permitted domain": (lambda: _constrained("other.cluster.local"), OUTSIDE),
    "a suffix of letters only": (lambda: _constrained("cal"), OUTSIDE),
    "leaf as CA": (_leaf_as_ca, NO_CA),
    "server only": (lambda: _one_purpose(ExtendedKeyUsageOID.SERVER_AUTH), PURPOSE),
    "client only": (lambda: _one_purpose(ExtendedKeyUsageOID.CLIENT_AUTH), PURPOSE),
}

# Good chains that one verifier does not take, and why that is no fault of the chain.
REFUSED_BY_DESIGN = {
    ("ed25519 keys", "cryptography"): "its profile is the web PKI's, which has no Ed25519",
}


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("name", GOOD)
def test_a_good_chain_is_accepted(name: str, verifier: str) -> None:
    verdict = GOOD[name]().judged_by(verifier)
    assert verdict.accepted == ((name, verifier) not in REFUSED_BY_DESIGN), verdict.reason


@pytest.mark.parametrize("verifier", VERIFIERS)
@pytest.mark.parametrize("name", BAD)
def test_a_bad_chain_is_refused_for_what_is_bad(name: str, verifier: str) -> None:
    make, reason = BAD[name]
    verdict = make().judged_by(verifier)
    assert not verdict.accepted, verdict.reason
    assert re.search(reason, verdict.reason), verdict.reason


@pytest.mark.parametrize("verifier", VERIFIERS)
def test_an_issuing_ca_signed_offline_by_openssl_is_as_good(verifier: str, tmp_path: Path) -> None:
    """The ceremony: the request goes to the root's owner, the certificate comes back."""
    root = _root()
    request = certificate_signing_request(
        key_pem=key_pem("i"), common_name="offline", permitted_dns_domains=("svc.cluster.local",)
    )
    files = {
        "issuing.csr": request,
        "root.pem": root,
        "root.key": key_pem("g1"),
        "extensions": "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = "openssl x509 -req -in issuing.csr -CA root.pem -CAkey root.key -days 365"
    issuing = subprocess.run(
        [*command.split(), "-copy_extensions", "copyall", "-extfile", "extensions"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert verify_issuing_ca(issuing, key_pem("i"), root) == ()
    now = datetime.now(UTC).replace(microsecond=0)
    leaf = material.leaf(
        issuing, key("i"), validity=Validity(now - timedelta(hours=1), now + timedelta(hours=1))
    )
    verdict = VERIFIERS[verifier](leaf + issuing, root, HOST, None)
    assert verdict.accepted, verdict.reason


def _specimens() -> dict[str, list[tuple[str, str | None]]]:
    """Return certificates of every kind with their issuers, for the linter."""
    root = _root()
    deep, unlimited = _root(path_length=2), _root(path_length=None)
    issuing = _issuing(root)
    late = _root(validity=Validity(NOW, datetime(2060, 1, 1, tzinfo=UTC)))
    return {
        "root": [
            *((_root(kind=kind), None) for kind in KEY_KINDS),
            *((pem, None) for pem in (root, deep, unlimited, late)),
        ],
        "issuing CA": [
            (issuing, root),
            (_issuing(deep, path_length=1), deep),
            (_issuing(root, permitted=("svc.cluster.local", ".example.org")), root),
            *(
                (material.issuing("i", kind=kind, root_pem=root, root_key=key_pem("g1")), root)
                for kind in KEY_KINDS
            ),
        ],
        "leaf": [(material.leaf(issuing, key("i")), issuing)],
    }


# What the linter may say, and why it is left so.
ALLOWED_FINDINGS = {
    ("leaf", "pkix.certificate_skid_end_entity_missing"): (
        "cert-manager's leaves have none: Go writes it for CAs only; RFC 5280 4.2.1.2 says SHOULD"
    ),
    ("leaf", "pkix.invalid_uri_syntax"): (
        "the linter's URI library knows no scheme spiffe; RFC 3986 and the SPIFFE ID standard do"
    ),
}


def test_the_linter_finds_nothing_but_what_is_allowed_with_a_reason() -> None:
    found = {
        (kind, code)
        for kind, certificates in _specimens().items()
        for pem, issuer in certificates
        for code in findings(pem, issuer_pem=issuer)
    }
    # Equal, not less: an allowance that is no longer needed must go.
    assert found == set(ALLOWED_FINDINGS)


def test_the_linter_finds_a_fault() -> None:
    not_critical = (x509.BasicConstraints(ca=True, path_length=0), False)
    extensions = material.ca_extensions(key("g1")) | {"constraints": not_critical}
    faulty = material.certificate(key=key("g1"), subject="r", extensions=extensions.values())
    assert "pkix.basic_constraints_extension_not_critical" in findings(faulty)
    assert findings(_issuing(_root()), issuer_pem=_root("g2"))
