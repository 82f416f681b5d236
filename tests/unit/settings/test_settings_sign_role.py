"""What a sign role allows: what the services of the stack need, and no more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mtls_pki.backends.vault.names import vault_limits
from mtls_pki.pki.leaf_limits import LeafLimits
from mtls_pki.settings.leaf_limits import is_below
from tests.unit.settings.configuration import load

VAULT = {"issuing.backend": "vault", "issuing.vault.server": "https://127.0.0.1:8200"}


def role(changes: dict[str, Any] | None = None) -> LeafLimits:
    return vault_limits(load({**VAULT, **(changes or {})}))


def service(**values: Any) -> dict[str, Any]:
    return {"services.web": {"namespace": "app", **values}}


def test_the_smallest_role_fits_the_smallest_stack() -> None:
    assert role() == LeafLimits(
        allowed_domains=("app", "app.svc", "app.svc.cluster.local"),
        wildcards=False,
        ip_addresses=False,
        uris=("spiffe://example.org/ns/app/sa/*",),
        key_algorithms=frozenset({"P-256"}),
        usages=("server auth", "client auth"),
        key_encipherment=False,
        max_lifetime=timedelta(hours=24),
    )


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        (service(dnsNames=["*.app.svc"]), "wildcards", True),
        (service(ipAddresses=["10.0.0.1"]), "ip_addresses", True),
        (service(keyAlgorithm="RSA-2048"), "key_encipherment", True),
        (service(keyAlgorithm="RSA-2048"), "key_algorithms", frozenset({"RSA-2048"})),
        (service(usages=["server auth"]), "usages", ("server auth",)),
        (service(duration="48h"), "max_lifetime", timedelta(hours=48)),
        ({"issuing.vault.maxTtl": "36h"}, "max_lifetime", timedelta(hours=36)),
        ({"issuing.vault.allowedDomains": ["app.svc.cluster.local", "app.svc", "app"]},
         "allowed_domains", ("app", "app.svc", "app.svc.cluster.local")),
    ],
)  # fmt: skip
def test_what_a_service_needs_is_allowed_and_by_default_it_is_not(
    changes: dict[str, Any], field: str, value: object
) -> None:
    assert getattr(role(changes), field) == value


def test_services_that_differ_in_their_keys_leave_the_kind_open() -> None:
    both = {"services.db": {"namespace": "app", "keyAlgorithm": "P-384"}}
    assert role(both).key_algorithms == {"P-256", "P-384"}


def test_a_key_that_is_no_rsa_key_never_gets_key_encipherment() -> None:
    both = {"services.db": {"namespace": "app", "keyAlgorithm": "RSA-2048"}}
    assert role(both).key_encipherment is False
    assert role(both | service(keyAlgorithm="RSA-4096")).key_encipherment is True


def test_a_name_outside_the_namespaces_is_allowed_by_itself() -> None:
    found = role(service(dnsNames=["web.app.svc", "shop.example.com"])).allowed_domains
    assert "shop.example.com" in found
    assert "example.com" not in found


def test_every_cluster_domain_is_allowed() -> None:
    clusters = {"clusters.eu": {"context": "eu", "clusterDomain": "eu.local"}}
    found = role(clusters).allowed_domains
    assert {"app.svc.cluster.local", "app.svc.eu.local"} <= set(found)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app.svc", True),
        ("web.app.svc", True),
        ("*.app.svc", True),
        ("notapp.svc", False),
        ("app.svc.evil.org", False),
        ("svc", False),
    ],
)
def test_below_is_by_whole_labels(name: str, expected: bool) -> None:
    assert is_below(name, ("app.svc",)) is expected
