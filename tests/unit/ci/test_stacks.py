"""Which stacks a change touches, and what counts as harmless."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtls_pki.ci.stacks import known_stacks, touched_stacks

STACKS = ("dev", "prod", "prod-eu")
ALL = STACKS


@pytest.mark.parametrize(
    ("changed", "touched"),
    [
        ([], ()),
        (["Pulumi.prod.yaml"], ("prod",)),
        (["trust/prod/root-g2.pem"], ("prod",)),
        (["trust/prod-eu/root-g2.pem", "Pulumi.dev.yaml"], ("dev", "prod-eu")),
        (["README.md", "docs/rotation.md", "tests/conftest.py", "LICENSE"], ()),
        (["docs/rotation.md", "Pulumi.dev.yaml"], ("dev",)),
        (["__main__.py"], ALL),
        (["components/ca_issuer.py"], ALL),
        (["Pulumi.yaml"], ALL),
        (["requirements.txt"], ALL),
        (["policy/rules.py"], ALL),
        (["mtls_pki/ci/preview.py"], ALL),
        # A certificate that no stack's name tells of may be anybody's.
        (["trust/g3.pem"], ALL),
        (["trust/shared/g3.pem"], ALL),
        # A stack that is no more is no reason to leave the others out.
        (["Pulumi.old.yaml"], ALL),
        (["something.new"], ALL),
        # Not at the root, so not the stack's file.
        (["examples/Pulumi.dev.yaml"], ALL),
    ],
)
def test_what_a_change_touches(changed: list[str], touched: tuple[str, ...]) -> None:
    assert touched_stacks(changed, STACKS) == touched


def test_a_stack_is_a_file_of_its_own(tmp_path: Path) -> None:
    for name in ("Pulumi.yaml", "Pulumi.prod.yaml", "Pulumi.dev.yaml", "Pulumi.eu.1.yaml"):
        (tmp_path / name).touch()
    assert known_stacks(tmp_path) == ("dev", "eu.1", "prod")
