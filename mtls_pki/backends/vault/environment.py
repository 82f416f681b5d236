"""What a shell has set that Pulumi's provider follows instead of the reviewed configuration.

Its client reads the environment first (``vault/api`` 1.22, ``ReadEnvironment`` and ``NewClient``),
and the provider cannot undo what it found there. Everything else of it is overridden or harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mtls_pki.backends.vault.section import VaultSettings

# Variable -> what the provider does because of it.
_ALWAYS = {
    "VAULT_AGENT_ADDR": "sends everything, with the token, to that address",
    "VAULT_SKIP_VERIFY": "takes any server certificate for the Vault's",
}
# As Go's strconv.ParseBool spells it.
_FALSE = frozenset({"", "0", "f", "F", "false", "False", "FALSE"})


def overriding_variables(vault: VaultSettings, environment: Mapping[str, str]) -> Iterator[str]:
    """Yield why a run in this environment would not do what the configuration says."""
    for name, effect in _ALWAYS.items():
        if environment.get(name, "") not in _FALSE:
            yield f"{name} is set, so that Pulumi's provider {effect}; unset it"
    if environment.get("VAULT_NAMESPACE") and vault.namespace is None:
        yield (
            "VAULT_NAMESPACE is set, so that Pulumi's provider works in that namespace; unset it, "
            "or write the namespace as issuing.vault.namespace"
        )
