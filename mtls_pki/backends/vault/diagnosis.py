"""What an error of a Vault, or of cert-manager about one, means, and what to do about it.

The texts are those of OpenBao 2.7 and Vault 1.18 (``builtin/logical/pki``, ``request_handling`` and
the auth methods Kubernetes and JWT), and of cert-manager 1.21 (``internal/vault``,
``pkg/util/pki``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Cause:
    """One known error.

    Attributes:
        pattern: of its text, matched case-insensitively.
        meaning: what it means and what to do; ``{name}`` stands for a group of the pattern.
    """

    pattern: str
    meaning: str


# The first that matches counts.
CAUSES = (
    Cause(
        pattern=r"vault is sealed|error code: 503|code: 503|is sealed",
        meaning="the Vault is sealed: unseal it (`bao operator unseal`); nothing is lost, and "
        "cert-manager tries again by itself, five minutes after its last attempt at the latest",
    ),
    Cause(
        pattern=r"node not active|no active node|not an active node",
        meaning="the Vault cannot be reached yet: it has just started or been unsealed, and is "
        "active in a moment; run this again",
    ),
    Cause(
        pattern=r"connection refused|no such host|i/o timeout|context deadline exceeded",
        meaning="the Vault cannot be reached from there: see whether it is up, and whether "
        "issuing.vault.server is its address as cert-manager sees it",
    ),
    Cause(
        pattern=r"x509: certificate has expired or is not yet valid",
        meaning="the Vault's own server certificate has ended or has not begun: renew it; if its "
        "dates are right, a clock is wrong: see that all follow one time service",
    ),
    Cause(
        pattern=r"x509: certificate is (?:not )?valid for|x509: cannot validate certificate for",
        meaning="the Vault's own server certificate is for another name: write one that it has as "
        "issuing.vault.server, or give the server a certificate with this one",
    ),
    Cause(
        pattern=r"certificate signed by unknown authority|x509: certificate",
        meaning="the Vault's own server certificate is not trusted: give the CA that signed it as "
        "issuing.vault.caBundle",
    ),
    Cause(
        pattern=r"(?P<what>(?:common name|subject alternate name|ip subject alternative name|"
        r"uri subject alternative name|dns name|uri)[^\n]*?) (?:which )?(?:is |are )?"
        r"not (?:allowed|valid) (?:by|in|for) (?:this )?role",
        meaning="the sign role refuses a name ({what}): names must lie below "
        "issuing.vault.allowedDomains, URIs below spiffe://TRUST DOMAIN/ns/NAMESPACE, and IP "
        "addresses are allowed only where a service of the stack has one",
    ),
    Cause(
        pattern=r"role requires keys? of (?:type|at least)|key type|role requires",
        meaning="the sign role refuses the kind of key: give the Certificate the algorithm and "
        "size that the services of the stack have (keyAlgorithm)",
    ),
    Cause(
        pattern=r"cannot satisfy request, as ttl would result in notAfter|"
        r"is beyond the expiration of the ca|ttl is larger than|greater than max ttl",
        meaning="the leaf would be valid for longer than its role or its issuing CA allows: ask "
        "for less (duration), raise issuing.vault.maxTtl, or rotate the issuing CA, which nears "
        "its end",
    ),
    Cause(
        pattern=r"certificate chain is malformed or broken",
        meaning="the Vault's issuer has more than one way up (it is cross-signed in its mount), "
        "and cert-manager takes one linear chain only: set the issuer's manual_chain to itself, as "
        "`pulumi up --refresh` does for the issuers of this stack, and trust both roots by the "
        "bundle instead",
    ),
    Cause(
        pattern=r"token (?:is )?not (?:yet )?valid|used before issued|not valid yet|"
        r"token is expired|has expired or is not yet valid",
        meaning="the clocks of the Vault, of the API server and of this machine differ: see that "
        "all follow one time service",
    ),
    Cause(
        pattern=r"invalid audience|token audiences",
        meaning="the token was made for another audience: the auth role takes those of its own "
        "issuer only (vault://NAMESPACE/ISSUER)",
    ),
    Cause(
        pattern=r"service account name not authorized|namespace not authorized",
        meaning="the auth role takes another service account or namespace: issuers use the one "
        "that the stack made for them, none else",
    ),
    Cause(
        pattern=r"invalid role name|role \S+ (?:could not be found|not found)|unknown role",
        meaning="the role is not in the Vault any more: `pulumi up --refresh` makes it again",
    ),
    Cause(
        # Not what cert-manager asks for, with a token of its own.
        pattern=r"url: \w+ https?://[^/\s]+/v1/(?P<path>(?!auth/\S+/login\s|\S+/sign/)\S+)\s+"
        r"code: 403",
        meaning='the token may not do this; its policy needs `path "{path}" {{ capabilities = '
        '["create", "read", "update"] }}` (deploy/vault-policy.hcl)',
    ),
    Cause(
        pattern=r"permission denied",
        meaning="the login or the policy behind it is refused: `pulumi up --refresh` makes auth "
        "method, role and policy as the stack declares them; if the cluster's API server or its "
        "CA changed, see clusters.NAME.apiServer",
    ),
    Cause(
        pattern=r'no handler for route "auth/',
        meaning="the auth method is not in the Vault any more: `pulumi up --refresh` makes it "
        "again, with its roles",
    ),
    Cause(
        pattern=r"no handler for route",
        meaning="the mount is not in the Vault any more: restore the Vault from its backup, or go "
        "on with a new issuing CA (issuing.intermediate.generation)",
    ),
    Cause(
        pattern=r"requested usage \S+ for issuer",
        meaning="the issuing CA in the mount may not sign: `pulumi up --refresh` gives it the "
        "usages that the stack declares, none for the CA of a compromised anchor",
    ),
    Cause(
        pattern=r"path is already in use",
        meaning="something is mounted there that is not this stack's: name another path, or take "
        "it as it is with issuing.vault.adopt: true",
    ),
    Cause(
        pattern=r"unable to find (?:pki )?issuer|no certificate authority has been configured",
        meaning="the issuing CA is not in the mount any more: restore the Vault from its backup, "
        "or go on with a new one (issuing.intermediate.generation)",
    ),
)


# For a pipeline's login with its forge's identity, where the same words have another meaning.
LOGIN_CAUSES = (
    Cause(
        pattern=r"namespace not found",
        meaning="there is no such namespace: correct issuing.vault.namespace",
    ),
    Cause(
        pattern=r"permission denied|no handler for route",
        meaning="there is no auth method at this path: enable it (`bao auth enable -path=PATH "
        "jwt`), or correct $VAULT_AUTH_PATH",
    ),
    Cause(
        pattern=r"could not load configuration",
        meaning="the auth method trusts no forge yet: write its config "
        "(`bao write auth/PATH/config oidc_discovery_url=... bound_issuer=...`)",
    ),
    Cause(
        pattern=r"role \"[^\"]*\" could not be found|invalid role name",
        meaning="the auth method has no such role: make it as docs/vault.md shows, or correct "
        "$VAULT_ROLE",
    ),
    Cause(
        pattern=r"invalid audience",
        meaning="the role takes another audience: its bound_audiences is to be the Vault's address "
        "as the job reaches it (issuing.vault.address, else server)",
    ),
    Cause(
        pattern=r"claim \"(?P<claim>[^\"]+)\" (?:does not match|is missing)",
        meaning="the role is for another {claim}: give this job the role that is meant for it "
        "($VAULT_ROLE), or correct the role's bound_claims",
    ),
    Cause(
        pattern=r"claim \"(?P<claim>[^\"]+)\" not found in token",
        meaning="the forge says no {claim}: write user_claim=sub into the role",
    ),
    Cause(
        pattern=r"invalid issuer",
        meaning="the auth method trusts another forge: correct oidc_discovery_url and bound_issuer "
        "of its config",
    ),
    Cause(
        pattern=r"invalid (?:expiration time|not before|issued at)",
        meaning="the identity is too old, or the clocks of the forge and of the Vault differ: run "
        "the job again, and let both follow one time service",
    ),
    Cause(
        pattern=r"get keys failed",
        meaning="the Vault cannot get the forge's keys: let it reach the oidc_discovery_url of the "
        "auth method's config",
    ),
    Cause(
        pattern=r"verifying token signature",
        meaning="the forge that the auth method trusts has not signed this identity: correct "
        "oidc_discovery_url of its config",
    ),
)


def with_meaning(text: str) -> str:
    """Return an error text, and what it means where that is known."""
    meaning = explain(text)
    return f"{text}; {meaning}" if meaning else text


def explain(text: str, causes: Iterable[Cause] = CAUSES) -> str | None:
    """Return what an error text means and what to do, or None for one that is not known."""
    for cause in causes:
        found = re.search(cause.pattern, text, re.IGNORECASE)
        if found:
            return cause.meaning.format(**found.groupdict())
    return None
