"""Where a variable is set with which the engine shows keys, nothing of ours runs the engine."""

from __future__ import annotations

import pytest

from mtls_pki.engine.revealing import COMPANIONS, PLACES, SWITCHES, require_quiet
from mtls_pki.errors import UsageError

OFF = {"PATH": "/bin", "PULUMI_SKIP_UPDATE_CHECK": "true", "PULUMI_OPTION_COLOR": "never"}


@pytest.mark.parametrize("name", [*SWITCHES, *PLACES, *COMPANIONS])
def test_each_variable_is_refused_by_its_name_and_without_its_value(name: str) -> None:
    with pytest.raises(UsageError, match=rf"with {name} the engine shows private keys") as refused:
        require_quiet({**OFF, name: "9token"})
    assert "9token" not in str(refused.value)
    assert "nothing was run" in str(refused.value)


def test_all_of_them_are_named_at_once() -> None:
    with pytest.raises(UsageError, match="PULUMI_OPTION_VERBOSE, PULUMI_DEBUG_GRPC"):
        require_quiet({"PULUMI_DEBUG_GRPC": "calls", "PULUMI_OPTION_VERBOSE": "9"})


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
def test_a_switch_that_is_off_is_no_reason_to_refuse(value: str) -> None:
    require_quiet({**OFF, **dict.fromkeys((*SWITCHES, *COMPANIONS), value)})


@pytest.mark.parametrize("value", ["0", "false"])
@pytest.mark.parametrize("name", PLACES)
def test_a_file_may_have_any_name(name: str, value: str) -> None:
    require_quiet({name: ""})
    with pytest.raises(UsageError):
        require_quiet({name: value})
