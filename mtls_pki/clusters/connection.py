"""Connections to clusters by kubeconfig and context: requests, and plain reads over them."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote, urlencode

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import ConfigException, load_kube_config
from urllib3 import BaseHTTPResponse, PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError
from yaml import YAMLError

from mtls_pki.clusters import answers, local_clock
from mtls_pki.clusters.answers import GROUPS, ResourcePath
from mtls_pki.clusters.refusals import refusal
from mtls_pki.errors import CommandError
from mtls_pki.private_directory import private_directory
from mtls_pki.rotation.evidence import ClockSkew
from mtls_pki.settings.model import Settings
from mtls_pki.version import VERSION

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
PAGE_SIZE = 250
"""Objects a page, half of what ``kubectl`` asks for: 1 to 2 MB of Certificates, and ten times that
as objects of Python, of each cluster at a time (docs/performance.md).
"""
# No other type is accepted, so a server that cannot leave the contents out refuses (406).
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
# A continue token lives for five minutes (etcd compaction). A list that outlives its token more
# often than this will never end.
_LIST_ATTEMPTS = 3
# The loader keeps certificates in files that it shares, and tells others of a file before it has
# written it (kubernetes, config/kube_config.py, _create_temp_file_with_content).
_LOADING = Lock()

_EVIDENCE = "deploy/rbac-evidence.yaml"
_USER_AGENT = f"mtls-pki/{VERSION}"
_BODIES = {"PATCH": "application/merge-patch+json"}
_DOING = {
    "GET": "reading",
    "PATCH": "writing",
    "PUT": "writing",
    "POST": "creating in",
    "DELETE": "deleting",
}
_OK, _ABSENT, _EXPIRED = HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.GONE

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


@functools.cache
def _credentials_directory() -> str:
    """Return where the client writes the credentials of a kubeconfig, which it needs as files.

    It removes them at exit, which a process that is killed does not reach.
    """
    open_until_exit = contextlib.ExitStack()
    atexit.register(open_until_exit.close)
    made = open_until_exit.enter_context(private_directory(Path(tempfile.gettempdir())))
    return str(made.path)


class ClusterError(CommandError):
    """A cluster could not be read; the message names the cluster and the way out."""

    def __init__(self, cluster: str, reason: str) -> None:
        self.cluster = cluster
        self.reason = reason
        super().__init__(f"cluster {cluster}: {reason}")


class ForbiddenError(ClusterError):
    """A cluster that does not let this identity do what was asked."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an API server answered: the status of RFC 9110, section 15, and the body as it came."""

    status: int
    body: bytes


