"""What the stack file accepts becomes Certificates that every verifier takes; the rest is told."""

from __future__ import annotations

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.pki.parsing import describe, parse_certificates
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.chains import assert_chain_holds
from tests.integration.support.configuration import generated, small_stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

NAME = "odd"
# 245 characters, in labels of 50.
LONG = ".".join([*["a" * 50] * 4, "a" * 41])
# 57 characters: with what stands before it an issuing CA's name would have 71.
TRUST_DOMAIN = "prod-eu-central-1.k8s.platform.internal.some-company.example"

WILDCARD = {"pkix.invalid_domain_name_syntax": "RFC 6125 has wildcards, RFC 5280 4.2.1.6 none"}


def test_odd_values_that_are_accepted_work_in_every_verifier(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    services = {
        "dotted": {
            "namespace": NAME,
            "name": "app.example.org",
            "secretName": "app.example.org-cert",
            "dnsNames": ["app.example.org"],
        },
        "longest": {
            "namespace": NAME,
            "name": LONG,
            "secretName": f"{LONG}.bbbbbb",
            "serviceAccount": LONG,
            "dnsNames": [LONG, f"*.{LONG[51:]}"],
        },
        "long": {"namespace": NAME, "name": "w" * 63},
        "umlauts": {"namespace": NAME, "commonName": "\u00fc" * 32},
        "addresses": {"namespace": NAME, "ipAddresses": ["10.0.0.5", "2001:DB8::5"]},
        "wildcard": {
            "namespace": NAME,
            "dnsNames": ["wildcard.shop.example", "*.shop.example", "xn--bcher-kva.example"],
        },
        "short": {"namespace": NAME, "duration": "1h", "renewBefore": "55m"},
    }
    stack = make_stack(NAME)
    stack.write(
        small_stack(
            NAME,
            plane.kubeconfig,
            trustDomain=TRUST_DOMAIN,
            services=services,
            issuing={"name": f"{LONG[:140]}", "secretName": f"ca.{LONG[:140]}"},
            trust={"name": f"trust.{LONG[:140]}"},
        )
    )
    stack.init()
    stack.up()

    live = cluster.certificates(api, NAME)
    assert len(live) == len(services)
    bundle = cluster.config_map(api, NAME, f"trust.{LONG[:140]}")["ca.crt"]
    for name, certificate in live.items():
        assert cluster.is_ready(certificate), name
        chain = cluster.secret(api, NAME, certificate["spec"]["secretName"])["tls.crt"]
        leaf, issuing = parse_certificates(chain, origin=name)
        facts = describe(leaf)
        assert facts.uris == (f"spiffe://{TRUST_DOMAIN}/ns/{NAME}/sa/{name}",)
        assert_chain_holds(
            chain,
            bundle,
            facts.dns_names[0],
            allowed=WILDCARD if name in ("wildcard", LONG) else {},
        )
        assert TRUST_DOMAIN not in issuing.subject.rfc4514_string()
    assert stack.up().changes == {}
    cluster.end_renewals(api, NAME)


def test_a_time_with_an_offset_is_the_same_for_the_engine_and_the_command(
    plane: ControlPlane, make_stack: MakeStack
) -> None:
    """pulumi writes an unquoted time anew, as Go prints it, when it saves the stack file."""
    stack = make_stack("offset")
    stack.write(small_stack("offset", plane.kubeconfig))
    quoted = generated("g1", "offset")["validFrom"]
    text = stack.file.read_text()
    stack.file.write_text(
        text.replace(f"'{quoted}'", "2026-11-01T02:00:00+02:00").replace(
            f'"{quoted}"', "2026-11-01T02:00:00+02:00"
        )
    )
    assert "+02:00" in stack.file.read_text()
    stack.init()
    for saved in (False, True):
        if saved:
            stack.must("config", "set", "--stack", stack.name, "mtls-pki:certManager.install", "0")
            stack.must("config", "rm", "--stack", stack.name, "mtls-pki:certManager.install")
        preview = stack.preview()
        assert preview.status == 0, preview.output
        checked = stack.rotation("check")
        assert "validFrom" not in checked.stdout + checked.stderr
    assert "2026-11-01 02:00:00 +0200" in stack.file.read_text()


def test_a_namespace_that_is_ending_is_told_before_anything_is_touched(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    path = "/api/v1/namespaces/ending"
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}})
    held = "/api/v1/namespaces/ending/configmaps/held"
    api.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "held",
                "namespace": "ending",
                "finalizers": ["example.org/held"],
            },
        }
    )
    api.request("DELETE", path)
    try:
        stack = make_stack("ending")
        stack.write(small_stack("ending", plane.kubeconfig))
        stack.init()
        for run in (stack.preview(), stack.try_up()):
            assert "namespace ending has been Terminating since" in run.output, run.output
            assert "let it end, and run this again" in run.output
        assert run.status != 0
        assert run.changes == {}
    finally:
        cluster.patch(api, held, {"metadata": {"finalizers": None}})
