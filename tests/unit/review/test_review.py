"""What a review says of every change that the engine was asked to preview."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from mtls_pki.engine.digest import KUBERNETES_SECRET, SECRET, DigestError, read_preview
from mtls_pki.pages.markdown import LONGEST_PAGE
from mtls_pki.pki.certificates import Validity
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.parsing import parse_certificate
from mtls_pki.review.verdict import Outcome
from mtls_pki.rotation.text import REMOVED
from tests.unit.pki import material
from tests.unit.review.previews import (
    NAMES,
    digest,
    html,
    markdown,
    recorded,
    reviewed,
    step,
)

REFUSED = "**Refused.**"
AGREED = "**The guard agrees.**"
SAID: dict[str, tuple[Outcome, tuple[str, ...]]] = {
    "first-up": (
        Outcome.SAFE,
        (
            f"{AGREED} g1: absent -> issuing.",
            "| `g1` | absent | issuing | made by the update | the domain begins with it |",
            "review-trust: created, gains g1",
            "Kubernetes Namespace: 2 created (east/review, west/review)",
        ),
    ),
    "no-change": (Outcome.SAFE, ("**Nothing changes.**", "### Trust, unchanged")),
    "mistake": (
        Outcome.FAILED,
        (
            "**The preview failed,** and not because the guard refused.",
            "Pulumi.review.yaml has 2 mistakes; nothing was touched:",
            "  - anchors.g1.rolle: unknown key; did you mean role?",
            "Mend what the errors say",
        ),
    ),
    "service": (
        Outcome.SAFE,
        (
            "**No anchor changes its role.** 2 Certificates are reissued.",
            "2 Certificates are reissued, because of commonName",
            "| `east/review` | \\- | \\- | 1 created, 1 deleted, 1 reissued |",
        ),
    ),
    "protected": (
        Outcome.REFUSED,
        (
            REFUSED,
            "A generation keeps its key for ever",
            "unable to replace resource",
            "`g1-key` (TLS PrivateKey) is protected and would be replaced, because of ecdsaCurve",
            "| made by the update | another key under a name that is taken |",
            "! REPLACE tls:index/privateKey:PrivateKey g1-key (protected)",
        ),
    ),
    "issuing-ca-rotated": (
        Outcome.SAFE,
        (
            "3 Certificates are reissued, by `review-ca-g1-i2` instead of `review-ca-g1-i1`",
            "The stable issuer `review-ca` signs with another CA",
            "Private keys that leave the state for good: g1-i1-key",
            "the key of g1-i1 leaves the state. Nothing breaks, as bundles hold roots only.",
            "`mtls-pki reissue`",
        ),
    ),
    "issuing-ca-renewed": (
        Outcome.SAFE,
        (
            "No Certificate is reissued.",
            "The CA of `review-ca-g1-i1` is renewed: same key, new dates; leaves stay as they are",
        ),
    ),
    "skipped": (
        Outcome.REFUSED,
        (
            f"{REFUSED} g1: issuing -> outgoing, g2: absent -> issuing.",
            "Waiting does not help.",
            "`added-and-issuing`",
            "| `g2` | absent | issuing | made by the update | not an allowed step |",
        ),
    ),
    "add": (
        Outcome.SAFE,
        (
            f"{AGREED} g2: absent -> incoming.",
            "added: every bundle learns it, nothing is issued from it yet",
            "| `west/review` | review-trust: gains g2 | \\- | \\- |",
            "New private keys, encrypted in the state: g2-i1-key, g2-key",
            "Issue from g2, once every bundle has held it for the hold-down: `mtls-pki promote`.",
            "nothing was issued from g2, so nothing breaks",
        ),
    ),
    "promote-too-early": (
        Outcome.REFUSED,
        (
            f"{REFUSED} g1: issuing -> outgoing, g2: incoming -> issuing.",
            "It can succeed from 2026-",
            "has held it for the hold-down.** `bundles-hold-anchor`",
            "0 of 2 bundles have held it for 10m0s",
            "waits for west/review ConfigMap review-trust\\[ca.crt\\]: changed at 2026-",
            "**Do:** keep g2 trusted but not issuing",
            "**Earliest:** 2026-",
            "Do what the refusal says, then preview again.",
        ),
    ),
    "give-up": (
        Outcome.SAFE,
        (
            f"{AGREED} g2: incoming -> absent.",
            "abandoned: leaves every bundle, never issued",
            "review-trust: loses g2",
            "Not by a revert: the key of g2 leaves the state",
        ),
    ),
    "canary": (
        Outcome.SAFE,
        (
            f"{AGREED} Services move to another anchor.",
            "Canary `review/gateway`: issued from g2 instead of the issuing anchor",
            "2 Certificates are reissued",
            "Watch the canaries: review/gateway on g2",
        ),
    ),
    "promote": (
        Outcome.SAFE,
        (
            f"{AGREED} g1: issuing -> outgoing, g2: incoming -> issuing.",
            "3 Certificates are reissued, by `review-ca-g2-i1` instead of `review-ca-g1-i1`",
            "| `east/review` | \\- | review-ca-g2-i1: created; review-ca: signs with another CA "
            "| 2 reissued |",
            "Remove g1, once no live leaf needs it: `mtls-pki retire`.",
            "the former anchor issues again, and g2 stays trusted until its leaves are gone",
            'beforeA0["g1: issuing"]:::issuing',
            'afterA0["g1: outgoing"]:::outgoing',
            'afterA1I0["review-ca-g2-i1"]',
            'afterA1I0C(["3 Certificates"])',
        ),
    ),
    "compromise-unacknowledged": (
        Outcome.REFUSED,
        ("`compromise-acknowledged`", "acceptOutage: true"),
    ),
    "compromise": (
        Outcome.SAFE,
        (
            "> [!WARNING]\n> **Connections break.** g1: issuing -> compromised",
            "is distrusted at once: 3 live leaves chain to it",
            "  - east/review Certificate ledger: breaks until it is reissued",
            "review-trust: loses g1",
            "g1 is never trusted again. The way on is a new generation.",
        ),
    ),
    "unreachable": (
        Outcome.UNSEEN,
        (
            "> [!WARNING]\n> **Not known to be safe:** west could not be read.",
            "Asked for: g1: issuing -> outgoing, g2: incoming -> issuing.",
            "`west` (provider kubernetes) reaches its cluster or service in another way, because "
            "of kubeconfig",
        ),
    ),
    "retire-too-early": (
        Outcome.REFUSED,
        (
            "`no-leaf-chains-to-anchor`",
            "3 of 3 leaves keep it",
            "waits for east/review Certificate",
            "cert-manager reissues declared leaves by itself, `mtls-pki reissue` moves",
        ),
    ),
    "go-back": (
        Outcome.SAFE,
        (
            f"{AGREED} g1: outgoing -> issuing, g2: issuing -> incoming.",
            "issues again",
            "stops issuing, stays trusted",
            "Promote the newer anchor again, under the same guards.",
        ),
    ),
    "retire": (
        Outcome.SAFE,
        (
            f"{AGREED} g1: outgoing -> absent.",
            "retired: leaves every bundle",
            "review-trust: loses g1 | review-ca-g1-i1: deleted",
            "Not by a revert: the key of g1 leaves the state",
            "Nothing more: no rotation is under way.",
        ),
    ),
}


def test_every_recording_is_looked_at() -> None:
    assert set(SAID) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_what_the_change_is(name: str) -> None:
    outcome, words = SAID[name]
    assert reviewed(name).outcome is outcome
    page = markdown(name)
    assert page.startswith("<!-- mtls-pki review: review -->\n\n## Trust review of `review`\n")
    missing = [each for each in words if each not in page]
    assert not missing, f"{missing} is not in\n{page}"
    assert len(page) <= LONGEST_PAGE
    assert page == markdown(name)
    assert html(name) == html(name)


@pytest.mark.parametrize("name", NAMES)
def test_the_engines_order_of_steps_does_not_matter(name: str) -> None:
    turned = recorded(name)
    turned["steps"].reverse()
    assert markdown(turned) == markdown(name)


@pytest.mark.parametrize("name", NAMES)
def test_what_stays_as_it_is_need_not_be_in_the_preview(name: str) -> None:
    """As ``pulumi preview --json`` prints without ``--show-sames``."""
    whole = recorded(name)
    short = {**whole, "steps": [each for each in whole["steps"] if each["op"] != "same"]}
    assert reviewed(short).outcome is reviewed(name).outcome
    assert reviewed(short).trust.moves is reviewed(name).trust.moves


def test_what_was_refused_or_failed_says_nothing_of_undoing() -> None:
    for name, (outcome, _) in SAID.items():
        stopped = outcome in (Outcome.REFUSED, Outcome.FAILED)
        assert ("What can be undone" in markdown(name)) is not (stopped or name == "no-change")


def test_beside_a_distrusted_anchor_there_is_no_former_one_to_go_back_to() -> None:
    assert "the former anchor issues again" in markdown("promote")
    assert "the former anchor issues again" not in markdown("compromise")


def test_thousands_of_certificates_are_counted_and_the_diff_is_cut() -> None:
    many = recorded("promote")
    (one,) = (
        each for each in many["steps"] if each["urn"].endswith("Certificate::east/review/ledger")
    )
    for number in range(3_000):
        each = json.loads(json.dumps(one).replace("ledger", f"service-{number:04}"))
        many["steps"].append(each)
    page = markdown(many)
    assert "3003 Certificates are reissued, by `review-ca-g2-i1`" in page
    assert "| 3002 reissued |" in page
    assert LONGEST_PAGE - 200 < len(page) <= LONGEST_PAGE
    assert page.endswith(" more\n```\n\n</details>\n")
    # What is lost or changes trust is not what is cut.
    assert "What can be undone" in page


def test_many_places_end_in_and_n_more() -> None:
    many = recorded("add")
    (one,) = (
        each
        for each in many["steps"]
        if "$kubernetes:core/v1:ConfigMap::east-review-trust" in each["urn"]
    )
    for number in range(500):
        text = json.dumps(one).replace('"namespace": "review"', f'"namespace": "n{number}"')
        many["steps"].append(json.loads(text.replace("east-review-trust-review", f"b-{number}")))
    page = markdown(many)
    assert page.count("review-trust: gains g2") > 50
    assert "more | | | |" in page
    assert len(page) <= LONGEST_PAGE


def test_other_resources_are_listed_by_kind() -> None:
    role = "vault:pkiSecret/secretBackendRole:SecretBackendRole"
    page = markdown(
        digest(
            step("update", role, "sign", old={"maxTtl": "1"}, new={"maxTtl": "2"},
                 detailedDiff={"maxTtl": {"kind": "update"}}),
            step("create", "vault:index/mount:Mount", "pki-g2", new={"path": "pki-g2"}),
            step(
                "create",
                "kubernetes:cert-manager.io/v1:ClusterIssuer",
                "east-mesh-g1-i1-vault",
                new={"metadata": {"name": "mesh-g1-i1-vault"}, "spec": {"vault": {}}},
            ),
        )
    )  # fmt: skip
    assert "- Vault SecretBackendRole: 1 updated (sign), in maxTtl\n" in page
    assert "- Vault Mount: 1 created (pki-g2)\n" in page
    assert "| `east` | \\- | mesh-g1-i1-vault: created | \\- |" in page


def test_a_stable_issuer_that_asks_a_vault_follows_by_its_spec() -> None:
    old, new = (
        {"metadata": {"name": "mesh", "namespace": "shop"}, "spec": {"vault": {"path": path}}}
        for path in ("pki/sign/g1", "pki/sign/g2")
    )
    kind = "mtls-pki:index:VaultIssuer$kubernetes:cert-manager.io/v1:Issuer"
    whole = digest(step("update", kind, "east-mesh-shop", old=old, new=new), stable_issuer="mesh")
    page = markdown(whole)
    assert "The stable issuer `mesh` signs with another CA" in page
    assert "| `east/shop` | \\- | mesh: signs with another CA | \\- |" in page
    assert "`mtls-pki reissue`" in page
    # Only its annotations: it signs as before.
    whole["steps"][0]["newState"]["inputs"] = {**old, "metadata": {**old["metadata"], "labels": {}}}
    assert "signs with another CA" not in markdown(whole)
    assert "mesh: updated" in markdown(whole)


def test_a_lost_bundle_gate_or_namespace_deserves_a_second_look() -> None:
    page = markdown(
        digest(
            step("delete", "kubernetes:core/v1:Namespace", "east-shop", old={"kind": "x"}),
            step("delete", "mtls-pki:index:TrustGate$kubernetes:core/v1:ConfigMap", "gate", old={}),
            step("delete", "tls:index/privateKey:PrivateKey", "g1-key", old={}, protect=True),
            step("delete", "kubernetes:core/v1:ConfigMap", "plain", old={"kind": "x"}),
        )
    )
    for lost in ("east-shop", "gate", "g1-key"):
        assert f"- `{lost}` (" in page
    assert "- `plain` (" not in page
    assert "is protected and would be deleted" in page


def test_a_namespace_that_is_retained_stays_and_the_page_says_so() -> None:
    gone = step("delete", "kubernetes:core/v1:Namespace", "east/shop", old={"kind": "x"})
    gone["oldState"]["retainOnDelete"] = True
    page = markdown(digest(gone))
    assert "leaves the stack, and stays in the cluster with all that is in it" in page
    assert "would be deleted" not in page


def test_a_protected_deletion_that_the_engine_refuses_has_failed() -> None:
    said = (("error", 'error: unable to delete resource "g1-key" as it is protected\n'),)
    found = reviewed(digest(said=(*said, ("error", "error: preview failed\n"))))
    assert found.outcome is Outcome.FAILED
    (error,) = found.said.errors
    assert error.head == 'unable to delete resource "g1-key" as it is protected'


def test_distrust_beside_a_cluster_that_cannot_be_read_says_both() -> None:
    both = recorded("compromise")
    both["diagnostics"] += recorded("unreachable")["diagnostics"]
    page = markdown(both)
    assert reviewed(both).outcome is Outcome.UNSEEN
    assert "**Not known to be safe:** west could not be read." in page
    assert "> **Connections break.** g1: issuing -> compromised" in page


BUNDLE = "mtls-pki:index:TrustBundle$kubernetes:"


def pem(generation: str, validity: Validity = material.TEN_YEARS) -> str:
    return material.root(generation, validity=validity)


def test_a_renewed_root_is_no_other_anchor() -> None:
    longer = replace(material.TEN_YEARS, not_after=material.TEN_YEARS.not_after + timedelta(days=1))
    old, new = ({"data": {"ca.crt": each}} for each in (pem("g1"), pem("g1", longer)))
    page = markdown(digest(step("update", f"{BUNDLE}core/v1:ConfigMap", "b", old=old, new=new)))
    assert "Roots are renewed: same keys, new dates; verifiers get them with the bundles" in page
    assert "| `east` | b: roots renewed |" in page


def test_a_bundle_that_is_only_annotated_is_not_renewed() -> None:
    old = {"data": {"ca.crt": pem("g1")}}
    new = {**old, "metadata": {"annotations": {"a": "b"}}}
    page = markdown(digest(step("update", f"{BUNDLE}core/v1:ConfigMap", "b", old=old, new=new)))
    assert "renewed" not in page
    assert "| `east` | b: written anew |" in page


def test_a_bundle_of_trust_manager_names_strangers_by_their_key() -> None:
    old, new = (
        {"metadata": {"name": "mesh-trust"}, "spec": {"sources": [{"inLine": each}]}}
        for each in (pem("g1"), pem("g1") + pem("g2"))
    )
    kind = f"{BUNDLE}trust.cert-manager.io/v1alpha1:Bundle"
    page = markdown(digest(step("update", kind, "b", old=old, new=new)))
    stranger = spki_sha256(parse_certificate(pem("g2"), origin="g2"))
    assert f"| `east` | mesh-trust: gains sha256:{stranger[:16]} |" in page


def test_clusters_in_different_stages_are_told_apart() -> None:
    apart = recorded("promote")
    for each in apart["steps"]:
        if each["urn"].endswith("ConfigMap::west-gate"):
            each["oldState"]["inputs"]["data"] = each["newState"]["inputs"]["data"]
    page = markdown(apart)
    assert "**In east:**" in page
    assert "**In west:**" in page


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", '{"some": 1}', "[" * 100_000, "{}"])
def test_what_is_no_preview_is_refused(text: str) -> None:
    with pytest.raises(DigestError):
        read_preview(text)


@pytest.mark.parametrize(
    "damage",
    [
        {"steps": None},
        {"steps": [None, 1, {}, {"urn": "x"}]},
        {"steps": [step("update", "a:b:C", "c", detailedDiff=3.5, replaceReasons=True)]},
        {"diagnostics": [{}, None]},
        {"config": []},
        {"config": {"mtls-pki:anchors": '{"g1": 1}', "mtls-pki:services": "[]"}},
        {"config": {"mtls-pki:anchors": '{"NO": {"role": "king"}}'}},
    ],
)
def test_a_damaged_preview_is_read_as_far_as_it_goes(damage: dict[str, Any]) -> None:
    assert markdown({**recorded("add"), **damage}).startswith("<!-- mtls-pki review")


# Secrets


def key_lines() -> list[str]:
    return material.key_pem("stolen").splitlines()[1:-1]


def places_of_a_key() -> list[dict[str, Any]]:
    """Digests that have a private key in places that nobody marked."""
    pem = material.key_pem("stolen")
    kind = "kubernetes:core/v1:ConfigMap"
    cut = pem[: pem.rindex("-----END")]
    unmarked = recorded("promote")
    for each in unmarked["steps"]:
        if "core/v1:Secret" in each["urn"] and each["op"] == "create":
            each["newState"]["inputs"]["data"] = {"tls.key": "AAAA-not-a-pem-AAAA"}
    return [
        digest(step("create", kind, "a", new={"data": {"k": pem}})),
        digest(step("update", kind, "a", old={"data": {"k": f"x{pem}"}}, new={"data": {"k": cut}})),
        digest(step("create", kind, "a", new={"data": [{"deep": [pem]}]})),
        digest(step("create", kind, "a", new={pem: "as a name"})),
        digest(step("create", kind, pem, new={})),
        digest(said=(("error", f"cannot parse {pem} here"),)),
        digest(said=(("warning", f"cannot parse {cut}"),)),
        unmarked,
    ]


@pytest.mark.parametrize("number", range(8))
def test_a_private_key_in_an_unmarked_place_is_not_shown(number: int) -> None:
    whole = places_of_a_key()[number]
    for page in (markdown(whole), html(whole)):
        assert not [line for line in key_lines() if line in page]
        assert "AAAA-not-a-pem-AAAA" not in page
        assert "BEGIN" not in page
    if number < 7:
        assert REMOVED.strip("[]") in markdown(whole)


def test_of_a_resource_with_a_secret_only_names_are_shown() -> None:
    kind = "kubernetes:core/v1:ConfigMap"
    old = {"data": {"password": "[secret]", "user": "visible-before"}}
    new = {"data": {"password": "[secret]", "user": "visible-after"}}
    detailed = {"data.user": {"kind": "update"}}
    page = markdown(digest(step("update", kind, "mixed", old=old, new=new, detailedDiff=detailed)))
    assert "visible" not in page
    assert "not shown, as it may hold secrets: data.user" in page
    # Without a secret in it the same resource is shown.
    del old["data"]["password"], new["data"]["password"]
    assert "visible-after" in markdown(digest(step("update", kind, "plain", old=old, new=new)))


def test_values_of_secrets_are_gone_before_anything_sees_them() -> None:
    inputs = {"data": {"a": "unmarked"}, "stringData": {"b": "unmarked"}, "type": "Opaque"}
    text = json.dumps(digest(step("update", KUBERNETES_SECRET, "s", old=inputs, new=inputs)))
    (read,) = read_preview(text).steps
    for found in (read.old, read.new):
        assert found == {"data": SECRET, "stringData": SECRET, "type": "Opaque"}


def test_of_a_secret_without_a_value_nothing_is_shown_either() -> None:
    new = {"type": "Opaque", "metadata": {"annotations": {"hint": "visible"}}}
    assert "visible" not in markdown(digest(step("create", KUBERNETES_SECRET, "s", new=new)))


def test_a_provider_shows_no_value() -> None:
    kind = "pulumi:providers:kubernetes"
    page = markdown(
        digest(
            step(
                "update", kind, "east", old={"kubeconfig": "a"}, new={"kubeconfig": "token: t0k3n"}
            )
        )
    )
    assert "t0k3n" not in page
    assert "not shown, as it may hold secrets: kubeconfig" in page
