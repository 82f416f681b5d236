"""Several generations at once: what is trusted, what issues, and under which names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from mtls_pki.pki.fingerprints import der_sha256
from mtls_pki.pki.parsing import parse_certificates
from tests.unit.pki import material
from tests.unit.pki.assertions import assert_is_root
from tests.unit.program.engine import Program, run_program, texts
from tests.unit.program.stacks import COMPROMISED_G1, ISSUING_G2, bring
from tests.unit.settings.configuration import G2, changed


def run(changes: dict[str, Any], *, secret: bool = False) -> Program:
    return run_program(changed(changes), secret=["anchors"] if secret else [])


def bundle(program: Program) -> tuple[x509.Certificate, ...]:
    data = program.object("ConfigMap", "mesh-trust", namespace="app").inputs["data"]
    return parse_certificates(data["ca.crt"], origin="bundle")


def names(certificates: tuple[x509.Certificate, ...]) -> set[str]:
    return {certificate.subject.rfc4514_string() for certificate in certificates}


def chain(program: Program, secret: str) -> tuple[x509.Certificate, ...]:
    pem = program.tls_data(secret)["tls.crt"]
    return parse_certificates(pem, origin=secret)


def issuers(program: Program) -> list[str]:
    return [issuer.metadata["name"] for issuer in program.of("ClusterIssuer")]


@pytest.mark.parametrize("changes", [{"anchors.g2": G2}, ISSUING_G2], ids=["incoming", "outgoing"])
def test_the_bundle_holds_every_trusted_generation_sorted(changes: dict[str, Any]) -> None:
    members = bundle(run(changes))
    assert names(members) == {"CN=root.example.org", "CN=root-g2.example.org"}
    assert list(members) == sorted(members, key=der_sha256)
    for member in members:
        assert_is_root(member, path_length=1)


def test_a_compromised_generation_is_not_trusted_and_does_not_issue() -> None:
    program = run(COMPROMISED_G1)
    assert names(bundle(program)) == {"CN=root-g2.example.org"}
    assert issuers(program) == ["mtls-ca-g2-i1"]


def test_its_key_is_kept_until_it_is_removed_from_the_configuration() -> None:
    program = run(COMPROMISED_G1)
    key = program.one("PrivateKey", "g1-key")
    assert key.retain_on_delete
    assert not key.protect


@pytest.mark.parametrize(
    ("changes", "protected"),
    [
        ({}, {"g1"}),
        ({"anchors.g2": G2}, {"g1"}),
        (ISSUING_G2, {"g2"}),
        (COMPROMISED_G1, {"g2"}),
    ],
    ids=["one", "incoming", "issuing", "compromised"],
)
def test_the_anchor_that_issues_is_protected_with_its_key(
    changes: dict[str, Any], protected: set[str]
) -> None:
    program = run(changes)
    anchors = program.of("TrustAnchor")
    assert {anchor.name for anchor in anchors if anchor.protect} == protected
    # An issuing CA's key leaves the program when that CA rotates below an anchor that stays.
    keys = {f"{generation}-key" for generation in protected}
    assert {key.name for key in program.of("PrivateKey") if key.protect} == keys
    assert all(key.retain_on_delete for key in program.of("PrivateKey"))
    assert {r.kind for r in program.resources if r.protect} == {"TrustAnchor", "PrivateKey"}


def test_keys_of_generations_are_different() -> None:
    program = run({"anchors.g2": G2})
    assert [key.name for key in program.of("PrivateKey")] == [
        "g1-i1-key",
        "g1-key",
        "g2-i1-key",
        "g2-key",
    ]


def test_an_incoming_generation_has_no_issuer() -> None:
    assert issuers(run({"anchors.g2": G2})) == ["mtls-ca-g1-i1"]


def test_a_new_generation_issues_from_an_issuer_of_its_own() -> None:
    program = run(ISSUING_G2)
    assert issuers(program) == ["mtls-ca-g1-i1", "mtls-ca-g2-i1"]
    for generation, root in (("g1", "root.example.org"), ("g2", "root-g2.example.org")):
        issuing, anchor = chain(program, f"mtls-ca-{generation}-i1")
        assert issuing.subject.rfc4514_string() == f"CN=issuing-{generation}-i1.example.org"
        assert anchor.subject.rfc4514_string() == f"CN={root}"
        issuing.verify_directly_issued_by(anchor)
    assert program.object("Certificate", "web").spec["issuerRef"] == {
        "name": "mtls-ca-g2-i1",
        "kind": "ClusterIssuer",
    }


def test_the_bundle_never_goes_into_a_ca_secret() -> None:
    program = run(ISSUING_G2 | {"issuing.stable": True})
    for secret in program.of("Secret"):
        name = secret.metadata["name"]
        assert set(program.tls_data(name)) == {"tls.crt", "tls.key"}
        assert len([c for c in chain(program, name) if c.issuer == c.subject]) == 1


@pytest.mark.parametrize(
    ("changes", "root"),
    [({"anchors.g2": G2}, "root.example.org"), (ISSUING_G2, "root-g2.example.org")],
)
def test_the_stable_issuer_follows_the_issuing_generation(
    changes: dict[str, Any], root: str
) -> None:
    program = run(changes | {"issuing.stable": True})
    assert "mtls-ca" in issuers(program)
    _, anchor = chain(program, "mtls-ca")
    assert anchor.subject.rfc4514_string() == f"CN={root}"
    own = "mtls-ca-g1-i1" if root == "root.example.org" else "mtls-ca-g2-i1"
    assert program.tls_data("mtls-ca") == program.tls_data(own)


def test_without_the_wish_there_is_no_stable_issuer() -> None:
    assert "mtls-ca" not in issuers(run({}))


def test_a_canary_moves_alone() -> None:
    program = run(
        {
            "anchors.g2": G2,
            "services.web.anchor": "g2",
            "services.api": {"namespace": "app"},
        }
    )
    assert issuers(program) == ["mtls-ca-g1-i1", "mtls-ca-g2-i1"]
    web, api = (program.object("Certificate", name) for name in ("web", "api"))
    assert web.spec["issuerRef"]["name"] == "mtls-ca-g2-i1"
    assert api.spec["issuerRef"]["name"] == "mtls-ca-g1-i1"
    assert program.object("ClusterIssuer", "mtls-ca-g2-i1").urn in web.dependencies
    assert program.object("ClusterIssuer", "mtls-ca-g2-i1").urn not in api.dependencies


def test_a_service_can_stay_behind() -> None:
    program = run(ISSUING_G2 | {"services.web.anchor": "g1"})
    assert program.object("Certificate", "web").spec["issuerRef"]["name"] == "mtls-ca-g1-i1"


def test_a_new_issuing_ca_is_a_new_key_and_a_new_issuer_under_the_same_root() -> None:
    before = run({})
    after = run({"issuing.intermediate": {"generation": "i2"}})
    assert bundle(before) == bundle(after)
    assert issuers(after) == ["mtls-ca-g1-i2"]
    assert [key.name for key in after.of("PrivateKey")] == ["g1-i2-key", "g1-key"]


def test_leaves_directly_under_the_root() -> None:
    program = run({"issuing.direct": True})
    assert [key.name for key in program.of("PrivateKey")] == ["g1-key"]
    assert issuers(program) == ["mtls-ca-g1"]
    assert chain(program, "mtls-ca-g1") == bundle(program)


# Anchors that were made elsewhere.


def test_a_brought_root_is_trusted_and_its_key_never_comes_here(tmp_path: Path) -> None:
    g2 = bring(tmp_path, "g2", issuing_ca=False) | {"role": "incoming"}
    program = run({"anchors.g2": g2})
    assert names(bundle(program)) == {"CN=root.example.org", "CN=root-g2.example.org"}
    assert issuers(program) == ["mtls-ca-g1-i1"]
    assert [key.name for key in program.of("PrivateKey")] == ["g1-i1-key", "g1-key"]


def test_a_brought_issuing_ca_issues(tmp_path: Path) -> None:
    g1 = bring(tmp_path, "g1", issuing_ca=True) | {"role": "issuing"}
    program = run({"anchors.g1": g1}, secret=True)
    assert program.of("PrivateKey") == []
    assert issuers(program) == ["mtls-ca-g1-offline"]
    issuing, root = chain(program, "mtls-ca-g1-offline")
    issuing.verify_directly_issued_by(root)
    assert (root,) == bundle(program)
    assert program.tls_data("mtls-ca-g1-offline")["tls.key"] == material.key_pem("g1-offline")
    seen = [r.inputs for r in program.resources] + list(program.outputs.values())
    assert not [text for text in texts([*seen, program.logged]) if "PRIVATE KEY" in text]


def test_an_anchor_that_issues_is_protected_even_if_it_was_brought(tmp_path: Path) -> None:
    g1 = bring(tmp_path, "g1", issuing_ca=True) | {"role": "issuing"}
    assert run({"anchors.g1": g1}, secret=True).one("TrustAnchor", "g1").protect


def test_files_without_a_last_newline_are_joined_whole(tmp_path: Path) -> None:
    g1 = bring(tmp_path, "g1", issuing_ca=True) | {"role": "issuing"}
    for file in tmp_path.glob("*.pem"):
        file.write_text(file.read_text().rstrip("\n"))
    assert len(chain(run({"anchors.g1": g1}, secret=True), "mtls-ca-g1-offline")) == 2
