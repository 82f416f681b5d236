"""Writes to a cluster; the package's own docstring lists the modules that make them."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from mtls_pki.clusters.connection import ApiServer, Cluster, ClusterAddress


class ClusterWriter:
    """A cluster in which objects can be created, changed and deleted.

    Attributes:
        cluster: reads through the same connection.
    """

    def __init__(self, address: ClusterAddress, *, manifest: str, field_manager: str) -> None:
        """Read the kubeconfig; nothing is sent yet.

        Args:
            address: of the cluster.
            manifest: the file that grants what is read and written here.
            field_manager: owns, for the API server, what is written here.

        Raises:
            ClusterError: the kubeconfig or the context does not exist or cannot be used.
        """
        self._server = ApiServer(address, manifest=manifest)
        self._query = {"fieldManager": field_manager}
        self.cluster = Cluster(address, server=self._server)

    def patch(self, path: str, change: Mapping[str, Any]) -> bool:
        """Change an object (RFC 7396); False if it has changed since it was read, or is gone.

        Raises:
            ClusterError: the cluster refuses or cannot be reached.
        """
        expected = (HTTPStatus.OK, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)
        answer = self._server.send("PATCH", path, expected=expected, query=self._query, body=change)
        return answer.status == HTTPStatus.OK

    def replace(self, path: str, manifest: Mapping[str, Any]) -> bool:
        """Put a whole object or subresource in its place; False if it has changed, or is gone.

        Raises:
            ClusterError: the cluster refuses or cannot be reached.
        """
        expected = (HTTPStatus.OK, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)
        answer = self._server.send("PUT", path, expected=expected, query=self._query, body=manifest)
        return answer.status == HTTPStatus.OK

    def delete(self, path: str, uid: str) -> bool:
        """Delete an object; False if it is gone, or another one has its name.

        Raises:
            ClusterError: the cluster refuses or cannot be reached.
        """
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        expected = (HTTPStatus.OK, HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND)
        answer = self._server.send("DELETE", path, expected=expected, body=options)
        return answer.status == HTTPStatus.OK

    def create(self, collection: str, manifest: Mapping[str, Any], *, secret: bool = True) -> bool:
        """Create an object; False if there is one of that name already.

        Raises:
            ClusterError: the cluster refuses or cannot be reached; nothing of a ``secret`` object
                is in the message.
        """
        expected = (HTTPStatus.CREATED, HTTPStatus.CONFLICT)
        answer = self._server.send(
            "POST", collection, expected=expected, query=self._query, body=manifest, secret=secret
        )
        return answer.status == HTTPStatus.CREATED
