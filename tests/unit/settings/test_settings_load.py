"""From raw values to settings: every kind of mistake, its place and what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtls_pki.registry import extensions
from mtls_pki.rotation.roles import Role
from mtls_pki.settings.errors import Mistake, SettingsError
from mtls_pki.settings.load import load_settings
from mtls_pki.settings.types import PemFile
from tests.unit.pki import material
from tests.unit.settings.configuration import REMOVED, changed, load, mistakes, told

DNS_LABEL = (
    "write a DNS label: at most 63 of a-z, 0-9 and '-', beginning and ending with a letter or "
    "digit (RFC 1123 2.1)"
)
OBJECT_NAME = (
    "write the name of an object: at most 253 of a-z, 0-9, '-' and '.', each part between dots "
    "beginning and ending with a letter or digit (RFC 1123 2.1)"
)
INSTANT = "write an RFC 3339 time in UTC such as 2026-11-01T00:00:00Z"
DURATION = "write a Go duration with its unit, such as 720h or 90s"
COMMON_NAME = "has blanks at an end or characters that do not print; remove them"
LENGTH = "bytes long; write 1 to 64 bytes of UTF-8 (RFC 5280 A.1, ub-common-name)"
KEY_FIELD = "anchors.g1.issuingCa.privateKey"


def test_the_small_configuration_is_right() -> None:
    settings = load()
    g1 = settings.anchors["g1"]
    assert (g1.role, g1.brought, g1.can_issue) == (Role.ISSUING, False, True)
    assert g1.valid_from == datetime(2026, 11, 1, tzinfo=UTC)
    assert g1.not_after == datetime(2036, 10, 29, tzinfo=UTC)
    assert settings.issuing_generation == "g1"


def test_defaults_are_the_documented_ones() -> None:
    settings = load()
    assert settings.issuing.leaf.duration == timedelta(hours=24)
    assert settings.issuing.leaf.renew_before == timedelta(hours=8)
    assert settings.trust.hold_down == timedelta(minutes=2)
    assert settings.issuing.issuing_ca is not None
    assert settings.issuing.issuing_ca.valid_for == timedelta(hours=8760)
    assert settings.services["web"].usages == ("server auth", "client auth")
    assert settings.services["web"].rotation_policy == "Always"
    assert not settings.cert_manager.install


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # Keys.
        ("trustDomian", "x", "unknown key; did you mean trustDomain?"),
        ("clusters.dev.kubeconfg", "x", "unknown key; did you mean kubeconfig?"),
        ("anchors.g1.validfrom", "x", "unknown key; did you mean validFrom?"),
        ("services.web.dnsName", ["x"], "unknown key; did you mean dnsNames?"),
        ("issuing.leaf.lifetime", "1h", "unknown key; known here: duration, renewBefore"),
        ("issuing.intermediate.zzz", 1, None),
        ("trustDomain", REMOVED, "missing; write it"),
        ("trust", REMOVED, "missing; write it"),
        ("trust.namespaces", REMOVED, "missing; write it"),
        ("services.web.namespace", REMOVED, "missing; write it"),
        # Shapes.
        ("clusters", ["dev"], "write a mapping of keys"),
        ("clusters.dev", "dev", "write a mapping of keys"),
        ("services.web", None, "write a mapping of keys"),
        ("issuing.intermediate", "8760h", "write a mapping of keys"),
        ("clusters", {}, "write at least 1"),
        ("anchors", {}, "write at least 1"),
        ("trust.namespaces", [], "write at least 1"),
        ("services.web.usages", [], "write at least 1"),
        ("trust.namespaces", "app", "'app': write a list"),
        ("trustDomain", 5, "5: quote it, for YAML takes it for a number or a truth value"),
        ("clusters.dev.context", ["x"], "write text"),
        ("issuing.direct", "maybe", "'maybe': write true or false"),
        ("certManager.install", 3, "3: write true or false"),
        ("anchors.g1.pathLength", -1, "-1: input should be greater than or equal to 0"),
        # Literals.
        (
            "anchors.g1.role",
            "isuing",
            "'isuing': write one of: 'incoming', 'issuing', 'outgoing' or 'compromised'",
        ),
        ("issuing.kind", "issuer", "'issuer': write one of: 'ClusterIssuer' or 'Issuer'"),
        ("trust.via", "file", "'file': write one of: 'configmap' or 'trust-manager'"),
        (
            "anchors.g1.keyAlgorithm",
            "P256",
            "'P256': write one of: 'P-256', 'P-384', 'RSA-2048', 'RSA-3072', 'RSA-4096' or "
            "'Ed25519'",
        ),
        # Durations.
        ("anchors.g1.validFor", "30d", "'30d': write 720h"),
        ("trust.holdDown", "2min", "'2min': write a Go duration such as 720h, 8h30m or 90s"),
        ("issuing.leaf.duration", 24, f"24: {DURATION}"),
        ("issuing.leaf.renewBefore", None, f"None: {DURATION}"),
        ("issuing.readyTimeout", "0s", "'0s': write a duration greater than zero"),
        ("anchors.g1.validFor", "87600000h", "'87600000h': write at most 2562047h"),
        # Instants.
        ("anchors.g1.validFrom", "November", f"'November': {INSTANT}"),
        ("anchors.g1.validFrom", 20261101, f"20261101: {INSTANT}"),
        (
            "anchors.g1.validFrom",
            "2026-11-01T00:00:00",
            "'2026-11-01T00:00:00': write the time zone: 2026-11-01T00:00:00Z",
        ),
        (
            "anchors.g1.validFrom",
            "2026-11-01",
            "'2026-11-01': write the time zone: 2026-11-01T00:00:00Z",
        ),
        (
            "anchors.g1.validFrom",
            "2026-11-01T00:00:00.5Z",
            "'2026-11-01T00:00:00.5Z': write whole seconds (RFC 5280 4.1.2.5 has no fractions)",
        ),
        (
            "anchors.g1.validFrom",
            "0001-01-01T00:00:00+10:00",
            "'0001-01-01T00:00:00+10:00': write a year from 1950 to 9000",
        ),
        (
            "issuing.intermediate.validFrom",
            "9999-12-31T23:59:59Z",
            "'9999-12-31T23:59:59Z': write a year from 1950 to 9000",
        ),
        # Names.
        ("trustDomain", "Example.org", "'Example.org': has capital letters; write example.org"),
        (
            "trustDomain",
            "",
            "'': write a DNS name such as gateway.monoskope.svc.cluster.local",
        ),
        ("trustDomain", "10.0.0.1", "'10.0.0.1': is an IP address; write a DNS domain"),
        ("trustDomain", "*.org", "'*.org': write the domain without a wildcard"),
        ("issuing.name", "-ca", f"'-ca': {OBJECT_NAME}"),
        ("services.web.serviceAccount", "a..b", f"'a..b': {OBJECT_NAME}"),
        (
            "trust.key",
            "a b",
            "'a b': write a ConfigMap key such as ca.crt (letters, digits, '-', '_', '.')",
        ),
        ("anchors.g1.commonName", " x", f"' x': {COMMON_NAME}"),
        ("anchors.g1.commonName", "", f"'': is 0 {LENGTH}"),
        ("anchors.g1.commonName", "a\nb", f"'a\\nb': {COMMON_NAME}"),
        ("anchors.g1.commonName", "x" * 65, f"'{'x' * 65}': is 65 {LENGTH}"),
    ],
)
def test_one_mistake_is_told_with_place_value_and_remedy(
    path: str, value: object, message: str | None
) -> None:
    (found,) = mistakes({path: value})
    assert found.path == path
    if message is not None:
        assert found.message == message
    else:
        assert found.message.startswith("unknown key; known here: generation, keyAlgorithm, ")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("trust.namespaces", ["app", "App"], f"trust.namespaces.1: 'App': {DNS_LABEL}"),
        (
            "services.web.dnsNames",
            ["a.b", "A"],
            "services.web.dnsNames.1: 'A': has capital letters; write a",
        ),
        (
            "services.web.ipAddresses",
            ["fe80::1%eth0"],
            "services.web.ipAddresses.0: 'fe80::1%eth0': has a zone, which means something on one "
            "machine only; write fe80::1, or an address that is not link-local",
        ),
        (
            "services.web.ipAddresses",
            ["::ffff:10.0.0.5"],
            "services.web.ipAddresses.0: '::ffff:10.0.0.5': is an IPv4 address written as IPv6; "
            "write 10.0.0.5",
        ),
        (
            "services.web.dnsNames",
            ["10.0.0.5"],
            "services.web.dnsNames.0: '10.0.0.5': is an IP address, no DNS name; write it under "
            "ipAddresses",
        ),
        (
            "services.web.dnsNames",
            ["*"],
            "services.web.dnsNames.0: '*': is a wildcard before fewer than two labels, which no "
            "verifier matches; list names",
        ),
        (
            "services.web.ipAddresses",
            ["10.0.0"],
            "services.web.ipAddresses.0: '10.0.0': write an IP address such as 10.0.0.5 or "
            "2001:db8::5",
        ),
        *(
            (
                "services.web.emailAddresses",
                [text],
                f"services.web.emailAddresses.0: '{text}': write a mailbox with a lower-case "
                "domain such as operator@monoskope.io",
            )
            for text in (
                "operator",
                "@example.org",
                "a@",
                "a..b@example.org",
                "a@Example.org",
                "Op <a@example.org>",
                "o\u00e9@example.org",
                f"{'x' * 65}@example.org",
            )
        ),
        (
            "services.web.organizations",
            ["x" * 65],
            f"services.web.organizations.0: '{'x' * 65}': is 65 bytes long; write 1 to 64 bytes of "
            "UTF-8 (RFC 5280 A.1, ub-organization-name)",
        ),
        *(
            (
                "services.web.uris",
                [uri],
                "services.web.uris: leave it out: a leaf has one URI, the SPIFFE ID of its service "
                "account, and SPIFFE's verifiers refuse one with a second (X.509-SVID 2); another "
                "identity is another service (serviceAccount)",
            )
            for uri in (
                "https://example.org/web",
                "spiffe://example.org/ns/app/sa/web",
                "spiffe://example.org/ns/app/sa/admin",
                "spiffe://Example.org/ns/app/sa/web",
                "urn:web:\u00fc",
            )
        ),
        (
            "services.web.usages",
            ["signing"],
            "services.web.usages.0: 'signing': write one of: 'server auth' or 'client auth'",
        ),
        # A list with one wrong item is not called too short as well.
        ("trust.namespaces", ["App"], f"trust.namespaces.0: 'App': {DNS_LABEL}"),
    ],
)
def test_a_mistake_in_a_list_is_told_with_its_position(
    path: str, value: list[str], message: str
) -> None:
    assert told({path: value}) == [message]


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ("clusters", "Dev", f"'Dev': {DNS_LABEL}"),
        ("services", "web_1", f"'web_1': {DNS_LABEL}"),
        *(
            (
                "anchors",
                name,
                f"'{name}': name a generation g1, g2, ... (a letter and at most 14 of a-z and 0-9)",
            )
            # With '-' the key of anchor g1-i1 would have the name of that of issuing CA i1 of g1.
            for name in ("G1", "1", "g" * 16, "g1-i1")
        ),
    ],
)
def test_a_wrong_name_of_a_section_is_told(section: str, key: str, message: str) -> None:
    right = changed({})[section]
    wrong = {key: next(iter(right.values()))}
    assert told({section: wrong}) == [f"{section}.{key}: {message}"]


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://monitor:hunter2@db/postgres",
        "postgresql://monitor@db/postgres?password=hunter2",
        "postgresql://monitor@db/postgres?sslpassword=hunter2",
        "postgresql://monitor:hunter2@db:99999/postgres",
        "host=db user=monitor password = hunter2",
    ],
)
def test_a_password_in_a_connection_is_refused_and_not_shown(text: str) -> None:
    (line,) = told({"consumers.postgresql.servers": {"a": {"connection": text}}})
    assert line.startswith("consumers.postgresql.servers.a.connection: ")
    assert "hunter2" not in line


@pytest.mark.parametrize("text", ["postgresql://db/postgres", "mysql://db", "db", "postgresql://"])
def test_a_connection_names_a_role_and_a_server(text: str) -> None:
    assert told({"consumers.postgresql.servers": {"a": {"connection": text}}}) == [
        f"consumers.postgresql.servers.a.connection: '{text}': write "
        "postgresql://USER@HOST:PORT/DATABASE, with libpq's parameters after `?`"
    ]


def test_long_values_are_cut() -> None:
    (line,) = told({"trustDomain": "X" * 500})
    assert len(line) < 200
    assert "...: has a label of 500 characters" in line


def test_other_time_zones_are_read_as_utc() -> None:
    settings = load({"anchors.g1.validFrom": "2026-11-01T02:00:00+02:00"})
    assert settings.anchors["g1"].valid_from == datetime(2026, 11, 1, tzinfo=UTC)


def test_addresses_are_brought_into_their_shortest_form() -> None:
    settings = load({"services.web.ipAddresses": ["2001:DB8:0::5"]})
    assert settings.services["web"].ip_addresses == ("2001:db8::5",)


def test_wildcard_names_are_names() -> None:
    settings = load({"services.web.dnsNames": ["*.app.svc"]})
    assert settings.services["web"].dns_names == ("*.app.svc",)


def test_all_mistakes_are_in_one_message() -> None:
    """Schema, unknown keys and rules together; nothing is hidden behind something else."""
    with pytest.raises(SettingsError) as caught:
        load(
            {
                "clusters.dev.kubeconfg": "x",
                "services.web.dnsNames": "x",
                "services.api": {"namespace": "elsewhere"},
                "anchors.g2": {"role": "issuing", "commonName": "root-g2.example.org"},
            }
        )
    missing = (
        "missing; a generated anchor states its subject and dates (or bring one with "
        "`certificate: trust/file.pem`)"
    )
    assert str(caught.value).splitlines() == [
        "Pulumi.test.yaml has 6 mistakes; nothing was touched:",
        "  clusters.dev.kubeconfg: unknown key; did you mean kubeconfig?",
        "  services.web.dnsNames: 'x': write a list",
        "  anchors: 2 anchors have role issuing (g1, g2); give it to exactly one",
        f"  anchors.g2.validFrom: {missing}",
        f"  anchors.g2.validFor: {missing}",
        "  services.api.namespace: 'elsewhere' gets no trust bundle; add it to trust.namespaces",
    ]
    assert caught.value.__cause__ is None


def test_rules_do_not_blame_what_is_right_for_what_is_missing() -> None:
    """g2 cannot be read, so nobody is told that canaries name an anchor that does not exist."""
    assert told(
        {"anchors.g2": {"role": "incomming"}, "services.web.anchor": "g2"},
    ) == [
        "anchors.g2.role: 'incomming': write one of: 'incoming', 'issuing', 'outgoing' or "
        "'compromised'"
    ]


def test_one_mistake_is_not_called_mistakes() -> None:
    error = SettingsError("Pulumi.dev.yaml", [Mistake(path="trust.name", message="no")])
    assert str(error) == "Pulumi.dev.yaml has 1 mistake; nothing was touched:\n  trust.name: no"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["g1", "web", "role", "namespace", "validFor", "leaf", "x"]), inner
            )
        ),
        max_leaves=8,
    ),
    st.sampled_from([*sorted(changed({})), "issuing", "certManager", "anchors.g1", "services.web"]),
)
def test_whatever_is_written_the_answer_is_settings_or_mistakes(value: Any, path: str) -> None:
    mistakes({path: value})


# Secrets.


SECRET = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"  # noqa: S105


def assert_not_told(lines: list[str]) -> None:
    assert lines
    for line in lines:
        assert "c2VjcmV0" not in line
        assert "-----BEGIN" not in line


@pytest.mark.parametrize(
    "value", [SECRET, [SECRET], {"secure": SECRET}, {SECRET: 1}, 17, None, True]
)
def test_a_key_in_clear_text_is_a_mistake_and_never_told(value: object) -> None:
    lines = told({"anchors.g1.issuingCa": {"certificate": "x.pem", "privateKey": value}})
    assert_not_told(lines)
    assert lines[0] == (
        f"{KEY_FIELD}: a private key in clear text; store it encrypted with `pulumi config set "
        f"--secret --path 'mtls-pki:{KEY_FIELD}' < key.pem`, and treat this one as compromised if "
        "the file was ever committed"
    )


@pytest.mark.parametrize(
    "path",
    [
        "anchors",
        "anchors.g1",
        "anchors.g1.issuingCa",
        "anchors.g1.certificate",
        "anchors.g1.privateKey",
        "anchors.g1.commonName",
        "anchors.g1.validFrom",
        "anchors.g1.role",
        "trustDomain",
        "issuing",
        "services.web",
        "trust.holdDown",
        "certManager.install",
    ],
)
@pytest.mark.parametrize("wrap", [str, lambda text: [text], lambda text: {"key": [text]}])
def test_a_key_in_a_wrong_place_is_not_told(path: str, wrap: Any) -> None:
    assert_not_told(told({path: wrap(SECRET)}))


@pytest.mark.parametrize("value", ["s3cret!", 5309, ["s3cret!"], {"a": "s3cret!"}])
@pytest.mark.parametrize("path", ["anchors.g1.validFor", "anchors.g1.issuingCa", "trustDomain"])
def test_nothing_below_an_encrypted_key_is_told(path: str, value: object) -> None:
    """The engine does not say which value was encrypted, only under which top-level key."""
    lines = told({path: value}, secret=["anchors", "trustDomain"])
    assert lines
    assert "s3cret" not in "\n".join(lines)
    assert "5309" not in "\n".join(lines)


def test_an_encrypted_key_is_no_mistake_and_not_shown(tmp_path: Path) -> None:
    root = material.root("g1")
    issuing = material.issuing("i1", root_pem=root, root_key=material.key_pem("g1"))
    (tmp_path / "g1.pem").write_text(root)
    (tmp_path / "i1.pem").write_text(issuing)
    key = material.key_pem("i1")
    settings = load(
        {
            "anchors.g1": {
                "role": "issuing",
                "certificate": "g1.pem",
                "issuingCa": {"certificate": "i1.pem", "privateKey": key},
            }
        },
        directory=tmp_path,
        secret=["anchors"],
    )
    issuing_ca = settings.anchors["g1"].issuing_ca
    assert issuing_ca is not None
    assert issuing_ca.private_key.get_secret_value() == key
    assert key not in repr(settings)


# Files.


def test_a_pem_file_is_read_relative_to_the_stack_file(tmp_path: Path) -> None:
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust/g2.pem").write_text(material.root("g2"))
    settings = load(
        {"anchors.g2": {"role": "incoming", "certificate": "trust/g2.pem"}}, directory=tmp_path
    )
    g2 = settings.anchors["g2"]
    assert g2.certificate == PemFile("trust/g2.pem", material.root("g2"))
    assert (g2.brought, g2.can_issue, g2.not_after) == (True, False, None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("none.pem", "none.pem: no such file; write a path relative to the stack file"),
        (
            "der",
            "der is DER, no PEM text; convert it with: openssl x509 -inform DER -in FILE -out "
            "FILE.pem",
        ),
        ("wide", "wide is UTF-16 text; save it as UTF-8"),
        (
            "key",
            "key: block 1 is a private key; remove it here and treat it as exposed, only "
            "certificates belong",
        ),
        (
            "second",
            "second: block 2 is indented; remove the blanks before its lines "
            "(sed 's/^[[:blank:]]*//'), for verifiers pass such a block over",
        ),
        (".", ". cannot be read (Is a directory); write the path of a file"),
        ("", "'': write the path of a PEM file, relative to the stack file"),
        (7, "7: write the path of a PEM file, relative to the stack file"),
        (
            "-----BEGIN CERTIFICATE-----\nMIIB",
            "put the PEM text into a file and write its path, such as trust/g2.pem",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told(value: object, message: str, tmp_path: Path) -> None:
    root = material.root("g2")
    (tmp_path / "der").write_bytes(b"\x30\x82\xff")
    (tmp_path / "wide").write_text(root, encoding="utf-16")
    (tmp_path / "key").write_text(material.key_pem("g2"))
    (tmp_path / "second").write_text(root + root.replace("-----BEGIN", "  -----BEGIN"))
    changes = {"anchors.g2": {"role": "incoming", "certificate": value}}
    for secret in ((), ("anchors",)):
        (line,) = told(changes, directory=tmp_path, secret=secret)
        # The path of a file is told everywhere, any other value only where there is no secret.
        shown = message.removeprefix(f"{value!r}: ") if secret else message
        assert line == f"anchors.g2.certificate: {shown}"


def test_only_the_certificates_of_a_file_go_on(tmp_path: Path) -> None:
    root = material.root("g2")
    written = f"Schlüssel der Wurzel\r\n# {root.splitlines()[0]}\r\n" + root.replace("\n", " \r\n")
    (tmp_path / "g2.pem").write_text(written, encoding="utf-8-sig", newline="")
    (tmp_path / "old.pem").write_bytes("Fußnote\n".encode("latin-1") + root.encode())
    for name in ("g2.pem", "old.pem"):
        changes = {"anchors.g2": {"role": "incoming", "certificate": name}}
        settings = load(changes, directory=tmp_path)
        assert settings.anchors["g2"].certificate == PemFile(name, root)


def test_a_file_that_other_programs_read_too_has_no_byte_order_mark(tmp_path: Path) -> None:
    root, changes = material.root("g2"), {"issuing.vault.caBundle": "ca.pem"}
    (tmp_path / "ca.pem").write_text(root, encoding="utf-8-sig")
    assert (
        "issuing.vault.caBundle: ca.pem begins with a byte order mark, behind which other programs "
        "do not find its first certificate; save it without one"
    ) in told(changes, directory=tmp_path)


def test_values_are_not_changed_by_loading() -> None:
    values = changed({"services.web.dnsNames": "x", "zzz": 1})
    before = changed({"services.web.dnsNames": "x", "zzz": 1})
    with pytest.raises(SettingsError):
        load_settings(
            values,
            source="x",
            directory=Path(),
            owner="x/y",
            secret_keys=(),
            extensions=extensions(),
        )
    assert values == before


def test_the_owner_is_the_stacks_own_name_and_no_key_of_the_file() -> None:
    assert load({}).owner == "mtls-pki/test"
    assert [mistake.path for mistake in mistakes({"owner": "other/stack"})] == ["owner"]


def test_a_name_to_which_others_are_added_leaves_room_for_them() -> None:
    assert load({"issuing.name": ".".join(["a" * 49] * 3)}).issuing.name.startswith("a")
    (line,) = told({"issuing.name": ".".join(["a" * 50] * 3)})
    assert line.startswith("issuing.name: ")
    assert line.endswith(
        "is 152 characters long; write at most 150, because the names of objects begin with it"
    )
