"""An issuing CA in a Vault is renewed (same key, new dates), with its root; then it is rotated."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from cryptography import x509

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.pki.signatures import is_signed_by
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.chains import assert_chain_holds
from tests.integration.support.vault import Vault
from tests.integration.support.vault_stack import mount, prepare, sign_role, vault_stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("vault")]

NAME = "renewed"


def test_a_renewed_issuing_ca_signs_and_leaves_stay_a_rotated_one_signs_them_anew(
    vault_plane: ControlPlane, vault: Vault, vault_api: Api, make_stack: MakeStack
) -> None:
    stack = prepare(make_stack(NAME), vault, vault_stack(NAME, vault_plane, vault))
    stack.up()
    issued = cluster.secret(vault_api, NAME, "web-tls")["tls.crt"]
    (first,), since = _signing(vault), dt.datetime.now(dt.UTC)

    values = stack.read()
    values["anchors"]["g1"]["validFor"] = "90000h"
    values["issuing"]["intermediate"] = {"validFor": "17520h"}
    values["services"]["late"] = {"namespace": NAME}
    stack.write(values)
    refused = stack.preview()
    assert refused.status != 0
    assert "currently marked for protection" in refused.output

    values["issuing"]["vault"]["protect"] = False
    stack.write(values)
    stack.up()
    assert cluster.secret(vault_api, NAME, "web-tls")["tls.crt"] == issued
    late = cluster.secret(vault_api, NAME, "late-tls")["tls.crt"]
    bundle = cluster.config_map(vault_api, NAME, f"{NAME}-trust")["ca.crt"]
    host = f"late.{NAME}.svc.cluster.local"
    assert_chain_holds(late, bundle, host)
    _, second = parse_certificates(late, origin="late")
    assert second != first
    assert spki_sha256(second) == spki_sha256(first)
    assert _life(second) == dt.timedelta(hours=17520)
    assert not [e.path for e in vault.audit_requests(since) if "/generate/" in e.path]
    # Nothing is destroyed: the old certificate stays beside the new one, and signs no more.
    assert set(_signing(vault)) == {first, second}
    default = vault.api("GET", f"{mount(NAME)}/config/issuers")["data"]["default"]
    role = vault.api("GET", f"{mount(NAME)}/roles/{sign_role(NAME)}")["data"]
    assert role["issuer_ref"] == default
    assert _certificate(_issuer(vault, default)) == second

    values["issuing"]["intermediate"]["generation"] = "i2"
    stack.write(values)
    stack.up()
    web, third = parse_certificates(
        cluster.secret(vault_api, NAME, "web-tls")["tls.crt"], origin=""
    )
    assert is_signed_by(web, third)
    assert spki_sha256(third) != spki_sha256(first)
    # It was not protected any more, so the stack's last one is gone; what was retained is not.
    assert set(_signing(vault)) == {first, third}
    assert cluster.config_map(vault_api, NAME, f"{NAME}-trust")["ca.crt"] == bundle

    values["issuing"]["vault"]["protect"] = True
    stack.write(values)
    assert stack.up().changes == {}


def _signing(vault: Vault) -> list[x509.Certificate]:
    """The certificates in the mount whose key is there too."""
    held = vault.api("LIST", f"{mount(NAME)}/issuers")["data"]["keys"]
    found = [_issuer(vault, each) for each in held]
    return [_certificate(each) for each in found if each["key_id"]]


def _issuer(vault: Vault, reference: str) -> dict[str, Any]:
    data: dict[str, Any] = vault.api("GET", f"{mount(NAME)}/issuer/{reference}")["data"]
    return data


def _certificate(issuer: dict[str, Any]) -> x509.Certificate:
    return parse_certificates(issuer["certificate"], origin=issuer["issuer_name"])[0]


def _life(certificate: x509.Certificate) -> dt.timedelta:
    return certificate.not_valid_after_utc - certificate.not_valid_before_utc
