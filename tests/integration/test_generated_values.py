"""Whatever a service says is refused with its place, or works in every verifier; no traceback.

Hundreds of services are generated. Each is judged alone, as a stack file with that service; what is
accepted is applied in one update on the real engine, and each leaf is verified.
"""

from __future__ import annotations

import copy
import random
import secrets
from pathlib import Path
from typing import Any

import pytest

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.pki.parsing import describe, parse_certificates
from mtls_pki.registry import extensions
from mtls_pki.settings.errors import SettingsError
from mtls_pki.settings.load import load_settings
from tests.chains.verifiers import VERIFIERS
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import small_stack

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

NAME = "drawn"
FILES = 600

# `{}` is the number of the service, so that what is accepted does not meet another one.
NAMES = (
    *(
        "web{}",
        "web.{}",
        "web{}.example.org",
        "w" * 58 + "{}",
        "Web{}",
        "web_{}",
        "-web{}",
        *("web{}-", f"{'a' * 60}." * 4 + "b{}", f"{'a' * 64}.b{{}}"),
    ),
    *("9web{}", "we b{}", "web{}.", "wéb{}", "*.web{}", "w" * 250 + "{}", 2048, None, "", True),
)
DNS_NAMES = (
    *("web{}.shop.example", "*.shop{}.example", "*.example", "*", "web.*.example", "Web{}.example"),
    *("bücher{}.example", "xn--bcher-kva.example", "web{}.example.", "web_{}.example", "10.0.0.5"),
    *("[::1]", "web{}.example:443", "https://web{}.example", "a" * 63 + ".example", "web..example"),
    *("a" * 64 + ".example", ".".join(["abcdefg"] * 40), " web{}", "web{} ", "1.{}", "", 443, "☃"),
    *("localhost", "web{}", "web-{}.a-b.example", "-web{}.example", "\uff57eb{}.example"),
)
ADDRESSES = (
    *(
        "10.0.0.{}",
        "2001:DB8::{}",
        "fe80::1%eth0",
        "::ffff:10.0.0.5",
        "::",
        "0.0.0.0",  # noqa: S104 an odd value
        "10.0.0",
    ),
    *("10.0.0.256", "10.0.0.5/24", "web", "2001:db8::1::2", "255.255.255.255", 10, "٣.0.0.1"),
)
COMMON_NAMES = (
    *("web{}", "ü" * 32, "ü" * 33, "x" * 64, "x" * 65, "", " web", "a\nb", "CN=web,O=x", "web\0"),
    *("日本語{}", "web{}.shop.example", 7, "*", '"quoted"', "\u202eweb"),
)
TIMES = ("1h", "59m", "24h", "24h0m0.5s", "90m", "5m", "4m", "55m", "1461h", "1d", "", 3600, "-1h")
URIS = ((), ("spiffe://drawn.example.org/ns/drawn/sa/a",), ("urn:é",), ("http://x.example",))
KEYS = ("P-256", "P-384", "RSA-2048", "Ed25519", "P-521", "rsa", 256)
MAILBOXES = ("a{}@example.org", "ä@example.org", "a@b@c", "a@Example.org", "@x", "a@[10.0.0.5]")
USAGES = (("server auth", "client auth"), ("client auth", "server auth"), (), ("code signing",))


def drawn(chance: random.Random, number: int) -> dict[str, Any]:
    """One service with one to three keys of odd values."""

    def several(values: tuple[Any, ...]) -> list[Any]:
        return [chance.choice(values) for _ in range(chance.randint(0, 3))]

    keys: dict[str, Any] = {
        "name": lambda: chance.choice(NAMES),
        "secretName": lambda: chance.choice(NAMES),
        "serviceAccount": lambda: chance.choice(NAMES),
        "dnsNames": lambda: several(DNS_NAMES),
        "ipAddresses": lambda: several(ADDRESSES),
        "emailAddresses": lambda: several(MAILBOXES),
        "commonName": lambda: chance.choice(COMMON_NAMES),
        "organizations": lambda: several(COMMON_NAMES),
        "duration": lambda: chance.choice(TIMES),
        "renewBefore": lambda: chance.choice(TIMES),
        "uris": lambda: list(chance.choice(URIS)),
        "keyAlgorithm": lambda: chance.choice(KEYS),
        "usages": lambda: list(chance.choice(USAGES)),
        "namespace": lambda: chance.choice((NAME, NAME, "elsewhere", 7, "Drawn")),
    }
    found = {key: keys[key]() for key in chance.sample(sorted(keys), chance.randint(1, 3))}
    return {"namespace": NAME, **_numbered(found, number)}


def _numbered(value: Any, number: int) -> Any:
    if isinstance(value, dict):
        return {key: _numbered(each, number) for key, each in value.items()}
    if isinstance(value, list):
        return [_numbered(each, number) for each in value]
    return value.replace("{}", str(number % 200)) if isinstance(value, str) else value


def refusal(values: dict[str, Any]) -> str | None:
    """What is said of a stack file; None if it is accepted."""
    try:
        load_settings(
            values,
            source="drawn",
            directory=Path(),
            owner="mtls-pki/drawn",
            secret_keys=(),
            extensions=extensions(),
        )
    except SettingsError as error:
        lines = [mistake.path and mistake.message for mistake in error.mistakes]
        return "\n".join([str(error), *(["no place or no words"] if not all(lines) else [])])
    return None


def test_what_is_accepted_works_and_what_is_refused_says_where(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)  # noqa: S311 odd values, no secrets
    base = small_stack(NAME, plane.kubeconfig, services={})
    services: dict[str, Any] = {}
    refused = 0
    for number in range(FILES):
        service = drawn(chance, number)
        key = f"s{number}"
        told = refusal({**copy.deepcopy(base), "services": {key: service}})
        if told is not None:
            refused += 1
            assert f"services.{key}" in told, told
            assert "no place or no words" not in told
        elif refusal({**base, "services": {**services, key: service}}) is None:
            services[key] = service
    assert refused > FILES // 4
    assert len(services) > FILES // 10
    print(f"{refused} refused, {len(services)} applied")

    stack = make_stack(NAME)
    stack.write({**base, "services": services})
    stack.init()
    run = stack.update()
    assert run.status == 0, run.output
    assert "Traceback" not in run.output

    live = cluster.certificates(api, NAME)
    assert len(live) == len(services)
    bundle = cluster.config_map(api, NAME, f"{NAME}-trust")["ca.crt"]
    for name, certificate in live.items():
        assert cluster.is_ready(certificate), (name, certificate)
        chain = cluster.secret(api, NAME, certificate["spec"]["secretName"])["tls.crt"]
        facts = describe(parse_certificates(chain, origin=name)[0])
        assert len(facts.uris) == 1
        if set(certificate["spec"]["usages"]) < {"server auth", "client auth"}:
            continue
        for host in facts.dns_names[:1]:
            for judge in ("openssl", "go", "gnutls"):
                verdict = VERIFIERS[judge](chain, bundle, host.replace("*", "w"), None)
                assert verdict.accepted, (judge, host, certificate["spec"], verdict.reason)
    assert stack.up().changes == {}
    cluster.end_renewals(api, NAME)
