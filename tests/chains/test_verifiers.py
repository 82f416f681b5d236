"""The verifiers' own promise: what is not installed fails with one line to act on."""

from __future__ import annotations

import pytest

from tests.chains import verifiers


@pytest.mark.parametrize(
    ("tool", "remedy"), [("certtool", "gnutls-bin"), ("openssl", "openssl"), ("go", "Go 1.24")]
)
def test_a_missing_tool_fails_and_says_what_to_install(
    tool: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(pytest.fail.Exception) as caught:
        verifiers._tool(tool)
    assert str(caught.value).startswith(f"{tool} is not on PATH; install {remedy}")
    assert not caught.value.pytrace
