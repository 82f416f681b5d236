"""How clusters that are not ready, and operations that fail, are told to the engine."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pulumi
import pytest

from mtls_pki.backends.vault.backend import VaultBackend
from mtls_pki.clusters.connection import ClusterAddress
from mtls_pki.program.clusters import (
    Readiness,
    generations_in_use,
    require_clusters,
)
from mtls_pki.program.explanations import FailureHooks
from mtls_pki.settings.model import Settings
from tests.unit.clusters.api_server import ApiServer, address
from tests.unit.program.engine import run_code
from tests.unit.settings.configuration import G2, load

CERT_MANAGER = "cert-manager.io/v1"
TRUST_MANAGER = "trust.cert-manager.io/v1alpha1"
NAMESPACE = "/api/v1/namespaces/app"
ISSUER = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Issuer",
    "metadata": {"name": "mtls-ca", "namespace": "app"},
}


def reaching(api: ApiServer, directory: Path, changes: dict[str, Any] | None = None) -> Settings:
    at = address(directory, api.url)
    return load({"clusters.dev": {"kubeconfig": at.kubeconfig}} | (changes or {}))


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "warn", said.append)
    return said


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(pulumi.log, "error", said.append)
    return said


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def set_dry_run(monkeypatch: pytest.MonkeyPatch, dry_run: bool) -> None:
    monkeypatch.setattr(pulumi.runtime, "is_dry_run", lambda: dry_run)


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, {CERT_MANAGER, "namespace app"}),
        ({"trust.via": "trust-manager"}, {CERT_MANAGER, TRUST_MANAGER, "namespace app"}),
        ({"trust.createNamespaces": True}, {CERT_MANAGER}),
        ({"certManager.install": True}, {"namespace app"}),
        ({"certManager.install": True, "trust.via": "trust-manager"}, {"namespace app"}),
    ],
)
def test_what_the_stack_makes_itself_is_not_asked_for(
    api: ApiServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    warnings: list[str],
    changes: dict[str, Any],
    needed: set[str],
) -> None:
    set_dry_run(monkeypatch, True)
    api.answers["/api/v1/namespaces/cert-manager"] = (200, {})
    require_clusters(reaching(api, tmp_path, changes))
    said = {re.split(" (?:is|does) not ", warning)[0] for warning in warnings}
    assert said == {f"cluster dev: {each}" for each in needed}


def test_up_stops_before_the_first_change(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    set_dry_run(monkeypatch, False)
    api.served = {CERT_MANAGER}
    with pytest.raises(pulumi.RunError) as caught:
        require_clusters(reaching(api, tmp_path))
    first, *problems = str(caught.value).splitlines()
    assert first == "the clusters are not ready for this stack; nothing was touched:"
    assert problems[0] == (
        "cluster dev: namespace app does not exist; create it "
        "(trust.createNamespaces: true makes those of trust.namespaces)"
    )
    assert warnings == []


def test_up_goes_on_where_a_stolen_key_is_distrusted(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    set_dry_run(monkeypatch, False)
    stolen = {"role": "compromised", "fingerprint": "ab" * 32, "acceptOutage": True}
    changes = {f"anchors.g1.{key}": value for key, value in stolen.items()}
    readiness = require_clusters(
        reaching(api, tmp_path, {**changes, "anchors.g2": G2 | {"role": "issuing"}})
    )
    assert readiness == Readiness(usable=frozenset(), up_refuses=False)
    assert warnings
    assert all(warning.endswith("(what it needs there will fail)") for warning in warnings)


def test_a_preview_only_warns(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings: list[str]
) -> None:
    set_dry_run(monkeypatch, True)
    api.answers[NAMESPACE] = (200, {})
    readiness = require_clusters(reaching(api, tmp_path))
    assert readiness == Readiness(usable=frozenset(), up_refuses=True)
    assert warnings[0] == (
        "cluster dev: cert-manager.io/v1 is not installed; install cert-manager, or set "
        "certManager.install: true (`pulumi up` will refuse)"
    )


class TestWhatAnAuthorityKeepsKeysFor:
    ISSUER = f"/apis/{CERT_MANAGER}/clusterissuers/mtls-ca-g1-i1"

    @pytest.fixture
    def in_use(self, api: ApiServer, tmp_path: Path) -> Callable[[], frozenset[str]]:
        api.served = {CERT_MANAGER}
        settings = reaching(api, tmp_path)
        keeping = replace(settings.backend_of("g1"), keeps_key=True)
        return lambda: generations_in_use(settings, keeping)

    def test_is_in_use_where_its_issuer_is(
        self, api: ApiServer, in_use: Callable[[], frozenset[str]]
    ) -> None:
        assert in_use() == set()
        api.answers[self.ISSUER] = (200, {})
        assert in_use() == {"g1"}

    @pytest.mark.parametrize("answer", [(403, {}), (404, "<html>")])
    def test_is_not_taken_for_unused_where_it_was_not_seen(
        self,
        api: ApiServer,
        in_use: Callable[[], frozenset[str]],
        monkeypatch: pytest.MonkeyPatch,
        answer: tuple[int, Any],
    ) -> None:
        """An authority without the keys of what is in use would make others."""
        api.answers[self.ISSUER] = answer
        set_dry_run(monkeypatch, True)
        assert in_use() == set()
        set_dry_run(monkeypatch, False)
        with pytest.raises(pulumi.RunError, match=r"mtls-ca-g1-i1.*; nothing was touched"):
            in_use()


class Sealed(VaultBackend):
    def explain(self, message: str) -> str | None:
        return "unseal it" if "sealed" in message else None


def _declare(at: ClusterAddress) -> None:
    FailureHooks(at, {})


def failed(
    at: ClusterAddress, *messages: str, inputs: dict[str, Any] | None = None, operation: str = ""
) -> bool:
    """Call the hook as the engine does after ``messages``, newest first; True is: try again."""
    hook = run_code(lambda: _declare(at)).hooks[f"explain-{at.name}"]
    assert isinstance(hook, pulumi.ErrorHook)
    return called(hook, *messages, inputs=inputs, operation=operation)


def called(
    hook: pulumi.ErrorHook,
    *messages: str,
    inputs: dict[str, Any] | None = None,
    operation: str = "",
) -> bool:
    answer = hook.callback(
        pulumi.ErrorHookArgs(
            urn="urn",
            id="",
            name="issuer",
            type="kubernetes:cert-manager.io/v1:Issuer",
            new_inputs=None if operation == "delete" else inputs or ISSUER,
            old_inputs=ISSUER if operation == "delete" else None,
            failed_operation=operation or "create",
            errors=list(messages),
        )
    )
    assert isinstance(answer, bool)
    return answer


def test_a_webhook_that_is_not_up_yet_is_waited_for(
    tmp_path: Path, errors: list[str], pauses: list[float]
) -> None:
    away = address(tmp_path, "http://127.0.0.1:1")
    too_early = 'Internal error occurred: failed calling webhook "webhook.cert-manager.io"'
    assert failed(away, too_early)
    assert failed(away, *[too_early] * 9)
    assert pauses == [3.0, 3.0]
    assert errors == []


def test_a_webhook_that_stays_away_is_given_up(
    tmp_path: Path, errors: list[str], pauses: list[float]
) -> None:
    away = address(tmp_path, "http://127.0.0.1:1")
    assert not failed(away, *["failed calling webhook"] * 10)
    assert pauses == []
    assert errors[0].startswith("cluster dev: Issuer app/mtls-ca: http://127.0.0.1:1 cannot be")


def test_a_failure_after_a_late_webhook_is_explained(
    api: ApiServer, tmp_path: Path, errors: list[str], pauses: list[float]
) -> None:
    assert not failed(address(tmp_path, api.url), "timed out", "failed calling webhook")
    assert errors == ["cluster dev: Issuer app/mtls-ca does not exist in the cluster"]
    assert pauses == []


def test_a_time_out_is_explained_in_the_controllers_words(
    api: ApiServer, tmp_path: Path, errors: list[str]
) -> None:
    condition = {"type": "Ready", "status": "False", "reason": "Bad", "message": "no CA"}
    api.answers["/apis/cert-manager.io/v1/namespaces/app/issuers/mtls-ca"] = (
        200,
        {"status": {"conditions": [condition]}},
    )
    assert not failed(address(tmp_path, api.url), "timed out waiting")
    (message,) = errors
    assert message.startswith("cluster dev: Issuer app/mtls-ca is not Ready: Bad: no CA. ")


def test_a_failed_deletion_is_looked_up_by_its_old_inputs(
    api: ApiServer, tmp_path: Path, errors: list[str]
) -> None:
    assert not failed(address(tmp_path, api.url), "conflict", operation="delete")
    assert errors == ["cluster dev: Issuer app/mtls-ca does not exist in the cluster"]


def test_objects_without_a_controller_are_left_to_the_engine(
    api: ApiServer, tmp_path: Path, errors: list[str]
) -> None:
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    assert not failed(address(tmp_path, api.url), "forbidden", inputs=config_map)
    assert errors == []
    assert api.requests == []


def test_an_unusable_kubeconfig_is_said_in_place_of_an_explanation(
    tmp_path: Path, errors: list[str]
) -> None:
    lost = ClusterAddress(name="dev", kubeconfig=str(tmp_path / "lost"))
    assert not failed(lost, "configured Kubernetes cluster is unreachable")
    (message,) = errors
    assert message.startswith(f"cluster dev: {tmp_path}/lost cannot be used (")


@pytest.mark.parametrize(
    ("said", "added"),
    [("Code: 503. Vault is sealed", ". It means: unseal it"), ("no CA", "")],
    ids=["known", "unknown"],
)
def test_what_a_signer_of_its_own_says_is_explained_beside_it(
    api: ApiServer, tmp_path: Path, errors: list[str], said: str, added: str
) -> None:
    condition = {"type": "Ready", "status": "False", "reason": "Bad", "message": said}
    api.answers["/apis/cert-manager.io/v1/namespaces/app/issuers/mtls-ca"] = (
        200,
        {"status": {"conditions": [condition]}},
    )

    def declare() -> None:
        FailureHooks(address(tmp_path, api.url), {"vault": Sealed()})

    hook = run_code(declare).hooks["explain-vault/dev"]
    assert isinstance(hook, pulumi.ErrorHook)
    assert not called(hook, "timed out waiting")
    (message,) = errors
    assert message.startswith(f"cluster dev: Issuer app/mtls-ca is not Ready: Bad: {said}. ")
    assert message.partition(" and run `pulumi up` again")[2] == added
