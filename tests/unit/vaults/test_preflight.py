"""What a reading of a Vault means for the stack; the connection is a stand-in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mtls_pki.backends.vault.connection import HeldIssuer, ServerFacts, Vault
from mtls_pki.backends.vault.preflight import VaultReading, description, read_vault
from mtls_pki.backends.vault.transport import VaultAddress, VaultError
from tests.unit.settings.configuration import load
from tests.unit.vaults.configuration import VAULT

URL = "https://127.0.0.1:8200"
OURS = description(load(VAULT))
MOUNT = {"type": "pki", "description": OURS, "config": {"max_lease_ttl": 86400}}
AUTH = {"type": "kubernetes", "description": OURS}
ISSUER = HeldIssuer(
    issuer_id="6f1c", name="g1-i1-5f3a09c2", certificate_pem="", default=True, has_key=True
)


class Stand(Vault):
    """A Vault with these answers."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(VaultAddress(url=URL))
        self.answers = answers

    def _answer(self, name: str, otherwise: Any) -> Any:
        answer = self.answers.get(name, otherwise)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def server(self) -> ServerFacts:
        facts = {"initialized": True, "sealed": False, "clock": datetime.now(UTC)}
        changed: dict[str, Any] = {**facts, **self._answer("server", {})}
        return ServerFacts(version="2.7.2", openbao=True, **changed)

    def token_mistake(self) -> str | None:
        return self._answer("token_mistake", None)  # type: ignore[no-any-return]

    def missing_capabilities(self, wanted: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
        self.asked = {path: [*names] for path, names in wanted.items()}
        return self._answer("missing_capabilities", {})  # type: ignore[no-any-return]

    def mount(self, path: str) -> dict[str, Any] | None:
        return self._answer("mount", None)  # type: ignore[no-any-return]

    def auth_method(self, path: str) -> dict[str, Any] | None:
        return self._answer("auth_method", None)  # type: ignore[no-any-return]

    def issuers(self, mount: str) -> tuple[HeldIssuer, ...]:
        return self._answer("issuers", ())  # type: ignore[no-any-return]


def read(
    changes: Mapping[str, Any] | None = None,
    *,
    in_use: Iterable[str] = (),
    only_reading: bool = False,
    **answers: Any,
) -> VaultReading:
    settings = load({**VAULT, **(changes or {})})
    return read_vault(
        Stand(**answers), settings, in_use=frozenset(in_use), only_reading=only_reading
    )


def test_an_empty_vault_is_ready_for_a_new_stack() -> None:
    reading = read()
    assert (reading.problems, reading.warnings) == ((), ())
    assert not reading.mount_exists
    assert reading.auth_paths == frozenset()


def test_what_the_stack_has_already_is_found_again() -> None:
    reading = read(in_use=["g1"], mount=MOUNT, auth_method=AUTH, issuers=(ISSUER,))
    assert reading.problems == ()
    assert reading.mount_exists
    assert reading.auth_paths == {"kubernetes-dev"}


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"server": VaultError("https://x cannot be reached (refused)")}, ["cannot be reached"]),
        ({"server": {"initialized": False}}, ["not initialised", "bao operator init"]),
        ({"server": {"sealed": True}}, ["is sealed", "bao operator unseal", "are not lost"]),
        ({"token_mistake": "there is no token; log in"}, ["there is no token; log in"]),
        ({"token_mistake": VaultError("no answer")}, ["no answer"]),
        (
            {"missing_capabilities": {"pki-mesh/roles/x": ["read", "update"]}},
            ['path "pki-mesh/roles/x" { capabilities = ["read", "update"] }', "vault-policy.hcl"],
        ),
        ({"mount": VaultError("forbids reading")}, ["forbids reading"]),
        ({"mount": {"type": "kv"}}, ["of type kv, not pki", "issuing.vault.mount"]),
        (
            {"mount": {**MOUNT, "description": "theirs"}},
            ["is not this stack's", "'theirs'", "issuing.vault.adopt: true"],
        ),
        (
            {"auth_method": {"type": "kubernetes", "description": ""}},
            ["auth method kubernetes-dev is not this stack's", "issuing.vault.authPath"],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_vault_that_is_not_ready_is_told_with_the_remedy(
    answers: dict[str, Any], said: list[str]
) -> None:
    (problem,) = read(**answers).problems
    assert [each for each in said if each not in problem] == []


def test_a_mount_that_is_gone_is_never_made_anew() -> None:
    (problem,) = read(in_use=["g1"]).problems
    assert problem.startswith("the mount pki-mesh is gone from the Vault, but clusters issue from")
    assert "(by g1)" in problem
    assert "Restore the Vault from its backup" in problem


@pytest.mark.parametrize(
    ("issuers", "said"),
    [
        ((), "the issuing CA g1-i1 is gone from the mount pki-mesh"),
        (
            (HeldIssuer(**{**ISSUER.__dict__, "has_key": False}),),
            "the issuing CA g1-i1 in the mount pki-mesh has no key any more",
        ),
    ],
    ids=["gone", "without key"],
)
def test_an_issuing_ca_that_cannot_sign_any_more_is_told_while_it_is_in_use(
    issuers: tuple[HeldIssuer, ...], said: str
) -> None:
    (problem,) = read(in_use=["g1"], mount=MOUNT, issuers=issuers).problems
    assert problem.startswith(said)
    assert "issuing.intermediate.generation" in problem
    assert read(mount=MOUNT, issuers=issuers).problems == ()


def test_a_renewed_issuing_ca_is_there_beside_the_certificate_that_it_had() -> None:
    renewed = HeldIssuer(**{**ISSUER.__dict__, "name": "g1-i1-77b1d0aa"})
    without_key = HeldIssuer(**{**ISSUER.__dict__, "has_key": False})
    for issuers in ((ISSUER, renewed), (renewed, without_key)):
        assert read(in_use=["g1"], mount=MOUNT, issuers=issuers).problems == ()


def test_an_adopted_mount_must_be_there_and_let_leaves_live() -> None:
    adopt = {"issuing.vault.adopt": True}
    (absent,) = read(adopt).problems
    assert "there is no mount pki-mesh; leave adopt out to have it made" in absent
    theirs = {"type": "pki", "description": "theirs"}
    for seconds in (0, 86400):
        assert read(adopt, mount={**theirs, "config": {"max_lease_ttl": seconds}}).problems == ()
    (short,) = read(adopt, mount={**theirs, "config": {"max_lease_ttl": 3600}}).problems
    assert "signs for at most 1h0m0s, and leaves of 24h0m0s are asked for" in short
    assert "bao secrets tune -max-lease-ttl=24h0m0s pki-mesh" in short


@pytest.mark.parametrize(
    ("wanted", "own", "said"),
    [("768h", 0, False), ("769h", 0, True), ("769h", 769 * 3600, False)],
)
def test_an_adopted_mount_without_a_limit_has_the_servers(
    wanted: str, own: int, said: bool
) -> None:
    changes = {"issuing.vault.adopt": True, "issuing.vault.maxTtl": wanted}
    mount = {"type": "pki", "description": "theirs", "config": {"max_lease_ttl": own}}
    problems = read(changes, mount=mount).problems
    assert [("768h0m0s (the server's default" in each) for each in problems] == [True] * said


@pytest.mark.parametrize(
    ("seconds", "said"), [(3600, "3600 s ahead of"), (-300, "300 s behind"), (20, None)]
)
def test_a_clock_that_differs_is_a_warning(seconds: int, said: str | None) -> None:
    clock = datetime.now(UTC) + timedelta(seconds=seconds)
    reading = read(server={"clock": clock})
    assert reading.problems == ()
    if said is None:
        assert reading.warnings == ()
    else:
        (warning,) = reading.warnings
        assert said in warning
        assert "let both follow one time service" in warning


def test_a_preview_asks_for_reading_only() -> None:
    settings, vault = load(VAULT), Stand()
    read_vault(vault, settings, in_use=(), only_reading=True)
    assert {name for names in vault.asked.values() for name in names} == {"read"}
    read_vault(vault, settings, in_use=(), only_reading=False)
    assert {"update", "sudo"} <= {name for names in vault.asked.values() for name in names}
