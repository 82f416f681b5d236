"""What ``plan`` and ``add`` propose is what the settings take, whatever is there already."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mtls_pki.errors import CommandError
from mtls_pki.pki.names import common_name_mistake, subject
from mtls_pki.registry import extensions
from mtls_pki.rotation.generations import generation_mistake, may_be_recorded, next_generation
from mtls_pki.rotation.plan import plan
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.settings.stack_file import edits
from mtls_pki.settings.stack_file.reading import StackFile
from tests.unit.rotation.cases import NOW, bundle, cluster, evidence, request, stage
from tests.unit.settings.configuration import G2, changed, told

GENERATIONS = st.from_regex(r"[a-z][a-z0-9]{0,14}", fullmatch=True)
# Near the limits: umlauts have two bytes, and what a name is made of may stand in it already.
COMMON_NAMES = st.one_of(
    st.text(min_size=1, max_size=64),
    st.text(alphabet="aü.- :#'\"", min_size=1, max_size=64),
    st.integers(min_value=50, max_value=64).map(lambda length: "r" * length),
    st.integers(min_value=0, max_value=52).map(lambda length: f"{'r' * length}.example.org"),
).filter(lambda name: common_name_mistake(name) is None)


def _stack_file(generation: str, common_name: str) -> StackFile:
    values = changed({"anchors": {}})
    values["anchors"] = {
        generation: {**G2, "role": "issuing", "commonName": common_name},
    }
    text = yaml.safe_dump({"config": {f"mtls-pki:{key}": value for key, value in values.items()}})
    return StackFile(
        path=Path("Pulumi.dev.yaml"),
        project="mtls-pki",
        text=text,
        defaults={},
        extensions=extensions(),
    )


@given(taken=st.sets(GENERATIONS, min_size=1, max_size=4))
def test_a_generation_that_plan_proposes_is_new_and_right_in_the_stack_file(
    taken: set[str],
) -> None:
    issuing, *distrusted = sorted(taken)
    steady = stage(None, **{issuing: "issuing"}, **dict.fromkeys(distrusted, "compromised"))
    seen = evidence(cluster(bundles=[bundle(issuing)], gate=steady))
    steps = plan(request(steady, steady), seen, now=NOW).steps
    (added,) = [step.edit[0] for step in steps if step.verb == "add"]
    proposed = added.removeprefix("add anchors.").removesuffix(" with role: incoming")
    assert proposed not in taken
    first = {**G2, "role": "issuing", "commonName": "root.example.org"}
    assert told({"anchors": {issuing: first, proposed: G2}}) == []


@settings(max_examples=40)
@given(taken=GENERATIONS, common_name=COMMON_NAMES)
def test_a_common_name_that_add_makes_is_right_in_the_stack_file_and_in_a_certificate(
    taken: str, common_name: str
) -> None:
    before = _stack_file(taken, common_name)
    proposed = next_generation([taken])
    new = edits.NewAnchor(generation=proposed, valid_from=G2["validFrom"])
    try:
        made = edits.add(before, new).settings().anchors[proposed].common_name
    except CommandError as error:
        made, refusal = None, str(error)
    if made is None:
        assert "bytes long" in refusal
        assert "give one with --common-name" in refusal
        return
    assert made != common_name
    subject(made)


@given(name=st.text(max_size=70))
def test_the_settings_take_a_common_name_if_and_only_if_a_certificate_does(name: str) -> None:
    lines = told({"anchors.g1.commonName": name})
    assert (lines == []) == (common_name_mistake(name) is None)
    if lines == []:
        subject(name)


def test_a_name_of_40_umlauts_is_refused_before_anything_is_touched() -> None:
    assert told({"anchors.g1.commonName": "ü" * 40}) == [
        f"anchors.g1.commonName: '{'ü' * 40}': is 80 bytes long; write 1 to 64 bytes of UTF-8 "
        "(RFC 5280 A.1, ub-common-name)"
    ]


@pytest.mark.parametrize(
    ("taken", "following"),
    [
        (["g1"], "g2"),
        (["g9", "g10"], "g11"),
        (["blue"], "blue2"),
        (["blue", "blue2"], "blue3"),
        ([], "g1"),
        # What would follow is too long; g1 is taken.
        (["g1", "x99999999999999"], "g2"),
        (["abcdefghijklmno"], "g1"),
        # Recorded by an earlier release.
        (["blue-2"], "g1"),
    ],
)
def test_the_next_generation(taken: list[str], following: str) -> None:
    assert next_generation(taken) == following


@given(name=GENERATIONS)
def test_every_generation_of_a_stack_file_can_be_recorded(name: str) -> None:
    assert generation_mistake(name) is None
    assert may_be_recorded(name)


@pytest.mark.parametrize("name", ["blue-2", "2026", "a" * 32])
def test_what_earlier_releases_recorded_is_still_read(name: str) -> None:
    assert generation_mistake(name) is not None
    recorded = stage(None, **{name: "issuing"})
    assert TrustStage.from_json(recorded.to_json(), origin="dev") == recorded
