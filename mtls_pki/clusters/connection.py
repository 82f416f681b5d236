"""Connections to clusters by kubeconfig and context, and plain reads over them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, new_client_from_config
from urllib3 import Retry
from urllib3.exceptions import HTTPError
from yaml import YAMLError

from mtls_pki.settings.model import Settings

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
PAGE_SIZE = 500
"""Objects a page: what ``kubectl`` asks for; a page of Certificates is 2 to 4 MB."""
# A continue token lives for five minutes (etcd compaction). A list that outlives its token more
# often than this will never end.
_LIST_ATTEMPTS = 3

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ClusterAddress:
    """Where one cluster of the stack is.

    Attributes:
        name: the cluster's name in the stack; used in every message.
        kubeconfig: path of a kubeconfig file; None for KUBECONFIG or ``~/.kube/config``.
        context: a context of the kubeconfig; None for its current one.
    """

    name: str
    kubeconfig: str | None = None
    context: str | None = None


# The loader does not validate; bad files raise arbitrary errors.
_UNUSABLE_KUBECONFIG = (ConfigException, OSError, ValueError, TypeError, AttributeError, YAMLError)


def cluster_address(settings: Settings, cluster: str) -> ClusterAddress:
    """Return how to reach one cluster of the stack."""
    reach = settings.clusters[cluster]
    return ClusterAddress(name=cluster, kubeconfig=reach.kubeconfig, context=reach.context)


class ClusterError(Exception):
    """A cluster could not be read; the message names the cluster and the way out."""

    def __init__(self, cluster: str, reason: str) -> None:
        self.cluster = cluster
        self.reason = reason
        super().__init__(f"cluster {cluster}: {reason}")


class _ExpiredError(Exception):
    """410 Gone: the continue token of a list is too old."""


class Cluster:
    """A connection that reads objects as plain dictionaries; it has no method that writes.

    Attributes:
        name: the cluster's name in the stack.
        first_answer_at: the API server's own clock at its first answer; None before that.
        manifest: file that grants what this connection needs; a refusal's message names it.
    """

    manifest = "deploy/rbac-evidence.yaml"

    def __init__(self, address: ClusterAddress) -> None:
        """Read the kubeconfig; nothing is sent yet.

        Raises:
            ClusterError: the kubeconfig or the context does not exist or cannot be used.
        """
        self.name = address.name
        self.first_answer_at: datetime | None = None
        configuration = Configuration()
        # No retries: they would only hide which cluster cannot be reached.
        configuration.retries = Retry(0)
        try:
            self._client: ApiClient = new_client_from_config(
                config_file=address.kubeconfig,
                context=address.context,
                persist_config=False,
                client_configuration=configuration,
            )
        except _UNUSABLE_KUBECONFIG as error:
            place = address.kubeconfig or "the default kubeconfig"
            raise ClusterError(
                address.name,
                f"{place} cannot be used ({_first_line(error)}); correct clusters.{address.name}",
            ) from None

    @property
    def server(self) -> str:
        """The API server's address, for messages."""
        return str(self._client.configuration.host)

    @property
    def server_ca_pem(self) -> str | None:
        """The CA that the kubeconfig trusts for the API server; None for the system's.

        Raises:
            ClusterError: the file that it names cannot be read.
        """
        file = self._client.configuration.ssl_ca_cert
        try:
            return Path(file).read_text(encoding="ascii") if file else None
        except (OSError, UnicodeDecodeError):
            raise ClusterError(
                self.name, f"{file} cannot be read; correct clusters.{self.name}.kubeconfig"
            ) from None

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Return the decoded object at ``path`` (such as ``/version``), or None if there is none.

        Raises:
            ClusterError: unreachable, forbidden, or another refusal of the API server.
        """
        try:
            return self._read(path, query or {})
        except _ExpiredError:
            raise ClusterError(self.name, f"reading {path} failed: 410 Gone") from None

    def list_all(
        self,
        path: str,
        keep: Callable[[dict[str, Any]], T | None],
        query: Mapping[str, str] | None = None,
    ) -> list[T]:
        """Return what ``keep`` makes of every object of the collection at ``path``.

        The collection is read in pages, and only one page is in memory at a time: ``keep`` returns
        the part of an object that is needed, or None to drop the object. It may see an object
        twice, because a list begins again when its continue token has expired. A kind that the API
        server does not serve has no objects.

        Raises:
            ClusterError: as `get`, or the list does not end.
        """
        for _ in range(_LIST_ATTEMPTS):
            try:
                return self._list_once(path, keep, query or {})
            except _ExpiredError:
                continue
        raise ClusterError(
            self.name,
            f"reading {path} outlived its continue token {_LIST_ATTEMPTS} times; the connection is "
            "too slow for the number of objects: run closer to the cluster",
        )

    def _list_once(
        self, path: str, keep: Callable[[dict[str, Any]], T | None], query: Mapping[str, str]
    ) -> list[T]:
        kept: list[T] = []
        token = ""
        while True:
            following = {"continue": token} if token else {}
            page = self._read(path, {**query, "limit": str(PAGE_SIZE), **following})
            if page is None:
                return kept
            items: Iterable[dict[str, Any]] = page.get("items") or ()
            kept += [wanted for item in items if (wanted := keep(item)) is not None]
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return kept

    def _read(self, path: str, query: Mapping[str, str]) -> dict[str, Any] | None:
        try:
            response = self._client.call_api(
                *self._client.param_serialize(
                    "GET",
                    path,
                    query_params=list(query.items()),
                    header_params={"Accept": "application/json"},
                    auth_settings=["BearerToken"],
                ),
                _request_timeout=(CONNECT_SECONDS, READ_SECONDS),
            )
            body = response.read()
        except HTTPError as error:
            raise ClusterError(
                self.name,
                f"{self.server} cannot be reached ({_cause(error)}); check that it runs, and "
                f"kubeconfig and context of clusters.{self.name}",
            ) from None
        if self.first_answer_at is None:
            self.first_answer_at = _server_time(response.getheader("Date"))
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        if response.status == HTTPStatus.GONE:
            raise _ExpiredError
        if response.status != HTTPStatus.OK:
            raise ClusterError(
                self.name, _refusal(response.status, response.reason, path, self.manifest)
            )
        try:
            decoded: dict[str, Any] = json.loads(body)
        except ValueError:
            raise ClusterError(
                self.name,
                f"{self.server} does not answer like an API server (no JSON at {path}); check "
                f"kubeconfig and context of clusters.{self.name}, and any proxy between",
            ) from None
        return decoded


def _server_time(header: str | None) -> datetime | None:
    """Return the time of a ``Date`` header (RFC 9110, section 6.6.1), which is always UTC."""
    try:
        return parsedate_to_datetime(header).astimezone(UTC) if header else None
    except ValueError:
        return None


def _refusal(status: int, reason: str, path: str, manifest: str) -> str:
    if status == 401:
        return "the API server does not know these credentials; log in again"
    if status == 403:
        return f"reading {path} is forbidden; grant what {manifest} grants"
    return f"reading {path} failed: {status} {reason}"


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return _first_line(reason).rsplit(": ", 1)[-1]


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
