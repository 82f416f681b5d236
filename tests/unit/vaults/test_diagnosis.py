"""Texts that OpenBao 2.7, Vault 1.18 and cert-manager 1.21 were seen to say, and what they mean."""

from __future__ import annotations

import re

import pytest

from mtls_pki.backends.vault.diagnosis import CAUSES, LOGIN_CAUSES, Cause, explain

# Recorded text, and what of the cause and of the remedy must be said.
RECORDED = {
    "sealed": (
        "failed to lookup token, err=Error making API request.\n\nURL: GET "
        "https://127.0.0.1:24019/v1/auth/token/lookup-self\n"
        "Code: 503. Errors:\n\n* Vault is sealed",
        ("the Vault is sealed", "bao operator unseal"),
    ),
    "sealed, seen by cert-manager": (
        "Failed to initialize Vault client: while requesting a Vault token using the Kubernetes "
        "auth: error calling Vault server: Error making API request.\n\nURL: POST "
        "https://127.0.0.1:24019/v1/auth/held-dev/login\nCode: 503. Errors:\n\n* Vault is sealed",
        ("the Vault is sealed", "tries again by itself, five minutes after its last attempt"),
    ),
    "stopped": (
        'Get "https://127.0.0.1:24019/v1/sys/health": dial tcp 127.0.0.1:24019: connect: '
        "connection refused",
        ("cannot be reached", "issuing.vault.server"),
    ),
    "unknown authority": (
        'Get "https://127.0.0.1:24019/v1/sys/health": tls: failed to verify certificate: x509: '
        "certificate signed by unknown authority",
        ("server certificate is not trusted", "issuing.vault.caBundle"),
    ),
    "ended": (
        'Get "https://127.0.0.1:24019/v1/sys/health": tls: failed to verify certificate: x509: '
        "certificate has expired or is not yet valid: current time 2026-11-23T15:00:00Z is after "
        "2026-11-01T00:00:00Z",
        ("server certificate has ended or has not begun", "one time service"),
    ),
    "another name": (
        'Get "https://vault:24019/v1/sys/health": tls: failed to verify certificate: x509: '
        "certificate is valid for localhost, not vault",
        ("server certificate is for another name", "issuing.vault.server"),
    ),
    "another address": (
        'Get "https://127.0.0.2:24019/v1/sys/health": tls: failed to verify certificate: x509: '
        "cannot validate certificate for 127.0.0.2 because it doesn't contain any IP SANs",
        ("server certificate is for another name", "issuing.vault.server"),
    ),
    "DNS name": (
        "POST pki-roles/sign/pki-roles-g1-i1: 400 subject alternate name "
        "web.elsewhere.svc.cluster.local not allowed by this role",
        ("subject alternate name web.elsewhere.svc.cluster.local", "issuing.vault.allowedDomains"),
    ),
    "starting": (
        "Code: 500. Errors:\n\n* local node not active but active cluster node not found",
        ("cannot be reached yet", "run this again"),
    ),
    "common name": (
        "400 common name admin.evil.org not allowed by this role",
        ("common name admin.evil.org", "issuing.vault.allowedDomains"),
    ),
    "IP address": (
        "400 IP Subject Alternative Names are not allowed in this role, but was provided "
        "[127.0.0.1]",
        ("IP Subject Alternative Names", "IP addresses are allowed only where a service"),
    ),
    "URI": (
        "400 URI Subject Alternative Names were provided via CSR which are not valid for this role",
        ("URI Subject Alternative Names", "URIs below spiffe://"),
    ),
    "kind of key": (
        "400 role requires keys of type ec",
        ("refuses the kind of key", "keyAlgorithm"),
    ),
    "life": (
        "400 cannot satisfy request, as TTL would result in notAfter of 2027-11-23T15:00:00Z that "
        "is beyond the expiration of the CA certificate at 2026-12-01T00:00:00Z",
        ("valid for longer than its role or its issuing CA allows", "issuing.vault.maxTtl"),
    ),
    "cross-signed": (
        "Vault failed to sign certificate: unable to parse certificate chain: certificate chain is "
        "malformed or broken",
        ("more than one way up", "pulumi up --refresh"),
    ),
    "clock": (
        "400 token not yet valid: validation failed, token used before issued",
        ("clocks", "one time service"),
    ),
    "audience": (
        "POST auth/roles-dev/login: 403 invalid audience (aud) claim: audience claim does not "
        "match any expected audience",
        ("another audience", "vault://NAMESPACE/ISSUER"),
    ),
    "account": (
        "POST auth/roles-dev/login: 403 service account name not authorized",
        ("another service account or namespace", "none else"),
    ),
    "namespace": (
        "POST auth/roles-dev/login: 403 namespace not authorized",
        ("another service account or namespace", "none else"),
    ),
    "login role": (
        'POST auth/roles-dev/login: 400 invalid role name "gone"',
        ("the role is not in the Vault any more", "pulumi up --refresh"),
    ),
    "sign role": (
        "POST pki-roles/sign/gone: 400 unknown role: gone",
        ("the role is not in the Vault any more", "pulumi up --refresh"),
    ),
    "write": (
        "error writing PKI role: Error making API request.\n\nURL: PUT "
        "https://127.0.0.1:24019/v1/pki-held/roles/pki-held-g1-i1\nCode: 403. Errors:\n\n* "
        "permission denied",
        ('path "pki-held/roles/pki-held-g1-i1" { capabilities = ', "deploy/vault-policy.hcl"),
    ),
    "login": (
        "POST auth/roles-dev/login: 403 permission denied",
        ("login or the policy behind it is refused", "clusters.NAME.apiServer"),
    ),
    "login, seen by cert-manager": (
        "while requesting a Vault token using the Kubernetes auth: error calling Vault server: "
        "Error making API request.\n\nURL: POST https://127.0.0.1:14309/v1/auth/erring-dev/login\n"
        "Code: 403. Errors:\n\n* permission denied",
        ("login or the policy behind it is refused", "pulumi up --refresh"),
    ),
    "signing, seen by cert-manager": (
        "Vault failed to sign certificate: failed to sign certificate by vault: Error making API "
        "request.\n\nURL: POST https://127.0.0.1:14309/v1/pki-erring/sign/pki-erring-g1-i1\n"
        "Code: 403. Errors:\n\n* 1 error occurred:\n\t* permission denied",
        ("login or the policy behind it is refused", "pulumi up --refresh"),
    ),
    "auth method gone": (
        "URL: PUT https://127.0.0.1:14309/v1/auth/erring-dev/role/x\nCode: 404. Errors:\n\n"
        '* no handler for route "auth/erring-dev/role/x". route entry not found.',
        ("auth method is not in the Vault any more", "pulumi up --refresh"),
    ),
    "mount gone": (
        "URL: POST https://127.0.0.1:14309/v1/pki-erring/sign/x\nCode: 404. Errors:\n\n"
        '* no handler for route "pki-erring/sign/x". route entry not found.',
        ("mount is not in the Vault any more", "issuing.intermediate.generation"),
    ),
    "usage": (
        "500 error while attempting to use issuer dc3f2c14: requested usage issuing-certificates "
        "for issuer [id:dc3f2c14] but only had usage read-only",
        ("may not sign", "pulumi up --refresh"),
    ),
    "mount in use": (
        "400 path is already in use at pki-held/",
        ("not this stack's", "issuing.vault.adopt"),
    ),
    "issuer gone": (
        "500 unable to find PKI issuer for reference: g1-i1",
        ("the issuing CA is not in the mount", "issuing.intermediate.generation"),
    ),
}


