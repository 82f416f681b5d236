"""What is read from an exported state: Secrets, what is still encrypted, who encrypts."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from mtls_pki.backup.deployment import (
    declared_secrets,
    for_stack,
    recorded_clusters,
    require_clear,
    resources,
    secrets_provider,
)
from mtls_pki.errors import CommandError

KEY = "the key itself"
MARK = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
PROVIDER = "urn:pulumi:dev::mtls-pki::pulumi:providers:kubernetes::east::0b7d"


def in_clear(value: Any) -> dict[str, Any]:
    """A secret as `pulumi stack export --show-secrets` prints it."""
    return {**MARK, "plaintext": json.dumps(value)}


SECRET: dict[str, Any] = {
    "urn": "urn:pulumi:dev::mtls-pki::kubernetes:core/v1:Secret::east-ca",
    "type": "kubernetes:core/v1:Secret",
    "provider": PROVIDER,
    "inputs": {
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": "mesh-ca",
            "namespace": "shop",
            "annotations": {"pulumi.com/patchForce": "true", "team": "a"},
        },
        "stringData": in_clear({"tls.crt": "C", "tls.key": KEY}),
    },
}
STATE: dict[str, Any] = {
    "version": 3,
    "deployment": {
        "secrets_providers": {"type": "cloud", "state": {"url": "awskms://lost"}},
        "resources": [
            {"urn": "urn", "type": "pulumi:pulumi:Stack"},
            SECRET,
            {"urn": "k", "type": "tls:index", "outputs": {"pem": [in_clear(KEY)]}},
        ],
        "pending_operations": [{"resource": {}, "type": "creating"}],
    },
}


def changed(*path: Any, value: Any) -> dict[str, Any]:
    state: dict[str, Any] = copy.deepcopy(STATE)
    place: Any = state["deployment"]
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return state


def test_a_secret_is_as_the_cluster_is_to_have_it() -> None:
    (secret,) = declared_secrets(STATE)
    assert (secret.cluster, secret.place) == ("east", "east/shop Secret mesh-ca")
    assert secret.manifest == {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {
            "name": "mesh-ca",
            "namespace": "shop",
            "labels": {},
            "annotations": {"team": "a"},
        },
        "stringData": {"tls.crt": "C", "tls.key": KEY},
    }
    assert KEY not in repr(secret)


def test_secrets_may_be_marked_at_any_depth() -> None:
    state = changed("resources", 1, "inputs", "stringData", value={"tls.key": in_clear(KEY)})
    assert declared_secrets(state)[0].manifest["stringData"] == {"tls.key": KEY}


def test_what_is_still_encrypted_is_refused() -> None:
    require_clear(STATE)
    encrypted = {**MARK, "ciphertext": "v1:abc"}
    with pytest.raises(CommandError, match="still encrypted"):
        require_clear(changed("resources", 2, "outputs", "pem", value=[encrypted]))


def test_the_new_stack_encrypts_and_nothing_is_under_way() -> None:
    provider = {"type": "passphrase", "state": {"salt": "v1:x"}}
    imported = for_stack(STATE, provider, clusters={"east": "any"})
    assert imported["deployment"]["secrets_providers"] == provider
    assert "pending_operations" not in imported["deployment"]
    assert imported["deployment"]["resources"] == STATE["deployment"]["resources"]
    assert "pending_operations" in STATE["deployment"]


def test_a_cluster_that_was_built_again_is_remembered_as_it_is_now() -> None:
    remembered = {"east": "before", "west": "w"}
    state = changed("resources", 0, "outputs", value={"clusters": remembered, "root": "R"})
    assert recorded_clusters(state) == remembered
    now = for_stack(state, {}, clusters={"east": "now", "north": "n"})
    outputs = now["deployment"]["resources"][0]["outputs"]
    assert outputs == {"clusters": {"east": "now", "west": "w"}, "root": "R"}
    assert recorded_clusters(state) == remembered
    assert recorded_clusters(STATE) == {}


def test_the_stack_itself_is_no_resource() -> None:
    assert len(resources(STATE)) == 2
    assert resources({"version": 3, "deployment": {}}) == []


@pytest.mark.parametrize("state", [{}, {"deployment": None}, {"deployment": {"resources": [1]}}])
def test_what_is_no_state_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match="no exported state"):
        resources(state)


def test_a_secret_of_another_shape_is_named_without_its_content() -> None:
    with pytest.raises(CommandError, match="Secret::east-ca") as caught:
        declared_secrets(changed("resources", 1, "inputs", "metadata", value={"name": "x"}))
    assert KEY not in str(caught.value)


def test_the_provider_is_the_one_that_the_stack_file_names() -> None:
    salt = {"encryptionsalt": "v1:x"}
    cloud = {"secretsprovider": "awskms://alias/a", "encryptedkey": "AQ=="}
    assert secrets_provider(salt, "f") == {"type": "passphrase", "state": {"salt": "v1:x"}}
    assert secrets_provider({**salt, **cloud}, "f") == {
        "type": "cloud",
        "state": {"url": "awskms://alias/a", "encryptedkey": "AQ=="},
    }
    with pytest.raises(CommandError, match=r"Pulumi\.dev\.yaml has neither"):
        secrets_provider({"config": {}}, "Pulumi.dev.yaml")
