"""The identity that a forge gives a running job: a signed JWT for one audience, valid for minutes.

Sources: GitHub, "OpenID Connect reference" (``ACTIONS_ID_TOKEN_REQUEST_URL`` and its token);
    GitLab, "OpenID Connect (OIDC) Authentication Using ID Tokens" (``id_tokens``).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mtls_pki.ci.http import JsonApi
from mtls_pki.errors import CommandError

GITLAB_VARIABLE = "VAULT_ID_TOKEN"
"""Name of the token among the job's ``id_tokens``, where the audience is set too."""

_URL, _TOKEN = "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN"
_PERMISSION = "give the job the permission `id-token: write`"
# The claims that roles are bound to; none of them is secret.
_SHOWN = ("aud", "repository_id", "project_id", "environment", "ref", "ref_protected")


def identity_token(environment: Mapping[str, str], audience: str) -> str:
    """Return the running job's identity, which is valid for ``audience`` only.

    Raises:
        CommandError: the forge gives this job no identity.
    """
    if environment.get("GITLAB_CI") == "true":
        return _of_gitlab(environment, audience)
    return _of_github(environment, audience)


def _of_github(environment: Mapping[str, str], audience: str) -> str:
    url, token = environment.get(_URL), environment.get(_TOKEN)
    if not url or not token:
        raise CommandError(
            f"this job may not ask for its identity (${_URL} is not set); {_PERMISSION}"
        )
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    # The address already has a query.
    answer = JsonApi(url, headers, remedy=_PERMISSION).call(
        "GET", f"&audience={quote(audience, safe='')}"
    )
    if not isinstance(answer, dict) or not isinstance(answer.get("value"), str):
        raise CommandError("the forge gave this job no identity, and no reason; run it again")
    return str(answer["value"])


def _of_gitlab(environment: Mapping[str, str], audience: str) -> str:
    given = environment.get(GITLAB_VARIABLE)
    remedy = f"write `aud: {audience}` under id_tokens.{GITLAB_VARIABLE} of the job"
    if not given:
        raise CommandError(
            f"this job has no identity for the Vault (${GITLAB_VARIABLE} is not set); {remedy}"
        )
    # The address comes from the change that is previewed. An identity that is valid for another
    # audience must not be sent there.
    meant = _claims(given).get("aud")
    if audience not in (meant if isinstance(meant, list) else [meant]):
        raise CommandError(
            f"${GITLAB_VARIABLE} is for {json.dumps(meant)}, and the Vault of this stack is "
            f"{audience}; {remedy}"
        )
    return given


def described(token: str) -> str:
    """Return the claims about the job that roles are bound to; never the identity itself."""
    claims = _claims(token)
    said = [f"{name} {json.dumps(claims[name])}" for name in _SHOWN if name in claims]
    return ", ".join(said) or "nothing"


def _claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT (RFC 7519), unverified; empty if it is not a JWT."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError):
        return {}
    return claims if isinstance(claims, dict) else {}
