"""What a user reads when something is wrong: one message, its place, the way out, no traceback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import ports
from lab.api import Api
from lab.control_plane import ControlPlane
from tests.integration.conftest import MakeStack
from tests.integration.support import cluster
from tests.integration.support.configuration import small_stack
from tests.integration.support.stack import Run, Stack
from tests.unit.pki import material

pytestmark = [pytest.mark.lab, pytest.mark.engine, pytest.mark.xdist_group("stacks")]


def refused(run: Run, *said: str) -> None:
    """The run failed as a user's mistake does, and said all this."""
    assert run.status == 1, run.output
    for text in said:
        assert text in run.output
    assert "Traceback" not in run.output
    assert "PRIVATE KEY" not in run.output


@pytest.fixture
def broken(make_stack: MakeStack) -> Any:
    """Make a stack of this configuration, not applied yet."""

    def make(name: str, values: Mapping[str, Any]) -> Stack:
        stack = make_stack(name)
        stack.write(values)
        stack.init()
        return stack

    return make


def elsewhere(kubeconfig: Path, directory: Path) -> Path:
    """A copy of a kubeconfig whose cluster is at a port where nothing listens."""
    document = yaml.safe_load(kubeconfig.read_text())
    server = f"https://{ports.LOOPBACK}:{ports.choose(None, avoid=())}"
    document["clusters"][0]["cluster"]["server"] = server
    copy = directory / "nowhere.kubeconfig"
    copy.write_text(yaml.safe_dump(document))
    return copy


def test_wrong_configuration_is_told_whole_and_nothing_is_touched(
    plane: ControlPlane, api: Api, broken: Any
) -> None:
    values = small_stack(
        "wrong",
        plane.kubeconfig,
        issuing={"leaf": {"duration": "30d"}, "inter": {}},
        services={"web": {"namespace": "elsewhere"}},
    )
    stack = broken("wrong", values)
    before = cluster.settled_snapshot(api)
    for run in (stack.preview(), stack.try_up()):
        refused(
            run,
            "Pulumi.wrong.yaml has 2 mistakes; nothing was touched:",
            "issuing.leaf.duration: '30d': write 720h",
            "issuing.inter: unknown key",
        )
        assert run.changes == {}
    assert cluster.changed_objects(before, cluster.snapshot(api)) == set()
    # A second kind: what is right in form, and wrong all the same.
    del values["issuing"]["leaf"], values["issuing"]["inter"]
    stack.write(values)
    refused(stack.try_up(), "services.web.namespace: 'elsewhere' gets no trust bundle")


def test_every_cluster_that_cannot_be_reached_is_named_and_none_is_touched(
    plane: ControlPlane, api: Api, broken: Any, tmp_path: Path
) -> None:
    nowhere = str(elsewhere(plane.kubeconfig, tmp_path))
    values = small_stack("nowhere", plane.kubeconfig)
    values["clusters"] |= {"east": {"kubeconfig": nowhere}, "west": {"kubeconfig": nowhere}}
    stack = broken("nowhere", values)
    before = cluster.settled_snapshot(api)
    run = stack.try_up()
    refused(
        run,
        "the clusters are not ready for this stack; nothing was touched:",
        "cluster east: https://127.0.0.1:",
        "cluster west: https://127.0.0.1:",
        "cannot be reached",
    )
    assert "cluster dev" not in run.output
    assert cluster.changed_objects(before, cluster.snapshot(api)) == set()


def test_missing_crds_and_namespaces_are_told_together(
    plane: ControlPlane, api: Api, broken: Any
) -> None:
    trust = {"via": "trust-manager", "createNamespaces": False, "namespaces": ["missing", "gone"]}
    stack = broken("missing", small_stack("missing", plane.kubeconfig, trust=trust))
    before = cluster.settled_snapshot(api)
    refused(
        stack.try_up(),
        "cluster dev: trust.cert-manager.io/v1alpha1 is not installed; install trust-manager",
        "cluster dev: namespace missing does not exist; create it",
        "cluster dev: namespace gone does not exist; create it",
    )
    assert cluster.changed_objects(before, cluster.snapshot(api)) == set()


def test_an_issuer_that_never_becomes_ready_is_explained_by_cert_manager(
    plane: ControlPlane, api: Api, broken: Any
) -> None:
    # cert-manager reads the CA Secrets of ClusterIssuers from its own namespace alone.
    issuing = {"kind": "ClusterIssuer", "clusterResourceNamespace": "default"}
    values = small_stack("unready", plane.kubeconfig, issuing=issuing)
    stack = broken("unready", values)
    refused(
        stack.try_up_in_vain(),
        "cluster dev: ClusterIssuer unready-ca-g1-i1 is not Ready",
        'ErrGetKeyPair: Error getting keypair for CA issuer: secrets "unready-ca-g1-i1" not found',
        "issuing.clusterResourceNamespace",
    )
    assert cluster.certificates(api, "unready") == {}
    # The way out that it names is one.
    del values["issuing"]["clusterResourceNamespace"]
    stack.write(values)
    stack.up()
    assert all(cluster.is_ready(each) for each in cluster.certificates(api, "unready").values())


def test_a_certificate_that_does_not_become_ready_is_explained_by_cert_manager(
    plane: ControlPlane, api: Api, broken: Any
) -> None:
    values = small_stack("spoiled", plane.kubeconfig)
    stack = broken("spoiled", values)
    stack.up()
    secret = "/api/v1/namespaces/spoiled/secrets/spoiled-ca-g1-i1"  # noqa: S105 a path
    cluster.patch(api, secret, {"stringData": {"tls.key": material.key_pem("another")}})
    values["services"]["late"] = {"namespace": "spoiled"}
    stack.write(values)
    refused(
        stack.try_up_in_vain(),
        "cluster dev: 1 of 3 Certificates is not Ready",
        "Certificate spoiled/late: ",
        "CertificateRequest late-1: Failed: Error signing certificate",
        "provided PrivateKey doesn't match parent's PublicKey",
        "have it tried again with `cmctl renew --namespace spoiled late`",
        "or all that failed with `mtls-pki reissue --failed`",
    )
    listed = stack.rotation("reissue", "--failed", "--dry-run").stdout
    assert listed.startswith("dev/spoiled/late: The certificate request has failed"), listed
    # As long as its cause is there it fails once more, and says so.
    again = stack.rotation("reissue", "--failed")
    assert again.returncode == 1, again.stdout + again.stderr
    assert "provided PrivateKey doesn't match" in again.stdout + again.stderr
    # What was done by hand is seen by a refresh, and the next `up` writes over it.
    assert list(stack.refresh().changes) == ["dev/spoiled/spoiled-ca-g1-i1"]
    # cert-manager leaves what failed alone for an hour, and `up` says so.
    refused(stack.try_up_in_vain(), "Certificate spoiled/late: ")
    late = cluster.certificates(api, "spoiled")["late"]
    assert (cluster.is_ready(late), late["status"]["failedIssuanceAttempts"]) == (False, 2)
    done = stack.rotation("reissue", "--failed")
    assert done.stdout == "dev, Issuer/spoiled-ca-g1-i1: 1 of 1 reissued\n"
    assert cluster.is_ready(cluster.certificates(api, "spoiled")["late"])
    left = stack.rotation("reissue", "--failed").stdout
    assert left == "dev: no Certificate's last issuance failed\n"
