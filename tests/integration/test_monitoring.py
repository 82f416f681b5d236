"""The exporter, a real Prometheus and a real Alertmanager, through a rotation that goes wrong.

istiod behind is in tests/rotation_lab/test_istio.py, where an istiod runs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from lab.api import Api
from lab.control_plane import ControlPlane
from lab.dashboard import ROWS
from lab.project_copy import CHECKOUT
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import generated, small_stack
from tests.integration.support.dashboard_picture import draw
from tests.integration.support.prometheus import Watch, watching
from tests.integration.support.readers import shipped_reader
from tests.integration.support.stack import Stack
from tests.unit.pki import material

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("stacks"),
    pytest.mark.timeout(600),
]

NAME = "watched"
KUBECTL = Path(sys.executable).with_name("kubectl")
MACHINE = "watcher"
PICTURE = CHECKOUT / "docs/dashboard.png"


@dataclass
class Watched:
    """A stack that is watched with what deploy/ grants, and applied by its administrator."""

    watch: Watch
    stack: Stack
    api: Api
    plane: ControlPlane
    kubeconfig: Path

    @contextlib.contextmanager
    def administered(self) -> Iterator[dict[str, Any]]:
        """Edit the stack file inside as its administrator; afterwards it is read by the watch."""
        values = self.stack.read()
        as_reader = values["clusters"]
        values["clusters"] = {"dev": {"kubeconfig": str(self.plane.kubeconfig)}}
        self.stack.write(values)
        try:
            yield values
        finally:
            self.stack.write({**self.stack.read(), "clusters": as_reader})

    def apply(self, **changes: Any) -> None:
        """Change top-level keys, and `pulumi up`."""
        with self.administered() as values:
            self.stack.write({**values, **changes})
            self.stack.up("--refresh")

    def stage(self, *stages: str) -> None:
        """Wait until the rotation is seen at one of these stages."""
        expression = f'mtls_rotation_stage{{stage=~"{"|".join(stages)}"}} == 1'
        cluster.wait_for(lambda: self.watch.query(expression), str(stages))


@pytest.fixture(scope="module")
def watched(
    plane: ControlPlane,
    api: Api,
    make_stack: MakeStack,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Watched]:
    directory = tmp_path_factory.mktemp(NAME)
    stack = make_stack(NAME)
    values = small_stack(
        NAME,
        plane.kubeconfig,
        issuing={"leaf": {"duration": "1h", "renewBefore": "30m"}},
        trust={"namespaces": [NAME, f"{NAME}-two"], "holdDown": "1s"},
        clientAccess={
            MACHINE: {"clusterRole": "view", "validFor": "1h", "renewBefore": "20m"},
        },
    )
    stack.write(values)
    stack.init()
    stack.up()
    # The exporter sees the cluster with what deploy/ grants, and no more. Without `trace`, `retire`
    # waits for the longest lifetime of a leaf.
    reader = shipped_reader(plane, directory / "reader", "trace", bundle=f"{NAME}-trust")
    text = (CHECKOUT / "deploy/rbac-access-issue.yaml").read_text()
    text = text.replace("access-deployer", f"access-{MACHINE}").replace("access-issue", NAME)
    text = text.replace("example:watchedrs", "system:serviceaccounts:cert-manager")
    for manifest in yaml.safe_load_all(text):
        api.apply(manifest)
    link = stack.project / "kubeconfig"
    link.symlink_to(reader)
    stack.write({**values, "clusters": {"dev": {"kubeconfig": "kubeconfig"}}})
    with watching(stack, directory / "watch") as watch:
        yield Watched(watch=watch, stack=stack, api=api, plane=plane, kubeconfig=link)


def bundle_path(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/{NAME}-trust"


def issue_access(watched: Watched) -> None:
    with watched.administered():
        waits = watched.stack.rotation("access", "issue", MACHINE)
        request = waits.stderr.split("mtls-pki access approve ")[1].split()[0]
        command = [KUBECTL, "--kubeconfig", watched.plane.kubeconfig, "certificate", "approve"]
        subprocess.run([*command, request], check=True, capture_output=True)
        done = watched.stack.rotation("access", "issue", MACHINE)
        assert done.returncode == 0, done.stderr


def rogue(api: Api, pair: dict[str, str]) -> None:
    """An issuer of somebody who has a copy of the CA's key, and a leaf of it."""
    copied = {
        "metadata": {"name": "copied"},
        "stringData": {key: pair[key] for key in ("tls.crt", "tls.key")},
    }
    api.request("POST", f"/api/v1/namespaces/{NAME}/secrets", copied)
    for kind, name, spec in (
        ("Issuer", "copied", {"ca": {"secretName": "copied"}}),
        (
            "Certificate",
            "rogue",
            {
                "secretName": "rogue-tls",
                "dnsNames": ["rogue.example.org"],
                "issuerRef": {"name": "copied", "kind": "Issuer", "group": "cert-manager.io"},
            },
        ),
    ):
        path = f"{cluster.CERT_MANAGER}/namespaces/{NAME}/{kind.lower()}s"
        body = {"metadata": {"name": name}, "spec": spec}
        api.request("POST", path, {"apiVersion": "cert-manager.io/v1", "kind": kind, **body})


