"""Who has sessions open at an Envoy, and by which issuing CA each client authenticated.

Envoy keeps no list of its connections that it would show. It counts them where its stats access
logger is told to (Envoy documentation, ``envoy.access_loggers.stats``, gauges since 1.38): one up
when a connection or request begins, one down when it ends, by the names that the client's
certificate has. docs/workloads.md has the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import urllib3

from mtls_pki.clusters.sources.source import Outside, Source
from mtls_pki.consumers.envoy.section import NAME, EnvoyServerSettings, EnvoySettings
from mtls_pki.consumers.sessions import Connection, UntoldError, sessions_of
from mtls_pki.settings.model import Settings

PLACE = "(envoy)"
"""Used like a cluster's name in evidence of sessions; no cluster can have this name."""

_TIMEOUT_SECONDS = 5.0
_STATISTICS = f"/stats/prometheus?filter={quote('^mtls.sessions')}"
_GAUGE = "envoy_mtls_sessions"
_LOGGER = b"envoy.extensions.access_loggers.stats."


def envoy_settings(settings: Settings) -> EnvoySettings | None:
    """Return the section, None where the stack file has none."""
    found = settings.consumers.section(NAME)
    return found if isinstance(found, EnvoySettings) else None


class EnvoySource(Source):
    """The sessions of the proxies that ``consumers.envoy`` lists."""

    def outside(self, settings: Settings) -> Outside | None:
        """Ask each proxy who is connected."""
        envoy = envoy_settings(settings)
        if envoy is None:
            return None
        return sessions_of(settings, envoy, place=PLACE, servers=envoy.servers, ask=_ask)


def _ask(server: EnvoyServerSettings) -> Iterator[Connection]:
    # Every command loads this module, and few stacks have an Envoy: 12 MB.
    from prometheus_client.parser import text_string_to_metric_families

    try:
        families = list(text_string_to_metric_families(_get(server, _STATISTICS).decode()))
        # A gauge that was never counted up is not shown, like one that nobody has configured.
        counts = bool(families) or _LOGGER in _get(server, "/config_dump")
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        raise UntoldError(
            f"{server.admin} does not answer as the admin port of an Envoy does ({error})"
        ) from None
    if not counts:
        raise UntoldError(
            "it does not count its sessions; give its filter chains the access log of "
            "docs/workloads.md (Envoy 1.38 or later)"
        )
    for family in families:
        for sample in family.samples:
            issuer = sample.labels.get("issuer", "")
            # Without a certificate no anchor has to do with it.
            if sample.name == _GAUGE and issuer:
                connection = Connection(
                    client=sample.labels.get("client") or "?", since=None, subjects=(issuer,)
                )
                yield from [connection] * int(sample.value)


def _get(server: EnvoyServerSettings, path: str) -> bytes:
    answer = urllib3.request(
        "GET", f"{server.admin}{path}", retries=False, timeout=_TIMEOUT_SECONDS
    )
    if answer.status != 200:
        raise ValueError(f"status {answer.status}")
    return answer.data
