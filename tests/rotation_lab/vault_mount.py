"""What a Vault holds of a domain, and a Vault that goes away in the middle of ``pulumi up``."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hvac.exceptions import InvalidPath

from mtls_pki.backends.vault.names import issuer_name_of
from tests.integration.support.stack import Run
from tests.integration.support.vault import AuditEntry, Vault
from tests.rotation_lab.domain import Domain
from tests.rotation_lab.fleet import Count

_POLL_SECONDS = 0.02
# With a Vault at hand a leaf takes a second.
_AWAY_SECONDS = 20


def vault_section(vault: Vault, name: str) -> dict[str, Any]:
    """``issuing.vault`` of the domain ``name``, with a mount and logins of its own."""
    return {
        "server": vault.address,
        "caBundle": str(vault.ca_file),
        "mount": f"pki-{name}",
        "authPath": f"{name}-kubernetes",
    }


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the Vault holds of one domain; issuing CAs are called as in the stack, ``g1-i1``.

    Attributes:
        issuers: of the mount; beside the issuing CAs their roots, which sign nothing there.
        default: the mount's default issuer, None where it has none.
        roles: sign role -> the issuer that signs through it.
        policies: that begin with the mount's name.
        logins: roles of the auth method of the domain's first cluster.
    """

    issuers: frozenset[str]
    default: str | None
    roles: Mapping[str, str]
    policies: frozenset[str]
    logins: frozenset[str]


def held(vault: Vault, domain: Domain) -> Held:
    """Read what the Vault holds of the domain now."""
    section = domain.values["issuing"]["vault"]
    mount, cluster = section["mount"], next(iter(domain.planes))
    described = _listed(vault, f"{mount}/issuers").get("key_info", {})
    names = {
        issuer_id: issuer_name_of(each["issuer_name"]) for issuer_id, each in described.items()
    }
    assert len({*names.values()}) == len(names), "two certificates of one issuing CA"
    roles = _listed(vault, f"{mount}/roles").get("keys", ())
    signers = {role: vault.api("GET", f"{mount}/roles/{role}")["data"] for role in roles}
    policies = _listed(vault, "sys/policies/acl").get("keys", ())
    logins = _listed(vault, f"auth/{section['authPath']}-{cluster}/role").get("keys", ())
    return Held(
        issuers=frozenset(names.values()),
        default=names.get(vault.api("GET", f"{mount}/config/issuers")["data"]["default"]),
        roles={role: names[data["issuer_ref"]] for role, data in signers.items()},
        policies=frozenset(name for name in policies if name.startswith(f"{mount}-")),
        logins=frozenset(logins),
    )


def expected(domain: Domain, *generations: str, default: str, issuing: tuple[str, ...]) -> Held:
    """What the Vault should hold of the domain.

    Args:
        domain: the domain.
        generations: whose issuing CAs stand in the mount and may sign.
        default: the generation that the mount's default issuer follows.
        issuing: those of them that have an issuer in the cluster, which logs in.
    """
    mount = domain.values["issuing"]["vault"]["mount"]
    roles = {f"{mount}-{generation}-i1": f"{generation}-i1" for generation in generations}
    return Held(
        issuers=frozenset({*roles.values(), *(f"{each}-root" for each in generations)}),
        default=f"{default}-i1",
        roles=roles,
        policies=frozenset(roles),
        logins=frozenset(
            f"{domain.issuer(generation, vault=True)}-{domain.name}" for generation in issuing
        ),
    )


def _listed(vault: Vault, path: str) -> dict[str, Any]:
    try:
        listed: dict[str, Any] = vault.api("LIST", path)["data"]
    except InvalidPath:  # the answer to an empty list
        return {}
    return listed


def apply_interrupted(
    domain: Domain,
    vault: Vault,
    *,
    at: Callable[[AuditEntry], bool],
    interrupt: Callable[[], object],
) -> Run:
    """``pulumi up``, whatever comes of it, in the middle of which the Vault goes away.

    An ``up`` after it has to wait for longer than this one, since cert-manager's attempts grow
    apart.

    Args:
        domain: the domain.
        vault: its Vault.
        at: tells the request at which to do it.
        interrupt: does it.

    Raises:
        AssertionError: ``up`` ended before there was such a request.
    """
    started = dt.datetime.now(dt.UTC)
    with ThreadPoolExecutor(max_workers=1) as pool:
        domain.stack.write(domain.values)
        running = pool.submit(domain.stack.try_up_in_vain, _AWAY_SECONDS)
        while not any(at(each) for each in vault.audit_requests(started)):
            assert not running.done(), f"nothing to interrupt:\n{running.result().output}"
            time.sleep(_POLL_SECONDS)
        interrupt()
        return running.result()


def require_used(count: Count, *generations: str) -> None:
    """Assert that leaves of each of these issuing CAs were clients and servers."""
    met = count.generations
    for side in (0, 1):
        assert {*generations} <= {pair[side] for pair in met}, met
