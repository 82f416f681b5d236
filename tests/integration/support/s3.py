"""A real S3 server (``versitygw``) with TLS, whose users have the rights of bucket policies."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import urllib3

from lab import toolchain
from lab.certificates import Pair, Subject, ensure_authority, ensure_leaf
from lab.paths import Paths
from lab.ports import LOOPBACK, choose
from lab.processes import ProcessSpec, start, stop

REGION = "us-east-1"
_NAME = "s3"
_READY_SECONDS = 30
# A line of its log: time | vgw | status | duration | address | method | path | error | query
_REQUEST = re.compile(
    r"\| 2\d\d \|[^|]*\|[^|]*\| [A-Z]+ *\| (?P<path>\S+) \|[^|]*\| ?(?P<query>\S*)"
)


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who asks; made for one server of one test session."""

    access: str
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)


class S3:
    """A server beside the control plane of ``paths``, which stops it if nobody else does.

    Attributes:
        ca_file: the CA of its certificate.
    """

    def __init__(self, paths: Paths, users: Sequence[str]) -> None:
        """Start it with these users, who may do nothing until a bucket's policy lets them."""
        self._paths = paths
        self._directory = paths.directory / _NAME
        self._port = choose()
        self._root = Identity(access="root")
        self._users = {name: Identity(access=name) for name in users}
        authority, serving = (Pair.at(paths.secret(name)) for name in ("s3-ca", "s3"))
        ensure_authority(authority, "S3 CA")
        ensure_leaf(serving, Subject(common_name=_NAME, addresses=(LOOPBACK,)), authority=authority)
        self.ca_file = authority.certificate
        self._pool = urllib3.PoolManager(ca_certs=str(self.ca_file), retries=False)
        self._start(serving)

    def _start(self, serving: Pair) -> None:
        for name in ("data", "sidecar"):
            (self._directory / name).mkdir(parents=True, mode=0o700)
        accounts = {
            each.access: {"access": each.access, "secret": each.secret, "role": "user"}
            for each in self._users.values()
        }
        binary = toolchain.ensure("versitygw")["versitygw"]
        spec = ProcessSpec(
            name=_NAME,
            port=self._port,
            argv=(str(binary), "posix", str(self._directory / "data")),
            writes=(
                (self._directory / "iam/users.json", json.dumps({"accessAccounts": accounts})),
            ),
        )
        environment = {
            "PATH": os.environ["PATH"],
            "ROOT_ACCESS_KEY": self._root.access,
            "ROOT_SECRET_KEY": self._root.secret,
            "VGW_PORT": f"{LOOPBACK}:{self._port}",
            "VGW_CERT": str(serving.certificate),
            "VGW_KEY": str(serving.key),
            "VGW_IAM_DIR": str(self._directory / "iam"),
            "VGW_REGION": REGION,
            "VGW_HEALTH": "/health",
            # Extended attributes are not to be had on every file system of a temporary directory.
            "VGW_META_SIDECAR": str(self._directory / "sidecar"),
        }
        start(
            spec,
            pid_file=self._paths.pid_file(_NAME),
            log=self._paths.log(_NAME),
            environment=environment,
        )
        end = time.monotonic() + _READY_SECONDS
        while not self._healthy():
            assert time.monotonic() < end, self._paths.log(_NAME).read_text()
            time.sleep(0.05)

    def _healthy(self) -> bool:
        try:
            return self._pool.request("GET", f"{self.endpoint}/health").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def stop(self) -> None:
        self._pool.clear()
        stop([self._paths.pid_file(_NAME)])

    @property
    def endpoint(self) -> str:
        return f"https://{LOOPBACK}:{self._port}"

    def environment(self, bucket: str, user: str) -> dict[str, str]:
        """What docs/state.md tells to set for a server that is not Amazon's own."""
        identity = self._users[user]
        query = urlencode(
            {"region": REGION, "endpoint": self.endpoint, "use_path_style": "true"}, safe=":/"
        )
        return {
            "PULUMI_BACKEND_URL": f"s3://{bucket}?{query}",
            "AWS_ACCESS_KEY_ID": identity.access,
            "AWS_SECRET_ACCESS_KEY": identity.secret,
            "AWS_CA_BUNDLE": str(self.ca_file),
        }

    def make_bucket(self, name: str, rights: Mapping[str, Path]) -> None:
        """Create a bucket.

        Args:
            name: of the bucket.
            rights: by user the file of a policy for an IAM role, with ``BUCKET`` for the name; a
                bucket's own policy says the same, and names the user.
        """
        self._request("PUT", f"/{name}")
        statements = [
            {**statement, "Principal": {"AWS": [user]}}
            for user, file in rights.items()
            for statement in json.loads(file.read_text().replace("BUCKET", name))["Statement"]
        ]
        policy = {"Version": "2012-10-17", "Statement": statements}
        self._request("PUT", f"/{name}", {"policy": ""}, json.dumps(policy).encode())

    def keys(self, bucket: str) -> list[str]:
        """What lies in a bucket, of up to a thousand objects."""
        listed = self._request("GET", f"/{bucket}", {"list-type": "2"})
        return re.findall("<Key>([^<]+)</Key>", listed)

    def objects(self, bucket: str) -> dict[str, str]:
        """All that lies in a bucket, by key."""
        return {key: self._request("GET", f"/{bucket}/{key}") for key in self.keys(bucket)}

    def requests(self) -> list[tuple[str, dict[str, str]]]:
        """Path and query of all that was granted so far, of whoever asked; AWS's SDK says what."""
        lines = self._paths.log(_NAME).read_text(encoding="utf-8").splitlines()
        found = map(_REQUEST.search, lines)
        return [(each["path"], dict(parse_qsl(each["query"]))) for each in found if each]

    def _request(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: bytes = b""
    ) -> str:
        """The answer to one request of the administrator's, signed (AWS Signature Version 4)."""
        moment = f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}"
        headers = {
            "host": f"{LOOPBACK}:{self._port}",
            "x-amz-content-sha256": hashlib.sha256(body).hexdigest(),
            "x-amz-date": moment,
        }
        names = ";".join(headers)
        asked = urlencode(sorted((query or {}).items()))
        canonical = "\n".join(
            [
                method,
                path,
                asked,
                *(f"{name}:{value}" for name, value in headers.items()),
                "",
                names,
                headers["x-amz-content-sha256"],
            ]
        )
        scope = f"{moment[:8]}/{REGION}/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{self._root.secret}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(
            key, f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}".encode(), "sha256"
        ).hex()
        answer = self._pool.request(
            method,
            f"{self.endpoint}{path}?{asked}",
            body=body,
            headers={
                **headers,
                "Authorization": (
                    f"AWS4-HMAC-SHA256 Credential={self._root.access}/{scope}, "
                    f"SignedHeaders={names}, Signature={signature}"
                ),
            },
        )
        text: str = answer.data.decode()
        assert answer.status in (200, 204), text
        return text
