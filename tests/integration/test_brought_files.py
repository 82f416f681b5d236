"""Keys and certificates as people bring them: what is accepted works in every verifier."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import PrivateFormat

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.pki.certificates import Validity
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.chains import assert_chain_holds
from tests.integration.support.configuration import small_stack
from tests.integration.support.secrets import assert_no_private_key
from tests.unit.pki import material
from tests.unit.pki.test_keys import PARAMETERS

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]

NAME = "carried"
KEY = "mtls-pki:anchors.g1.issuingCa.privateKey"


def test_what_stands_around_the_blocks_does_not_go_on(
    plane: ControlPlane, api: Api, make_stack: MakeStack
) -> None:
    """Go takes the first block of a key file, and reads neither a byte order mark nor a comment."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dates = Validity(today - timedelta(days=1), today + timedelta(days=365))
    root = material.root("carried-root", validity=dates)
    issuing = material.issuing(
        "carried-i1", root_pem=root, root_key=material.key_pem("carried-root"), validity=dates
    )
    key = material.encoded(material.key("carried-i1"), PrivateFormat.TraditionalOpenSSL)
    stack = make_stack(NAME)
    anchor = {
        "role": "issuing",
        "certificate": "root.pem",
        "issuingCa": {"certificate": "issuing.pem"},
    }
    stack.write(small_stack(NAME, plane.kubeconfig, anchors={"g1": anchor}))
    (stack.project / "root.pem").write_text(f"Wurzel für alle\n{root}", encoding="utf-8-sig")
    indented = "".join(f"  {line}\n" for line in issuing.splitlines())
    (stack.project / "issuing.pem").write_text(indented)
    stack.init()
    stack.must(
        *("config", "set", "--stack", NAME, "--secret", "--path", KEY),
        standard_input=f"{issuing}{PARAMETERS}{key}",
    )

    refused = stack.preview()
    assert refused.status != 0
    assert "anchors.g1.issuingCa.certificate: issuing.pem: block 1 is indented" in refused.output, (
        refused.output
    )
    assert refused.changes == {}

    (stack.project / "issuing.pem").write_text(f"# {NAME}\n{issuing}".replace("\n", "\r\n"))
    up = stack.up()
    live = cluster.certificates(api, NAME)
    assert all(map(cluster.is_ready, live.values()))
    bundle = cluster.config_map(api, NAME, f"{NAME}-trust")["ca.crt"]
    assert bundle == root
    leaf = cluster.secret(api, NAME, "web-tls")["tls.crt"]
    assert_chain_holds(leaf, bundle, f"web.{NAME}.svc.cluster.local")
    assert_no_private_key({"output": up.output, "state": stack.state_file.read_text()}, keys=[key])
    assert stack.up().changes == {}

    # The same key, name and key id; the issuing CA began earlier, and is not signed again.
    renewed = material.root("carried-root", validity=Validity(today, today + timedelta(days=730)))
    (stack.project / "root.pem").write_text(renewed)
    stack.up()
    bundle = cluster.config_map(api, NAME, f"{NAME}-trust")["ca.crt"]
    assert bundle == renewed
    assert_chain_holds(leaf, bundle, f"web.{NAME}.svc.cluster.local")