def remove_rogue(api: Api) -> None:
    for path in (
        f"{cluster.CERT_MANAGER}/namespaces/{NAME}/certificates/rogue",
        f"{cluster.CERT_MANAGER}/namespaces/{NAME}/issuers/copied",
        f"/api/v1/namespaces/{NAME}/secrets/rogue-tls",
        f"/api/v1/namespaces/{NAME}/secrets/copied",
    ):
        api.request("DELETE", path)


def require_data(watch: Watch, *titles: str) -> None:
    """Wait until these panels of the dashboard have something to show."""
    expressions = {
        shown.title: shown.expression.replace("$domain", f"{NAME}.example.org")
        for _, panels in ROWS
        for shown in panels
    }
    for title in titles:
        cluster.wait_for(partial(watch.query, expressions[title]), title)


def require_picture(watch: Watch, begin: float, directory: Path) -> None:
    """Draw the dashboard; with ``UPDATE_PICTURE=1`` the page's picture is this one."""
    page, picture = draw(watch, f"{NAME}.example.org", since=begin, directory=directory)
    for stage in ("steady", "spread", "mov"):
        assert stage in page
    colours = Image.open(picture).convert("RGB").getcolors(maxcolors=1 << 24) or ()
    # The numbers' background, and the lines of both anchors.
    assert {(0x1A, 0x7F, 0x37), (0x09, 0x69, 0xDA)} <= {colour for _, colour in colours}
    if os.environ.get("UPDATE_PICTURE"):
        shutil.copy(picture, PICTURE)
    assert PICTURE.exists()


