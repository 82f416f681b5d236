"""What a sign role and a login role let through: what the stack's services need, and no more.

Every refusal has beside it the request that differs in nothing else and is granted.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hvac.exceptions import VaultError

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.backends.vault.diagnosis import explain
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.pki.profile import subject_key_id
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import generated
from tests.integration.support.stack import Stack
from tests.integration.support.vault import Vault
from tests.integration.support.vault_stack import (
    auth_path,
    held_issuer,
    issuer,
    mount,
    prepare,
    sign_role,
    vault_stack,
)

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("vault")]

NAME = "roles"
HOST = f"web.{NAME}.svc.cluster.local"
IDENTITY = f"spiffe://{NAME}.example.org/ns/{NAME}/sa/web"
API_AUDIENCE = "https://kubernetes.default.svc"
OWN_AUDIENCE = f"vault://{NAME}/{issuer(NAME)}"
DAY = dt.timedelta(hours=24)
_TOLERATED = dt.timedelta(seconds=31)  # Vault lets leaves begin 30 s before now

Names = Iterable[x509.GeneralName]
P256 = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def stack(vault_plane: ControlPlane, vault: Vault, make_stack: MakeStack) -> Stack:
    """A stack with a generation that issues and one that comes in, both in the Vault."""
    anchors = {"g1": generated("g1", NAME), "g2": generated("g2", NAME, "incoming")}
    stack = prepare(make_stack(NAME), vault, vault_stack(NAME, vault_plane, vault))
    stack.up()
    stack.write({**stack.read(), "anchors": anchors})
    stack.up()
    return stack


def account_token(
    api: Api, account: str, namespace: str, audiences: Iterable[str] = (API_AUDIENCE, OWN_AUDIENCE)
) -> str:
    """A token of a service account, as cert-manager asks for one."""
    made = api.request(
        "POST",
        f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token",
        {"spec": {"audiences": list(audiences), "expirationSeconds": 600}},
    )
    return str(made["status"]["token"])


def log_in(vault: Vault, jwt: str) -> str:
    """The Vault token that the login role of the issuer gives for a service account's."""
    body = {"role": f"{issuer(NAME)}-{NAME}", "jwt": jwt}
    return str(vault.api("POST", f"auth/{auth_path(NAME)}/login", body)["auth"]["client_token"])


@pytest.fixture
def login(stack: Stack, vault: Vault, vault_api: Api) -> str:
    """A token as cert-manager has it when it asks for a signature."""
    return log_in(vault, account_token(vault_api, issuer(NAME), NAME))


def request_pem(
    *names: x509.GeneralName,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = P256,
    extensions: Iterable[x509.ExtensionType] = (),
    common_name: str | None = None,
) -> str:
    subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    for extension in (x509.SubjectAlternativeName(names), *extensions):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def sign(
    vault: Vault, token: str, csr: str, *, role: str = sign_role(NAME), ttl: str = "24h"
) -> x509.Certificate:
    """What the Vault signs, asked for as cert-manager asks."""
    body = {"csr": csr, "ttl": ttl, "exclude_cn_from_sans": True}
    signed = vault.api("POST", f"{mount(NAME)}/sign/{role}", body, token=token)
    return parse_certificate(signed["data"]["certificate"], origin="leaf")


GOOD = (x509.DNSName(HOST), x509.UniformResourceIdentifier(IDENTITY))


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([x509.DNSName("web.elsewhere.svc.cluster.local")], "not allowed by this role"),
        ([x509.DNSName(f"{NAME}.svc.cluster.local.evil.org")], "not allowed by this role"),
        ([x509.DNSName(f"not{NAME}.svc")], "not allowed by this role"),
        ([x509.DNSName(f"*.{NAME}.svc.cluster.local")], "not allowed by this role"),
        ([x509.DNSName("localhost")], "not allowed by this role"),
        ([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))], "not allowed in this role"),
        (
            [x509.UniformResourceIdentifier(f"spiffe://{NAME}.example.org/ns/other/sa/web")],
            "not valid for this role",
        ),
        (
            [x509.UniformResourceIdentifier(f"spiffe://evil.org/ns/{NAME}/sa/web")],
            "not valid for this role",
        ),
    ],
    ids=["namespace", "suffix", "prefix", "wildcard", "localhost", "ip", "spiffe-ns", "spiffe-td"],
)
def test_a_name_outside_is_refused_and_explained(
    vault: Vault, login: str, names: list[x509.GeneralName], said: str
) -> None:
    leaf = sign(vault, login, request_pem(*GOOD))
    held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(held) == set(GOOD)
    with pytest.raises(VaultError, match=said) as told:
        sign(vault, login, request_pem(*GOOD, *names))
    assert "the sign role refuses a name" in str(explain(str(told.value)))


def test_a_common_name_outside_is_refused(vault: Vault, login: str) -> None:
    assert sign(vault, login, request_pem(*GOOD, common_name=HOST))
    with pytest.raises(VaultError, match="not allowed by this role") as told:
        sign(vault, login, request_pem(*GOOD, common_name="admin.evil.org"))
    assert "the sign role refuses a name" in str(explain(str(told.value)))


