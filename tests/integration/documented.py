"""The shell lines of the pages that call ``pulumi`` or ``mtls-pki``, and where each is run.

Every one of them is run by a test: as it stands, in a shell that has nothing but what ``mtls-pki
env`` gives it (``test_make.py``), or by the test that ``ELSEWHERE`` names, where it needs another
stack, another cloud, a forge or an answer. A line that is in neither makes a unit test fail.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "policy/README.md",
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("examples/*/README.md"),
    ]
)

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.M | re.S)
_COMMAND = re.compile(r"(pulumi|mtls-pki)\b")

# On a stack that is applied and steady these change nothing of it.
_STEADY = re.compile(
    r"pulumi (preview|up|refresh|cancel|policy analyze|stack export)\b"
    r"|mtls-pki (status|check|plan|review|up|reissue|prune)\b"
)
# They need a file, or a stack, that this one does not have.
_NOT_BY_ITSELF = ("policy.json", "--stack prod")

_ROTATION = "docs/rotation.md"
_EXAMPLES = "tests/integration/test_examples.py::test_an_example_is_applied_and_stays"

ELSEWHERE: dict[str, str] = {
    r"mtls-pki init my-trust": "tests/integration/test_init.py::test_its_preview_runs",
    r"mtls-pki init trust .*": "tests/integration/test_init.py::test_its_preview_runs",
    r"mtls-pki access (request|approve|kubeconfig) .*": (
        "tests/integration/test_access.py::test_the_walk_through"
    ),
    r"mtls-pki access (issue|renew) .*|pulumi stack output kubeconfigs .*": (
        "tests/integration/test_access_machines.py"
        "::test_a_machine_is_given_access_renewed_and_withdrawn"
    ),
    r"mtls-pki aws-pca add .*": (
        "tests/integration/test_aws_pca_command.py::test_a_ca_that_exists_is_brought_by_its_arn"
    ),
    r"mtls-pki aws-pca create .*": (
        "tests/integration/test_aws_pca_command.py::test_both_cas_are_made_and_an_anchor_is_written"
    ),
    r"pulumi config set .*": (
        "tests/integration/test_prod_stack.py"
        "::test_a_key_that_is_not_the_issuing_cas_is_refused_before_anything"
    ),
    r"pulumi stack output certificateSigningRequests .*": (
        "tests/integration/test_ceremony.py::test_with_openssl_for_a_key_in_this_stack"
    ),
    r"mtls-pki --print-completion .*": (
        "tests/unit/commands/test_completion.py::test_every_shell_has_a_script_with_every_command"
    ),
    r"pulumi destroy": (
        "tests/integration/test_foundation_lifecycle.py"
        "::test_destroy_is_refused_and_works_for_a_stack_that_is_abandoned"
    ),
    r"mtls-pki exporter .*": (
        "tests/integration/test_monitoring.py::test_alerts_of_a_rotation_fire_and_fall_silent"
    ),
    r"mtls-pki drill .*": (
        "tests/integration/test_drill.py"
        "::test_a_drill_says_how_long_each_step_takes_and_who_would_break"
    ),
    r"mtls-pki ci .*": (
        "tests/integration/test_workflows.py"
        "::test_a_refused_change_is_red_and_all_others_are_applied"
    ),
    r"mtls-pki retire g2": "tests/unit/commands/test_rotation_page.py::test_our_commands_run",
    r"pulumi stack (init prod --secrets-provider|change-secrets-provider) .*": (
        "tests/integration/test_state.py::test_the_secrets_provider_can_be_changed_and_changed_back"
    ),
    r"mtls-pki (backup|restore) .*": (
        "tests/integration/test_backup.py::test_all_comes_back_and_every_leaf_still_verifies"
    ),
    r"pulumi (install|stack init prod)|(pulumi|mtls-pki) .*--stack prod": _EXAMPLES,
    r"pulumi stack output (glooValues|istioValues) --json": _EXAMPLES,
    r"pulumi preview .*--policy-pack-config .*": (
        "tests/integration/test_policy.py"
        "::test_a_rule_can_be_advisory_and_its_parameters_are_configured"
    ),
}
"""What a line matches as a whole -> the test that runs it. The first that matches counts."""


def lines_of(page: Path) -> list[str]:
    """The lines of a page's shell blocks that call one of the two commands, without comments."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    lines = [line for block in blocks for line in block.splitlines() if _COMMAND.match(line)]
    return [*dict.fromkeys(line.partition("  #")[0].rstrip() for line in lines)]


def steady_lines() -> list[str]:
    """The lines of all pages that a steady stack takes one by one, each once."""
    found = [line for page in PAGES for line in lines_of(page) if is_steady(line)]
    return [*dict.fromkeys(found)]


def is_steady(line: str) -> bool:
    """Whether a line changes nothing of a stack that is applied and steady."""
    return bool(_STEADY.match(line)) and not any(part in line for part in _NOT_BY_ITSELF)


def rotation_lines() -> list[str]:
    """The lines of a whole rotation, in their order (docs/rotation.md, "The three changes")."""
    text = (ROOT / _ROTATION).read_text(encoding="utf-8")
    section = text[text.index("\n## The three changes") : text.index("\n## The nine rules")]
    lines = [line for block in _BLOCK.findall(section) for line in block.splitlines()]
    return [line.partition("  #")[0].rstrip() for line in lines]


def elsewhere(line: str) -> str | None:
    """The test that runs a line which ``test_make.py`` does not."""
    return next((test for pattern, test in ELSEWHERE.items() if re.fullmatch(pattern, line)), None)
