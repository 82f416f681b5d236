"""Variables with which the engine, its plugins or the program show keys in clear.

The engine logs and traces its own calls, whose arguments are decrypted, and nothing that it runs
can prevent that. Each of its options is a variable too. ``tests/integration/test_engine_logs.py``
shows what each does. Source: pulumi 3.259.0, ``pkg/cmd/pulumi/pulumi.go``,
``sdk/go/common/env/env.go``, ``sdk/go/common/util/logging/export.go``.
"""

from __future__ import annotations

from collections.abc import Mapping

from mtls_pki.errors import UsageError

SWITCHES = (
    "PULUMI_ENABLE_STREAMING_JSON_PREVIEW",
    "PULUMI_OPTION_DEBUG",
    "PULUMI_OPTION_JSON",
    "PULUMI_OPTION_SHOW_SECRETS",
    "PULUMI_OPTION_VERBOSE",
)
"""What they switch on shows keys; off where they are empty, 0 or false."""

PLACES = ("PULUMI_DEBUG_GRPC", "PULUMI_OPTION_EVENT_LOG", "PULUMI_OPTION_TRACING")
"""What is written there shows keys; off where they are empty."""

COMPANIONS = (
    "PULUMI_LOG_OTLP_ENDPOINT",
    "PULUMI_OPTION_LOGFLOW",
    "PULUMI_OPTION_LOGTOSTDERR",
    "PULUMI_OPTION_OTEL_TRACES",
)
"""They show no key alone; they say where the log goes, and have no use without it."""


def require_quiet(environment: Mapping[str, str]) -> None:
    """Refuse to go on where a variable is set with which the engine shows keys.

    Raises:
        UsageError: it names each of them, not its value.
    """
    found = [
        name
        for name in (*SWITCHES, *PLACES, *COMPANIONS)
        if not _is_off(environment.get(name, ""), switch=name not in PLACES)
    ]
    if found:
        raise UsageError(
            f"with {', '.join(found)} the engine shows private keys in clear; unset it "
            '(SECURITY.md, "Options of the engine that show keys"); nothing was run'
        )


def _is_off(value: str, *, switch: bool) -> bool:
    return not value or (switch and value.lower() in ("0", "false"))
