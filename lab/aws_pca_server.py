"""moto's server for AWS Private CA, whose authorities keep to what AWS documents.

A file of faults, read at each request, plays what cannot be made otherwise: it is JSON and says by
operation the error code to answer with, such as ``{"IssueCertificate": "ThrottlingException"}``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moto.acmpca import models
from moto.acmpca.responses import ACMPCAResponse
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

from lab.aws_pca_authority import Authority, RefusedError
from lab.ports import LOOPBACK


def _issue(response: ACMPCAResponse) -> str:
    params = json.loads(response.body)
    authority = response.acmpca_backend.describe_certificate_authority(
        params["CertificateAuthorityArn"]
    )
    return json.dumps({"CertificateArn": authority.issue(params)})


def _create(original: Callable[[ACMPCAResponse], str]) -> Callable[[ACMPCAResponse], str]:
    tokens: dict[str, str] = {}

    def create(response: ACMPCAResponse) -> str:
        token = json.loads(response.body).get("IdempotencyToken")
        if token not in tokens:
            answer = original(response)
            if token is None:
                return answer
            tokens[token] = answer
        return tokens[token]

    return create


def _faulty(original: Callable[[ACMPCAResponse], Any], faults: Path) -> Callable[..., Any]:
    def call(response: ACMPCAResponse) -> Any:
        # AWS's JSON protocol names the operation in a header.
        operation = response.headers["X-Amz-Target"].partition(".")[2]
        code = json.loads(faults.read_text()).get(operation) if faults.exists() else None
        if code:
            raise RefusedError(code, f"User or rate is not allowed {operation} (played by the lab)")
        return original(response)

    return call


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m lab.aws_pca_server", description=__doc__)
    parser.add_argument("port", type=int, help="on the loopback address")
    parser.add_argument("faults", type=Path, help="file of faults; it need not exist")
    given = parser.parse_args()
    models.CertificateAuthority = Authority
    ACMPCAResponse.issue_certificate = _issue
    ACMPCAResponse.create_certificate_authority = _create(
        ACMPCAResponse.create_certificate_authority
    )
    ACMPCAResponse.call_action = _faulty(ACMPCAResponse.call_action, given.faults)
    application = DomainDispatcherApplication(create_backend_app)
    run_simple(LOOPBACK, given.port, application, threaded=True)


if __name__ == "__main__":
    main()
