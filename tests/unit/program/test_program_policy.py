"""No rule of the policy pack finds fault with what the program declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.program.engine import run_program
from tests.unit.program.policy_findings import findings
from tests.unit.program.stacks import COMPROMISED_G1, ISSUING_G2, TWO_CLUSTERS, bring, dev_stack
from tests.unit.settings.configuration import G2, changed


@pytest.mark.parametrize("preview", [False, True], ids=["update", "preview"])
@pytest.mark.parametrize(
    "config",
    [
        dev_stack(),
        changed({"anchors.g2": G2}),
        changed(ISSUING_G2),
        changed(COMPROMISED_G1),
        changed({"clusters": TWO_CLUSTERS, "trust.via": "trust-manager"}),
        changed({"issuing.direct": True, "trust.createNamespaces": True}),
        changed({"anchors.g2": G2, "services.web.anchor": "g2"}),
    ],
    ids=["dev", "incoming", "outgoing", "compromised", "fleet", "direct", "canary"],
)
def test_the_program_breaks_no_rule(config: dict[str, Any], preview: bool) -> None:
    program = run_program(config, preview=preview)
    assert program.of("Certificate")
    assert findings(program) == []


def test_neither_does_it_with_an_issuing_ca_that_was_brought(tmp_path: Path) -> None:
    brought = {"role": "issuing", **bring(tmp_path, "g1", issuing_ca=True)}
    program = run_program(changed({"anchors.g1": brought}), secret=["anchors"])
    assert findings(program) == []


def test_the_rules_do_see_the_programs_resources() -> None:
    program = run_program(changed({"services.web.duration": "100h"}))
    (finding,) = findings(program)
    assert finding.startswith("leaf-lifetime: Certificate app/web in dev: spec.duration is 100h")
