"""A change of one anchor's configuration, judged by the guard and by OpenSSL.

The guard predicts certificates from the configuration; here they are really made, before and after,
and OpenSSL verifies the live leaf and the next one under the live bundle and the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mtls_pki.components.trust_anchor import GeneratedAnchor
from mtls_pki.pki.certificates import Validity, issuing_certificate, root_certificate
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.program.arguments import trust_anchor_args
from mtls_pki.rotation.evidence import BundlePlace, ClusterEvidence, Evidence, GateObservation
from mtls_pki.rotation.observation import observe_bundle, observe_leaf
from mtls_pki.rotation.request import Mode
from mtls_pki.rotation.verdict import judge
from mtls_pki.settings.errors import SettingsError
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import change_request, configured_stage
from tests.chains.verifiers import openssl
from tests.unit.pki import material
from tests.unit.pki.material import key, key_pem, parsed
from tests.unit.settings.configuration import load

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOST = "web.app.svc"
PLACE = BundlePlace(cluster="dev", namespace="app", name="mesh-trust", key="ca.crt")
BEFORE: dict[str, Any] = {
    "anchors.g1.validFrom": "2026-01-01T00:00:00Z",
    "issuing.intermediate": {"validFor": "50000h"},
    # The SPIFFE ID of a service is a name as well; these tests are about DNS names.
    "services.web.dnsNames": [HOST],
}

EDITS: dict[str, list[Any]] = {
    "anchors.g1.commonName": ["root.example.org", "another.example.org"],
    "anchors.g1.validFrom": [
        "2025-01-01T00:00:00Z",
        "2026-11-26T11:59:59Z",
        "2026-11-26T21:00:00Z",
    ],
    "anchors.g1.validFor": ["87600h", "100h", "60000h"],
    "anchors.g1.pathLength": [0, 1, 2],
    "issuing.direct": [False, True],
    "issuing.intermediate.validFrom": ["2026-11-01T00:00:00Z", "2026-11-27T00:00:00Z"],
    "issuing.intermediate.validFor": ["8760h", "2000h", "50000h"],
    "issuing.intermediate.generation": ["i1", "i2"],
    "issuing.intermediate.permittedDnsDomains": [
        [],
        ["svc", "svc.cluster.local", "app"],
        ["b.org"],
    ],
}


@dataclass(frozen=True, kw_only=True)
class Made:
    """The root and a leaf's chain, as a configuration makes them."""

    root: str
    chain: str


def made(configured: Settings) -> Made:
    source = trust_anchor_args(configured, "g1").source
    assert isinstance(source, GeneratedAnchor)
    root = root_certificate(
        key_pem=key_pem("g1"),
        common_name=source.root.common_name,
        validity=Validity(not_before=source.root.not_before, not_after=source.root.not_after),
        path_length=source.root.path_length,
    )
    now = Validity(not_before=NOW - timedelta(hours=1), not_after=NOW + timedelta(hours=23))
    if source.issuing_ca is None:
        return Made(root=root, chain=material.leaf(root, key("g1"), dns=HOST, validity=now))
    profile, name = source.issuing_ca, source.issuing_ca_generation
    issuing = issuing_certificate(
        key_pem=key_pem(name),
        common_name=profile.common_name,
        validity=Validity(not_before=profile.not_before, not_after=profile.not_after),
        path_length=profile.path_length,
        permitted_dns_domains=profile.permitted_dns_domains,
        root_pem=root,
        root_key_pem=key_pem("g1"),
    )
    leaf = material.leaf(issuing, key(name), dns=HOST, validity=now)
    return Made(root=root, chain=leaf + issuing)


def seen(before: Made, configured: Settings) -> Evidence:
    """A cluster that has the bundle, the record and one leaf of another team's Certificate."""
    stage = configured_stage(configured, {"g1": spki_sha256(parsed(before.root))})
    root = parsed(before.root)
    leaf = observe_leaf(
        cluster="dev",
        namespace="app",
        name="web",
        kind="Certificate",
        declared=True,
        issuer="ClusterIssuer/mtls-ca-g1-i1",
        chain_pem=before.chain,
        anchors=(root,),
        issued_at=NOW - timedelta(hours=1),
    )
    cluster = ClusterEvidence(
        cluster="dev",
        bundles=(observe_bundle(PLACE, before.root, changed_at=NOW - timedelta(days=9)),),
        leaves=(leaf,),
        gate=GateObservation(cluster="dev", stage=stage, changed_at=NOW - timedelta(days=9)),
    )
    return Evidence(observed_at=NOW, clusters=(cluster,))


def verifies(chain: str, root: str) -> bool:
    return openssl(chain, root, HOST, NOW).accepted


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(st.fixed_dictionaries({}, optional={k: st.sampled_from(v) for k, v in EDITS.items()}))
@example({"anchors.g1.commonName": "another.example.org"})
@example({"anchors.g1.validFrom": "2026-11-26T21:00:00Z"})
@example({"anchors.g1.validFor": "100h", "issuing.intermediate.validFor": "50h"})
@example({"issuing.intermediate.validFrom": "2026-11-27T00:00:00Z"})
@example({"issuing.direct": True, "anchors.g1.pathLength": 0})
@example(
    {
        "issuing.intermediate.generation": "i2",
    }
)
def test_a_change_is_refused_if_and_only_if_openssl_refuses_a_chain_of_it(
    edits: Mapping[str, Any],
) -> None:
    before_settings = load(BEFORE)
    try:
        after_settings = load(_applied(edits))
    except SettingsError:
        return
    before, after = made(before_settings), made(after_settings)
    assert verifies(before.chain, before.root)
    holds = (
        verifies(before.chain, after.root)
        and verifies(after.chain, before.root)
        and verifies(after.chain, after.root)
    )
    evidence = seen(before, before_settings)
    (gate,) = evidence.gates
    assert gate.stage is not None
    request = change_request(after_settings, evidence, old=gate.stage, new=gate.stage)
    verdict = judge(request, evidence, now=NOW, mode=Mode.UP)
    assert verdict.allowed == holds, [refusal.seen for refusal in verdict.refusals]


def _applied(edits: Mapping[str, Any]) -> dict[str, Any]:
    changes = dict(BEFORE)
    if edits.get("issuing.direct"):
        del changes["issuing.intermediate"]
        return changes | {k: v for k, v in edits.items() if ".intermediate." not in k}
    return changes | dict(edits)