class ApiServer:
    """A connection to the API server of one cluster: the one place that sends a request to it.

    Others read through `Cluster`, and write through ``clusters.writer``.

    Attributes:
        name: the cluster's name in the stack.
        first_answer_at: the API server's own clock at its first answer; None before that.
        skew: how far that clock is from this machine's, by the answer that shows it best; None
            before the first.
        manifest: file that grants what this connection needs; a refusal's message names it.
    """

    def __init__(self, address: ClusterAddress, *, manifest: str) -> None:
        """Read the kubeconfig; nothing is sent yet.

        Raises:
            ClusterError: the kubeconfig or the context does not exist or cannot be used.
        """
        self.name = address.name
        self.manifest = manifest
        self.first_answer_at: datetime | None = None
        self.skew: ClockSkew | None = None
        configuration = Configuration()
        # No retries: they would only hide which cluster cannot be reached.
        configuration.retries = Retry(0)
        try:
            with _LOADING:
                load_kube_config(
                    config_file=address.kubeconfig,
                    context=address.context,
                    persist_config=False,
                    client_configuration=configuration,
                    temp_file_path=_credentials_directory(),
                )
        except _UNUSABLE_KUBECONFIG as error:
            place = address.kubeconfig or "the default kubeconfig"
            raise ClusterError(
                address.name,
                f"{place} cannot be used ({_first_line(error)}); correct clusters.{address.name}",
            ) from None
        self._configuration = configuration
        # Of the client only what reads kubeconfigs and makes connections of them: how its generated
        # part sends a request is another matter in each of its releases.
        self._connections: PoolManager = ApiClient(configuration).rest_client.pool_manager

    @property
    def url(self) -> str:
        """The API server's address, for messages."""
        return str(self._configuration.host)

    @property
    def ca_file(self) -> str | None:
        """File of the CA that the kubeconfig trusts for the API server; None for the system's."""
        return self._configuration.ssl_ca_cert or None

    def send(
        self,
        method: Literal["GET", "PATCH", "POST", "PUT", "DELETE"],
        path: str,
        *,
        expected: Collection[int],
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        secret: bool = False,
        accept: str = "application/json",
    ) -> Answer:
        """Send one request and return the answer, if its status is one of ``expected``.

        Args:
            method: a ``PATCH`` is a merge patch (RFC 7396).
            path: such as ``/version``.
            expected: the statuses that mean something to the caller.
            query: of the request, not encoded yet.
            body: of the request.
            secret: the body holds a secret, so the answer is not quoted in a message.
            accept: the media type to answer in.

        Raises:
            ForbiddenError: this identity may not.
            ClusterError: unreachable, or another refusal of the API server.
        """
        response = self._open(method, path, query=query, body=body, accept=accept)
        content = self._read(response)
        status: int = response.status
        if status not in expected:
            said = "" if body is None or secret else _message(content)
            raise self._refusal(method, path, status, said or response.reason or "")
        return Answer(status=status, body=content)

    def follow(self, path: str, query: Mapping[str, str], *, seconds: int) -> Iterator[bytes]:
        """Yield each line of an answer that the API server goes on with for some time.

        Args:
            path: of a collection.
            query: of the request, not encoded yet.
            seconds: after which the API server ends it; nothing is waited for much longer.

        Raises:
            ForbiddenError: this identity may not.
            ClusterError: unreachable, broken off, or another refusal of the API server.
        """
        response = self._open(
            "GET",
            path,
            query={**query, "watch": "true", "timeoutSeconds": str(seconds)},
            longer_seconds=seconds,
        )
        try:
            if response.status != _OK:
                said = _message(self._read(response)) or response.reason or ""
                raise self._refusal("GET", path, response.status, said)
            try:
                yield from response
            except HTTPError as error:
                raise self._unreachable(error) from None
        finally:
            # What is left of the answer has not come yet, so the connection cannot be used again.
            response.close()

    def _open(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None = None,
        accept: str = "application/json",
        longer_seconds: int = 0,
    ) -> BaseHTTPResponse:
        """Send one request and return the answer as soon as its head is there.

        ``longer_seconds`` is how much longer than others its body may be silent.
        """
        headers = {"Accept": accept, "User-Agent": _USER_AGENT}
        if body is not None:
            headers["Content-Type"] = _BODIES.get(method, "application/json")
        sent = local_clock.now()
        try:
            response = self._connections.request(
                method,
                f"{self.url}{path}{_encoded(query)}",
                headers=headers | self._authorization(),
                body=None if body is None else json.dumps(body),
                timeout=Timeout(connect=CONNECT_SECONDS, read=longer_seconds + READ_SECONDS),
                preload_content=False,
            )
        except HTTPError as error:
            raise self._unreachable(error) from None
        self._look_at_clock(response.headers.get("Date"), sent, local_clock.now())
        return response

    def _read(self, response: BaseHTTPResponse) -> bytes:
        try:
            return response.read()
        except HTTPError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: HTTPError) -> ClusterError:
        return ClusterError(
            self.name,
            f"{self.url} cannot be reached ({_cause(error)}); check that it runs, and "
            f"kubeconfig and context of clusters.{self.name}",
        )

    def _refusal(self, method: str, path: str, status: int, said: str) -> ClusterError:
        kind = ForbiddenError if status == HTTPStatus.FORBIDDEN else ClusterError
        reason = refusal(_DOING[method], path, status, said, manifest=self.manifest)
        return kind(self.name, reason)

    def _authorization(self) -> dict[str, str]:
        # Asks the kubeconfig's plugin again where a token has ended.
        settings = self._configuration.auth_settings().values()
        return {each["key"]: each["value"] for each in settings if each["value"]}

    def _look_at_clock(self, date: str | None, sent: datetime, received: datetime) -> None:
        at = _server_time(date)
        if at is None:
            return
        if self.first_answer_at is None:
            self.first_answer_at = at
        skew = ClockSkew.measured(at=at, sent=sent, received=received)
        if self.skew is None or skew.uncertainty < self.skew.uncertainty:
            self.skew = skew


@dataclass(frozen=True, kw_only=True)
class _Listed(Generic[T]):
    """What was kept of a collection, and its version (Kubernetes API Concepts)."""

    items: list[T]
    version: str


