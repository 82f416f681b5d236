"""What only a state shows: keys that are retained, and secrets that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from policy.state_file import main
from tests.unit.pki import material
from tests.unit.policy.world import ANCHOR, KEY

PEM = material.key_pem("secret")
MARK = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
ENCRYPTED = {**MARK, "ciphertext": "v1:abc"}
SHOWN = {**MARK, "plaintext": json.dumps(PEM)}
MOUNT = "vault:index/mount:Mount"


def entry(type_: str, name: str, **given: Any) -> dict[str, Any]:
    return {
        "urn": f"urn:pulumi:dev::mtls-pki::{type_}::{name}",
        "type": type_.split("$")[-1],
        **given,
    }


@pytest.fixture
def judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def judge(*entries: dict[str, Any]) -> tuple[int, list[str]]:
        file = tmp_path / "state.json"
        file.write_text(json.dumps({"version": 3, "deployment": {"resources": entries}}))
        status = main([str(file)])
        return status, capsys.readouterr().out.splitlines()[:-1]

    return judge


KEPT = entry(f"{ANCHOR}${KEY}", "g1-key", retainOnDelete=True, outputs={"privateKeyPem": ENCRYPTED})


def test_a_good_state_has_no_finding(judged: Any) -> None:
    entries = (
        KEPT,
        entry(MOUNT, "pki", retainOnDelete=True, inputs={"type": "pki"}),
        entry(MOUNT, "kv", inputs={"type": "kv"}),
        entry(KEY, "of-another-program"),
        entry("kubernetes:core/v1:Secret", "ca", inputs={"stringData": SHOWN}),
    )
    assert judged(*entries) == (0, [])


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (entry(f"{ANCHOR}${KEY}", "g1-i1-key"), "PrivateKey g1-i1-key"),
        (entry(MOUNT, "pki", inputs={"type": "pki"}, retainOnDelete=False), "Mount pki"),
    ],
)
def test_a_key_that_is_not_retained_is_found(
    judged: Any, given: dict[str, Any], label: str
) -> None:
    status, (message,) = judged(KEPT, given)
    assert status == 1
    assert message.startswith(f"ca-key-retained: {label}: retainOnDelete is not set")


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_key_that_is_no_pulumi_secret_is_found_and_not_shown(judged: Any, side: str) -> None:
    given = entry("kubernetes:core/v1:Secret", "ca", **{side: {"stringData": {"tls.key": PEM}}})
    status, (message,) = judged(given)
    assert status == 1
    assert f"Secret ca: a private key is in clear text in {side}.stringData.tls.key" in message
    assert PEM.splitlines()[1] not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory"),
        ("no JSON", "it is not JSON"),
        ("[]", "write the file with `pulumi stack export`"),
        ('{"version": 3, "checkpoint": {}}', "write the file with `pulumi stack export`"),
    ],
)
def test_a_file_that_is_no_state_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    file = tmp_path / "state.json"
    if text is not None:
        file.write_text(text)
    assert main([str(file)]) == 2
    assert f"error: {file}: " in (shown := capsys.readouterr().err)
    assert said in shown