LOGINS = {
    "namespace": ("namespace not found", ("issuing.vault.namespace",)),
    "path, OpenBao": ("permission denied", ("no auth method at this path", "$VAULT_AUTH_PATH")),
    "path, Vault": (
        'no handler for route "auth/jwt/login". route entry not found.',
        ("no auth method at this path", "bao auth enable"),
    ),
    "config": ("could not load configuration", ("bao write auth/PATH/config",)),
    "role": ('role "nope" could not be found', ("make it as docs/vault.md shows", "$VAULT_ROLE")),
    "other kind of method": ('invalid role name "preview"', ("no such role",)),
    "audience": (
        "error validating token: invalid audience (aud) claim: audience claim does not match any "
        "expected audience",
        ("another audience", "bound_audiences", "issuing.vault.address"),
    ),
    "claim": (
        'error validating claims: claim "environment" does not match any associated bound claim '
        "values",
        ("for another environment", "bound_claims"),
    ),
    "claim missing": (
        'error validating claims: claim "environment" is missing',
        ("for another environment",),
    ),
    "user claim": ('claim "sub" not found in token', ("says no sub", "user_claim=sub")),
    "issuer": (
        "error validating token: invalid issuer (iss) claim",
        ("trusts another forge", "bound_issuer"),
    ),
    "old": (
        "error validating token: invalid expiration time (exp) claim: token is expired",
        ("too old", "one time service"),
    ),
    "early": (
        "error validating token: invalid not before (nbf) claim: token not yet valid",
        ("clocks",),
    ),
    "future": (
        "error validating token: invalid issued at (iat) claim: token issued in the future",
        ("clocks",),
    ),
    "keys": (
        "error validating token: error verifying token signature: fetching keys oidc: get keys "
        'failed Get "http://127.0.0.1:44787/jwks": dial tcp 127.0.0.1:44787: connect: connection '
        "refused",
        ("cannot get the forge's keys",),
    ),
    "signature": (
        "error validating token: error verifying token signature: failed to verify id token "
        "signature",
        ("has not signed this identity",),
    ),
}


@pytest.mark.parametrize("case", LOGINS)
def test_a_recorded_login_is_explained_with_its_remedy(case: str) -> None:
    text, said = LOGINS[case]
    meaning = explain(text, LOGIN_CAUSES)
    assert meaning is not None
    assert [each for each in said if each not in meaning] == []


@pytest.mark.parametrize("case", RECORDED)
def test_a_recorded_error_is_explained_with_its_remedy(case: str) -> None:
    text, said = RECORDED[case]
    meaning = explain(text)
    assert meaning is not None
    assert [each for each in said if each not in meaning] == []


@pytest.mark.parametrize(("causes", "recorded"), [(CAUSES, RECORDED), (LOGIN_CAUSES, LOGINS)])
def test_every_entry_of_a_table_is_met_by_a_recorded_text(
    causes: tuple[Cause, ...], recorded: dict[str, tuple[str, tuple[str, ...]]]
) -> None:
    met = {
        next(cause for cause in causes if re.search(cause.pattern, text, re.IGNORECASE))
        for text, _ in recorded.values()
    }
    assert [cause.pattern for cause in causes if cause not in met] == []


@pytest.mark.parametrize(
    "text",
    [
        "timed out waiting for the condition",
        'secrets "mtls-ca-g1" not found',
        "provided PrivateKey doesn't match parent's PublicKey",
    ],
)
def test_what_no_vault_says_is_left_alone(text: str) -> None:
    assert explain(text) is None
