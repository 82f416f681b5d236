"""The rights that the lab gives its add-ons, as the real Helm renders them from their charts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import toolchain, toolchain_cache
from lab.addons import CERT_MANAGER, NAMESPACE, TRUST_MANAGER, Addon
from lab.api import Manifest

pytestmark = pytest.mark.lab

BINDINGS = ("ClusterRoleBinding", "RoleBinding")
VIEWERS = "rbac.authorization.k8s.io/aggregate-to-view"


@pytest.fixture(params=[CERT_MANAGER, TRUST_MANAGER], ids=lambda addon: addon.name)
def addon(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Addon:
    """An add-on, in an environment whose home has nothing in it and whose network is closed."""
    monkeypatch.setenv("MTLS_PKI_TOOL_CACHE", str(toolchain_cache.root()))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    chosen: Addon = request.param
    return chosen


def grants(addon: Addon) -> tuple[Manifest, ...]:
    return addon.grants(toolchain.share(addon.name))


def test_the_one_identity_of_an_add_on_gets_all_roles_and_they_are_there(addon: Addon) -> None:
    rendered = grants(addon)
    roles = {(each["kind"], each["metadata"]["name"]) for each in rendered if "roleRef" not in each}
    bindings = [each for each in rendered if each["kind"] in BINDINGS]

    assert bindings
    for binding in bindings:
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        (subject,) = binding["subjects"]
        assert (subject["kind"], subject["name"]) == ("ServiceAccount", addon.service_account)
        assert subject["namespace"] == NAMESPACE


def test_nobody_may_elect_a_leader(addon: Addon) -> None:
    rendered = grants(addon)
    assert [each for each in rendered if "leaderelection" in each["metadata"]["name"]] == []
    rules = [rule for each in rendered for rule in each.get("rules") or ()]
    assert [rule for rule in rules if "leases" in rule["resources"]] == []


def test_rendering_leaves_nothing_in_the_users_home(addon: Addon, tmp_path: Path) -> None:
    assert grants(addon)
    assert list(tmp_path.iterdir()) == []


def test_cert_manager_has_the_roles_of_its_webhook_and_for_people() -> None:
    rendered = {each["metadata"]["name"]: each for each in grants(CERT_MANAGER)}
    assert {
        "cert-manager-controller-certificates",
        "cert-manager-controller-issuers",
        "cert-manager-webhook:dynamic-serving",
        "cert-manager-webhook:subjectaccessreviews",
    } <= set(rendered)
    assert rendered["cert-manager-view"]["metadata"]["labels"][VIEWERS] == "true"


def test_trust_manager_reads_sources_in_its_namespace_and_writes_everywhere() -> None:
    rendered = {each["kind"]: each for each in grants(TRUST_MANAGER)}
    assert set(rendered) == {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}
    assert rendered["Role"]["metadata"]["namespace"] == NAMESPACE
    written = [rule for rule in rendered["ClusterRole"]["rules"] if "create" in rule["verbs"]]
    assert "configmaps" in {resource for rule in written for resource in rule["resources"]}