class Cluster:
    """A connection that reads objects as plain dictionaries; it has no method that writes.

    Attributes:
        name: the cluster's name in the stack.
    """

    def __init__(self, address: ClusterAddress, *, server: ApiServer | None = None) -> None:
        """Read the kubeconfig; nothing is sent yet.

        Args:
            address: of the cluster.
            server: the connection to read through; None: one of its own, for which
                deploy/rbac-evidence.yaml grants everything.

        Raises:
            ClusterError: the kubeconfig or the context does not exist or cannot be used.
        """
        self.name = address.name
        self._server = server or ApiServer(address, manifest=_EVIDENCE)
        self._served: frozenset[str] | None = None
        self._not_served: set[ResourcePath] = set()

    @property
    def first_answer_at(self) -> datetime | None:
        """The API server's own clock at its first answer; None before that."""
        return self._server.first_answer_at

    @property
    def skew(self) -> ClockSkew | None:
        """How far the API server's clock is from this machine's; None before its first answer."""
        return self._server.skew

    @property
    def server(self) -> str:
        """The API server's address, for messages."""
        return self._server.url

    @property
    def server_ca_pem(self) -> str | None:
        """The CA that the kubeconfig trusts for the API server; None for the system's.

        Raises:
            ClusterError: the file that it names cannot be read.
        """
        file = self._server.ca_file
        try:
            return Path(file).read_text(encoding="ascii") if file else None
        except (OSError, UnicodeDecodeError):
            raise ClusterError(
                self.name, f"{file} cannot be read; correct clusters.{self.name}.kubeconfig"
            ) from None

    def serves(self, api_version: str) -> bool:
        """Whether the API server says in its discovery that it serves ``GROUP/VERSION``.

        Raises:
            ClusterError: as `get`, or the answer is no discovery.
        """
        return api_version in self._served_versions()

    def not_served(self, api_version: str) -> tuple[str, ...]:
        """Return the resources of ``GROUP/VERSION`` that were asked for and are not served here.

        Nothing more is asked; what was not asked for is not in it.
        """
        return tuple(
            sorted({each.resource for each in self._not_served if each.api_version == api_version})
        )

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any] | None:
        """Return the decoded object at ``path``, or None where the API server says there is none.

        An answer 404 alone does not say that: a proxy sends it too. The API server must name the
        object that it does not hold, or say in its discovery that it does not serve its kind.

        Raises:
            ClusterError: unreachable, forbidden, another refusal of the API server, or no answer
                of an API server at all.
        """
        answer = self._server.send("GET", path, expected=(_OK, _ABSENT), query=query)
        resource = ResourcePath.parse(path)
        if answer.status == _ABSENT:
            if resource is None or not answers.says_not_found(answer.body, resource):
                self._require_not_served(path, resource)
            return None
        live = self._decoded(answer, path)
        if resource is not None and not answers.is_object(live, resource):
            raise self._no_answer(f"another object than the one at {path}")
        return live

    def list_all(
        self,
        path: str,
        keep: Callable[[dict[str, Any]], T | None],
        query: Mapping[str, str] | None = None,
    ) -> list[T]:
        """Return what ``keep`` makes of every object of the collection at ``path``.

        The collection is read in pages, and only one page is in memory at a time: ``keep`` returns
        the part of an object that is needed, or None to drop the object. It may see an object
        twice, because a list begins again when its continue token has expired. A kind that is not
        served, as discovery says, has no objects (`not_served`).

        Raises:
            ClusterError: as `get`, or the list does not end.
        """
        return self._list(path, keep, query or {}, "application/json").items

    def list_with_version(
        self, path: str, keep: Callable[[dict[str, Any]], T | None]
    ) -> tuple[list[T], str]:
        """Return what `list_all` returns, and the version from which `watch` goes on.

        Raises:
            ClusterError: as `list_all`.
        """
        listed = self._list(path, keep, {}, "application/json")
        return listed.items, listed.version

    def watch(
        self, path: str, version: str, *, seconds: int
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what happens to the objects of the collection at ``path``: kind and object.

        The kinds are ``ADDED``, ``MODIFIED`` and ``DELETED``. It ends after ``seconds``, and
        earlier where the API server closes it or has forgotten ``version`` (410): list anew then
        (Kubernetes API Concepts, "Efficient detection of changes").

        Raises:
            ClusterError: as `get`, or the connection broke.
        """
        for line in self._server.follow(path, {"resourceVersion": version}, seconds=seconds):
            event = answers.decoded(line)
            if event is None or not isinstance(event.get("object"), dict):
                raise self._no_answer(f"no event of a watch at {path}")
            if event["type"] == "ERROR":
                return
            yield event["type"], event["object"]

    def list_metadata(
        self,
        path: str,
        keep: Callable[[dict[str, Any]], T | None],
        query: Mapping[str, str] | None = None,
    ) -> list[T]:
        """Return what ``keep`` makes of the metadata of every object at ``path``, as `list_all`.

        The API server sends nothing else of them (Kubernetes API concepts, "Metadata-only
        fetches"), so no content of a Secret comes here.

        Raises:
            ClusterError: as `list_all`, or the answer is not of metadata alone.
        """
        return self._list(path, keep, query or {}, _METADATA_ONLY).items

    def _list(
        self,
        path: str,
        keep: Callable[[dict[str, Any]], T | None],
        query: Mapping[str, str],
        accept: str,
    ) -> _Listed[T]:
        for _ in range(_LIST_ATTEMPTS):
            kept = self._list_once(path, keep, query, accept)
            if kept is not None:
                return kept
        raise ClusterError(
            self.name,
            f"reading {path} outlived its continue token {_LIST_ATTEMPTS} times; the connection is "
            "too slow for the number of objects: run closer to the cluster",
        )

    def _list_once(
        self,
        path: str,
        keep: Callable[[dict[str, Any]], T | None],
        query: Mapping[str, str],
        accept: str,
    ) -> _Listed[T] | None:
        """Return the whole list, None where its continue token became too old."""
        resource = ResourcePath.parse(path)
        kept: list[T] = []
        token = ""
        while True:
            following = {"continue": token} if token else {}
            answer = self._server.send(
                "GET",
                path,
                expected=(_OK, _ABSENT, _EXPIRED),
                query={**query, "limit": str(PAGE_SIZE), **following},
                accept=accept,
            )
            if answer.status == _EXPIRED:
                return None
            if answer.status == _ABSENT:
                if token:
                    raise self._not_seen(path)
                self._require_not_served(path, resource)
                return _Listed(items=[], version="")
            page = self._decoded(answer, path)
            if accept == _METADATA_ONLY:
                if not answers.is_page_of_metadata(page):
                    raise self._no_answer(f"more than the metadata of {path}")
            elif resource is None or not answers.is_page(page, resource):
                raise self._no_answer(f"no list of {path}")
            items: Iterable[dict[str, Any]] = page.get("items") or ()
            kept += [wanted for item in items if (wanted := keep(item)) is not None]
            metadata = page.get("metadata", {})
            token = metadata.get("continue", "")
            if not token:
                return _Listed(items=kept, version=metadata.get("resourceVersion", ""))

    def _decoded(self, answer: Answer, path: str) -> dict[str, Any]:
        found = answers.decoded(answer.body)
        if found is None:
            raise self._no_answer(f"no JSON at {path}")
        return found

    def _require_not_served(self, path: str, resource: ResourcePath | None) -> None:
        """Return where discovery says that the kind of what is at ``path`` is not served.

        Raises:
            ClusterError: it says something else, so what is at ``path`` was not seen.
        """
        # The core API is served by every API server.
        if resource is None or not resource.group:
            raise self._not_seen(path)
        if not self.serves(resource.api_version):
            others = [
                each for each in self._served_versions() if each.startswith(f"{resource.group}/")
            ]
            if others:
                raise ClusterError(
                    self.name,
                    f"{resource.api_version} is not served, but {', '.join(sorted(others))} is, so "
                    f"{path} was not seen; install a version that serves {resource.api_version}",
                )
        elif self._serves_resource(resource, path):
            raise self._not_seen(path)
        self._not_served.add(resource)

    def _served_versions(self) -> frozenset[str]:
        if self._served is None:
            answer = self._server.send("GET", GROUPS, expected=(_OK, _ABSENT))
            self._served = answers.served_versions(answer.body)
            if self._served is None:
                raise self._no_answer(f"no list of API groups at {GROUPS}")
        return self._served

    def _serves_resource(self, resource: ResourcePath, path: str) -> bool:
        version = f"{GROUPS}/{resource.api_version}"
        answer = self._server.send("GET", version, expected=(_OK, _ABSENT))
        served = answers.served_resources(answer.body, resource.api_version)
        if served is None:
            raise ClusterError(
                self.name,
                f"{GROUPS} names {resource.api_version}, but {version} does not list its "
                f"resources, so {path} was not seen; see what is wrong with it (kubectl get "
                f"apiservices, kubectl get --raw {version})",
            )
        return resource.resource in served

    def _not_seen(self, path: str) -> ClusterError:
        return ClusterError(
            self.name,
            f"{path}: {self.server} answers 404 and does not say, as an API server does, what is "
            "not there, so nothing is known about it; check kubeconfig and context of "
            f"clusters.{self.name}, and any proxy between",
        )

    def _no_answer(self, what: str) -> ClusterError:
        return ClusterError(
            self.name,
            f"{self.server} does not answer like an API server ({what}); check kubeconfig and "
            f"context of clusters.{self.name}, and any proxy between",
        )


def _server_time(header: str | None) -> datetime | None:
    """Return the time of a ``Date`` header (RFC 9110, section 6.6.1), which is always UTC."""
    try:
        return parsedate_to_datetime(header).astimezone(UTC) if header else None
    except ValueError:
        return None


def _message(answer: bytes) -> str:
    """Return the message of a ``metav1.Status``, empty where it is none."""
    try:
        return _first_line(json.loads(answer)["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _cause(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    return _first_line(reason).rsplit(": ", 1)[-1]


def _encoded(query: Mapping[str, str] | None) -> str:
    return f"?{urlencode(query, safe='/', quote_via=quote)}" if query else ""


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