def test_alerts_of_a_rotation_fire_and_fall_silent(watched: Watched, tmp_path: Path) -> None:
    watch, api = watched.watch, watched.api
    begin = time.time()
    watch.require_silence()
    good = cluster.config_map(api, NAME, f"{NAME}-trust")["ca.crt"]

    # A stranger's anchor.
    stranger = good + material.root("somebody")
    cluster.patch(api, bundle_path(NAME), {"data": {"ca.crt": stranger}})
    watch.require("MtlsStrangerTrusted", cluster="dev", namespace=NAME)
    cluster.patch(api, bundle_path(NAME), {"data": {"ca.crt": good}})
    watch.require_silence()

    # A kubeconfig near its end.
    issue_access(watched)
    cluster.wait_for(
        lambda: watch.query("mtls_client_access_renewal_timestamp_seconds > 0"), "access"
    )
    require_data(watch, "Kubeconfigs of machines")
    watch.require_silence()
    with watch.compressed("MtlsClientAccessEnds", "< time()", "< time() + 45 * 60"):
        watch.require("MtlsClientAccessEnds", machine=MACHINE)
    watch.require_silence()

    # One namespace behind the others.
    g1 = watched.stack.read()["anchors"]["g1"]
    watched.apply(anchors={"g1": g1, "g2": generated("g2", NAME, "incoming")})
    watched.stage("spreading", "spread")
    watch.require_silence()
    both = cluster.config_map(api, f"{NAME}-two", f"{NAME}-trust")["ca.crt"]
    cluster.patch(api, bundle_path(f"{NAME}-two"), {"data": {"ca.crt": good}})
    watch.require("MtlsBundleBehind", namespace=f"{NAME}-two", generation="g2")
    require_data(watch, "Bundles without an anchor", "What the next step waits for")
    cluster.patch(api, bundle_path(f"{NAME}-two"), {"data": {"ca.crt": both}})
    watch.require_silence()

    # The evidence away: what is known stays, and grows old.
    away = watched.kubeconfig.readlink()
    watched.kubeconfig.unlink()
    watched.kubeconfig.symlink_to(away.with_name("gone"))
    watch.require("MtlsEvidenceOld", cluster="dev")
    watched.kubeconfig.unlink()
    watched.kubeconfig.symlink_to(away)
    watch.require_silence()

    # A rotation that somebody forgot half way.
    with watch.compressed("MtlsOverlapOpen", "2 * mtls_leaf", "0.001 * mtls_leaf"):
        watch.require("MtlsOverlapOpen", stage="spread")
    watch.require_silence()

    # Something issues below the outgoing anchor.
    old = cluster.secret(api, NAME, f"{NAME}-ca-g1-i1")
    outgoing = {**g1, "role": "outgoing"}
    watched.apply(anchors={"g1": outgoing, "g2": generated("g2", NAME)})
    watched.stage("moving", "moved")
    watch.require_silence()
    with watch.compressed("MtlsOutgoingAnchorIssues", "> 600", "> 1"):
        watch.require_silence()
        rogue(api, old)
        watch.require("MtlsOutgoingAnchorIssues", generation="g1", cluster="dev")
        remove_rogue(api)
        watch.require_silence()

    # The end of the rotation.
    require_data(watch, "Next step, at the earliest")
    cluster.wait_for(
        lambda: watch.query(
            'mtls_rotation_next_step_earliest_timestamp_seconds{step="retire"} == 0'
        ),
        "retire",
    )
    require_picture(watch, begin, tmp_path / "picture")
    watched.apply(anchors={"g2": generated("g2", NAME)})
    watched.stage("steady")
    watch.require_silence()

    # A request that failed, of a leaf that ends soon.
    secret = f"/api/v1/namespaces/{NAME}/secrets/{NAME}-ca-g2-i1"
    key = cluster.secret(api, NAME, f"{NAME}-ca-g2-i1")["tls.key"]
    cluster.patch(api, secret, {"stringData": {"tls.key": material.key_pem("another")}})
    web = f"{cluster.CERT_MANAGER}/namespaces/{NAME}/certificates/web"
    names = api.request("GET", web)["spec"]["dnsNames"]
    cluster.patch(api, web, {"spec": {"dnsNames": [*names, "more.example.org"]}})
    watch.require("MtlsRequestFailedNearEnd", beside=("MtlsIssuerNotReady",), cluster="dev")
    cluster.patch(api, secret, {"stringData": {"tls.key": key}})
    with watched.administered():
        assert watched.stack.rotation("reissue", "--failed").returncode == 0
    watch.require_silence()


# Of a steady stack: nobody is behind. All but the sessions, which need a server that tells them,
# have data at some time of the rotation above.
NOTHING_TO_SHOW = {
    "Bundles without an anchor",
    "Open sessions by anchor",
    "Kubeconfigs of machines",
    "What the next step waits for",
    "Next step, at the earliest",
}


def test_every_panel_of_the_dashboard_has_data(watched: Watched) -> None:
    domain = f"{NAME}.example.org"
    for _, panels in ROWS:
        for shown in panels:
            found = watched.watch.query(shown.expression.replace("$domain", domain))
            assert found or shown.title in NOTHING_TO_SHOW, shown.title