def test_a_request_cannot_become_a_ca_nor_choose_its_usages(vault: Vault, login: str) -> None:
    """Of a Certificate with ``isCA: true`` cert-manager makes such a request."""
    wishes = (
        x509.BasicConstraints(ca=True, path_length=None),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]),
        _usage(key_cert_sign=True),
    )
    for extensions in (wishes, ()):
        leaf = sign(vault, login, request_pem(*GOOD, extensions=extensions))
        stated = {type(each.value): each.value for each in leaf.extensions}
        assert stated[x509.BasicConstraints] == x509.BasicConstraints(ca=False, path_length=None)
        assert stated[x509.KeyUsage] == _usage(key_cert_sign=False)
        usages = stated[x509.ExtendedKeyUsage]
        assert isinstance(usages, x509.ExtendedKeyUsage)
        assert set(usages) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_longer_life_is_not_to_be_had(vault: Vault, login: str) -> None:
    shorter = sign(vault, login, request_pem(*GOOD), ttl="1h")
    longer = sign(vault, login, request_pem(*GOOD), ttl="8760h")
    assert life(shorter) <= dt.timedelta(hours=1) + _TOLERATED
    assert DAY - _TOLERATED < life(longer) <= DAY + _TOLERATED


def test_another_kind_of_key_is_refused(vault: Vault, login: str) -> None:
    assert sign(vault, login, request_pem(*GOOD))
    with pytest.raises(VaultError, match="role requires keys of type ec") as told:
        sign(vault, login, request_pem(*GOOD, key=rsa.generate_private_key(65537, 2048)))
    assert "keyAlgorithm" in str(explain(str(told.value)))


def test_a_login_signs_through_its_own_role_alone(vault: Vault, login: str) -> None:
    csr = request_pem(*GOOD)
    assert sign(vault, login, csr)
    own, other = (
        held_issuer(vault, mount(NAME), f"{each}-i1")["issuer_id"] for each in ("g1", "g2")
    )
    for path in (
        f"sign/{sign_role(NAME, 'g2')}",
        f"sign-verbatim/{sign_role(NAME)}",
        f"issue/{sign_role(NAME)}",
        f"issuer/{own}/sign/{sign_role(NAME)}",
        f"issuer/{other}/sign-intermediate",
        "root/sign-intermediate",
        f"roles/{sign_role(NAME)}",
        "config/issuers",
    ):
        with pytest.raises(VaultError, match="permission denied"):
            vault.api("POST", f"{mount(NAME)}/{path}", {"csr": csr}, token=login)


def test_another_account_another_namespace_and_another_audience_do_not_log_in(
    stack: Stack, vault: Vault, vault_api: Api
) -> None:
    other = {"metadata": {"name": "thief"}}
    vault_api.request("POST", "/api/v1/namespaces", other)
    for namespace, name in ((NAME, "thief"), ("thief", issuer(NAME))):
        vault_api.request(
            "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}}
        )
        _may_review(vault_api, name, namespace)
    assert log_in(vault, account_token(vault_api, issuer(NAME), NAME))
    for account, namespace, said, meaning in (
        ("thief", NAME, "service account name not authorized", "another service account"),
        (issuer(NAME), "thief", "namespace not authorized", "another service account"),
    ):
        with pytest.raises(VaultError, match=said) as told:
            log_in(vault, account_token(vault_api, account, namespace))
        assert meaning in str(explain(str(told.value)))
    for audiences in (
        (API_AUDIENCE,),
        (API_AUDIENCE, f"vault://{NAME}/another-issuer"),
        (API_AUDIENCE, f"vault://{issuer(NAME)}"),
    ):
        with pytest.raises(VaultError, match="invalid audience") as told:
            log_in(vault, account_token(vault_api, issuer(NAME), NAME, audiences))
        assert "another audience" in str(explain(str(told.value)))


def test_what_asks_through_a_generation_is_signed_by_it_while_the_other_is_promoted(
    stack: Stack, vault: Vault
) -> None:
    """Both roles are asked all the time while the mount's default issuer moves from g1 to g2."""
    keys = {each: issuing_key(vault, f"{each}-i1") for each in ("g1", "g2")}
    assert len(set(keys.values())) == 2
    # The negative control: a role that follows the default, as most set-ups have it.
    careless = {"issuer_ref": "default", "allow_any_name": True, "allowed_uri_sans": "*"}
    careless |= {"require_cn": False, "key_type": "any"}
    vault.api("POST", f"{mount(NAME)}/roles/careless", careless)
    asked = {"g1": sign_role(NAME, "g1"), "g2": sign_role(NAME, "g2"), "careless": "careless"}
    signers: dict[str, set[bytes | None]] = {each: set() for each in asked}
    ended, csr = threading.Event(), request_pem(*GOOD)

    def ask() -> None:
        while not ended.wait(0.05):
            for each, role in asked.items():
                signers[each].add(signer(sign(vault, vault.root_token, csr, role=role)))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            values = stack.read()
            values["anchors"]["g1"]["role"] = "outgoing"
            values["anchors"]["g2"]["role"] = "issuing"
            stack.write(values)
            stack.up()
            cluster.wait_for(lambda: len(signers["careless"]) == 2, "move of the default")
        finally:
            ended.set()
    asking.result()
    vault.api("DELETE", f"{mount(NAME)}/roles/careless")
    assert signers["careless"] == set(keys.values())
    assert signers["g1"] == {keys["g1"]}
    assert signers["g2"] == {keys["g2"]}


def _usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _may_review(api: Api, account: str, namespace: str) -> None:
    """Let a token of the account review itself, so that the login role alone stands in its way."""
    binding: dict[str, Any] = {
        "metadata": {"name": f"{namespace}-{account}-reviews"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": f"{NAME}-{issuer(NAME)}-token-review",
        },
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    api.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)


def life(leaf: x509.Certificate) -> dt.timedelta:
    return leaf.not_valid_after_utc - leaf.not_valid_before_utc


def signer(leaf: x509.Certificate) -> bytes | None:
    stated = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    return stated.key_identifier


def issuing_key(vault: Vault, name: str) -> bytes | None:
    pem = held_issuer(vault, mount(NAME), name)["certificate"]
    return subject_key_id(parse_certificate(pem, origin=name))
