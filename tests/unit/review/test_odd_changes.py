"""Changes that look harmless, or look like another one: what the page makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from mtls_pki.engine.digest import UNKNOWN
from tests.unit.pki import material
from tests.unit.review.previews import digest, markdown, recorded, step

BUNDLE = "mtls-pki:index:TrustBundle$kubernetes:"
ROOT = material.root("g1")


def test_a_vault_that_is_reached_in_another_way_signs_as_before() -> None:
    vault = {"server": "https://vault.example", "path": "pki/sign/g1", "caBundle": "old"}
    old = {"metadata": {"name": "mesh", "namespace": "shop"}, "spec": {"vault": vault}}
    kind = "mtls-pki:index:VaultIssuer$kubernetes:cert-manager.io/v1:Issuer"
    for changed, moved in (({"caBundle": "new"}, False), ({"server": "https://other"}, True)):
        new = {**old, "spec": {"vault": {**vault, **changed}}}
        page = markdown(digest(step("update", kind, "east-mesh-shop", old=old, new=new)))
        assert ("another key under the same name" in page) is moved
        assert ("mesh: updated" in page) is not moved


def test_an_external_issuer_of_the_stack_is_an_issuer() -> None:
    kind = "mtls-pki:index:Issuer$kubernetes:safe.example.org/v1beta1:SafeIssuer"
    old = {"metadata": {"name": "mesh", "namespace": "shop"}, "spec": {"drawer": "1"}}
    for changed, moved in (({"caBundle": "new"}, False), ({"drawer": "2"}, True)):
        new = {**old, "spec": {**old["spec"], **changed}}
        page = markdown(digest(step("update", kind, "east-mesh-shop", old=old, new=new)))
        assert ("another key under the same name" in page) is moved
        assert ("mesh: updated" in page) is not moved
    # Somebody else's object of such a kind is a resource like any other.
    other = digest(step("update", kind.partition("$")[2], "mesh", old=old, new=new))
    assert "another key under the same name" not in markdown(other)


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("metadata.annotations", ""),
        ('data["tls.crt"]', "is renewed: same key, new dates"),
        ('data["tls.key"]', "gets another key under the same name"),
        ("stringData", "gets another key under the same name"),
    ],
)
def test_a_ca_secret_changes_its_key_only_where_its_values_change(field: str, words: str) -> None:
    inner = "mtls-pki:index:CaIssuer$kubernetes:"
    metadata = {"metadata": {"name": "mesh", "namespace": "shop"}}
    issuer = {**metadata, "spec": {"ca": {"secretName": "mesh"}}}
    page = markdown(
        digest(
            step("same", f"{inner}cert-manager.io/v1:Issuer", "i", old=issuer, new=issuer),
            step("update", f"{inner}core/v1:Secret", "i-ca", old=metadata, new=metadata,
                 detailedDiff={field: {"kind": "update"}}),
        )
    )  # fmt: skip
    assert ("The CA of `mesh`" in page) is bool(words)
    assert words in page


def test_what_a_broken_off_update_left_behind_is_not_the_fate_of_what_replaced_it() -> None:
    kind = f"{BUNDLE}core/v1:ConfigMap"
    now = {"metadata": {"name": "mesh"}, "data": {"ca.crt": ROOT}}
    steps = [
        step("same", kind, "b", old=now, new=now),
        step("delete-replaced", kind, "b", old=now),
    ]
    for order in (steps, steps[::-1]):
        page = markdown(digest(*order))
        assert "loses" not in page
        assert "would be replaced" not in page


def trust_manager(key: str, *namespaces: str) -> dict[str, Any]:
    matching = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces}
    target = {"configMap": {"key": key}, "namespaceSelector": {"matchExpressions": [matching]}}
    return {"spec": {"sources": [{"inLine": ROOT}], "target": target}}


@pytest.mark.parametrize(
    ("old", "new", "taken"),
    [
        ({"data": {"ca.crt": ROOT}}, {"data": {"roots.pem": ROOT}}, "key ca.crt"),
        (trust_manager("ca.crt", "a"), trust_manager("roots.pem", "a"), "key ca.crt"),
        (trust_manager("ca.crt", "a", "b"), trust_manager("ca.crt", "b"), "namespace a"),
        (trust_manager("ca.crt", "a"), trust_manager("ca.crt", "a", "b"), ""),
        ({"data": {"ca.crt": ROOT}}, {"data": UNKNOWN}, ""),
    ],
)
def test_a_bundle_that_workloads_no_longer_find_deserves_a_second_look(
    old: dict[str, Any], new: dict[str, Any], taken: str
) -> None:
    kind = f"{BUNDLE}trust.cert-manager.io/v1alpha1:Bundle"
    page = markdown(digest(step("update", kind, "b", old=old, new=new)))
    assert (f"no longer has {taken}, which workloads may rely on" in page) is bool(taken)
    assert ("> [!WARNING]" in page) is bool(taken)


def test_another_trust_domain_is_no_green_change() -> None:
    moved = recorded("service")
    for each in moved["steps"]:
        if each["urn"].endswith("Certificate::east/review/gateway"):
            spec = each["newState"]["inputs"]["spec"]
            spec["uris"] = ["spiffe://other.example/ns/review/sa/gateway"]
    page = markdown(moved)
    assert "> [!WARNING]\n> **No anchor changes its role.**" in page
    assert "> **The trust domain changes.** Authorisation must follow it." in page
    assert "Identities move to trust domain `other.example` from `review.example.org`" in page
    assert "trust domain changes" not in markdown("service")


def test_the_hold_down_that_the_guard_went_by_is_told() -> None:
    assert "what the clusters show now, by a hold-down of 6s; the update asks" in markdown(
        "promote"
    )
    default = recorded("promote")
    default["config"]["mtls-pki:trust"] = "{}"
    assert "what the clusters show now; the update asks again." in markdown(default)


def test_what_deserves_a_second_look_is_never_under_a_green_answer() -> None:
    lost = step("delete", f"{BUNDLE}core/v1:ConfigMap", "b", old={"data": {"ca.crt": ROOT}})
    page = markdown(digest(lost))
    assert "> [!WARNING]\n> **No anchor changes its role.**" in page
    assert "> **Look twice:** one resource is named for it below." in page
    assert "> [!TIP]" in markdown("retire")


def test_what_a_change_does_not_delete_is_left_behind() -> None:
    """What the stack file has just lost is deleted by the update, and is not left behind."""
    certificate = {"kind": "Certificate", "metadata": {"namespace": "shop", "name": "old"}}
    kind = "kubernetes:cert-manager.io/v1:Certificate"
    page = markdown(
        digest(
            step("delete", kind, "east/shop/old", old=certificate),
            undeclared=(
                ("east", "Certificate", "shop", "old"),
                ("west", "Certificate", "shop", "old"),
                ("east", "ClusterIssuer", "", "mesh-g0"),
            ),
        )
    )
    assert "### Left behind" in page
    assert "`Certificate shop/old` in west: " in page
    assert "`ClusterIssuer mesh-g0` in east: " in page
    assert "`Certificate shop/old` in east: " not in page
