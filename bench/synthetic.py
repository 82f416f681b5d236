"""An API server with any number of leaves, for reading alone, as a process of its own.

``python -m bench.synthetic COUNT FILE`` serves until its standard input ends, and writes its URL to
FILE when it is ready. The objects are those of the unit tests of reading evidence; every leaf has a
certificate of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from bench import configuration
from lab.files import write_private
from mtls_pki.rotation.roles import Role
from mtls_pki.rotation.stage import STAGE_KEY, Anchor, TrustStage
from tests.unit.evidence import objects
from tests.unit.evidence.api import Api, served
from tests.unit.pki import material

GENERATION = "g1"


def api(count: int) -> Api:
    """Return the objects of a cluster with ``count`` leaves under one generation."""
    issuing_pem = objects.issuing(GENERATION)
    issuing_key = material.key(f"issuing-{GENERATION}")
    names = [f"service-{number:05}" for number in range(count)]
    requests = [
        objects.request(
            material.leaf(issuing_pem, issuing_key, dns=f"{name}.{configuration.NAMESPACE}.svc")
            + issuing_pem,
            name=f"{name}-1",
            namespace=configuration.NAMESPACE,
            certificate=name,
        )
        for name in names
    ]
    return Api(
        date=objects.HTTP_NOW,
        objects={
            objects.CONFIG_MAPS: [
                objects.bundle(namespace, GENERATION)
                for namespace in (configuration.NAMESPACE, configuration.COMPARED)
            ],
            objects.STAGE: _stage_record(),
            objects.CERTIFICATES: [
                objects.certificate(name, configuration.NAMESPACE) for name in names
            ],
            objects.REQUESTS: requests,
            objects.SECRETS: [
                objects.secret(f"{name}-tls", configuration.NAMESPACE, certificate=name)
                for name in names
            ],
            objects.ISSUERS: [],
            objects.CLUSTER_ISSUERS: [objects.issuer(objects.OUR_ISSUER["name"])],
            objects.SIGNING_REQUESTS: [],
        },
    )


def _stage_record() -> dict[str, Any]:
    anchor = Anchor(role=Role.ISSUING, fingerprint=objects.fingerprint(GENERATION))
    stage = TrustStage(anchors={GENERATION: anchor})
    data = {STAGE_KEY: stage.to_json(), f"{GENERATION}.pem": objects.root(GENERATION)}
    return objects.config_map("cert-manager", data, name=objects.STAGE.rpartition("/")[2])


def main(count: int, file: Path) -> None:
    """Serve until standard input ends."""
    with served(api(count)) as running:
        write_private(file, running.url)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
