"""The projects below examples/, applied to a control plane as somebody who copied one would."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from lab import ports
from lab.control_plane import ControlPlane
from lab.node import NODE_NAME, volume
from lab.project_copy import CHECKOUT
from lab.pulumi_cli import Engine, open_engine
from mtls_pki.components.mtls_workload import TLS_VOLUME, TRUST_VOLUME
from mtls_pki.consumers.gloo.objects import SECRETS
from mtls_pki.consumers.istio.objects import SECRET
from tests.integration.lab_fixtures import Lab
from tests.integration.support import cluster
from tests.integration.support.backup import PASSPHRASE
from tests.integration.support.guides import GUIDES, run_command

pytestmark = [
    pytest.mark.lab,
    pytest.mark.engine,
    pytest.mark.xdist_group("examples"),
    pytest.mark.timeout(600),
]

STACK = "prod"
EXAMPLES = sorted(path.parent.name for path in CHECKOUT.glob("examples/*/Pulumi.yaml"))
# On a platform that another stack makes, and on the lab's node; it has a test of its own.
TEAM = "team"
PLATFORMS = [name for name in EXAMPLES if name != TEAM]


Planes = Mapping[str, ControlPlane]
"""By the name of their cluster."""

OPENED = {"MTLS_PKI_BACKUP_PASSPHRASE": PASSPHRASE}
WITH = {"flexstack": ("step-issuer", "step-ca")}


def copied(name: str, directory: Path) -> Engine:
    """A copy of an example, with its stack."""
    project = directory / name
    shutil.copytree(CHECKOUT / "examples" / name, project)
    (project / ".venv").symlink_to(sys.prefix)
    engine = open_engine(project, directory / "engine")
    done = engine.run("stack", "init", STACK)
    assert done.returncode == 0, done.stderr
    return engine


def clusters(name: str) -> list[str]:
    """The names of the clusters in an example's stack file."""
    file = CHECKOUT / "examples" / name / f"Pulumi.{STACK}.yaml"
    return list(yaml.safe_load(file.read_text())["config"]["mtls-pki:clusters"])


def opened(name: str, planes: Mapping[str, ControlPlane], directory: Path) -> Engine:
    """A copy of an example whose clusters are the lab's."""
    engine = copied(name, directory)
    file = engine.project / f"Pulumi.{STACK}.yaml"
    document = yaml.safe_load(file.read_text())
    config = document["config"]
    config["mtls-pki:clusters"] = {
        cluster: {"kubeconfig": str(plane.kubeconfig)} for cluster, plane in planes.items()
    }
    if step_ca := config["mtls-pki:issuing"].get("stepCa"):
        # Containers do not run in the lab: its runner starts step-ca from the same files.
        url = f"https://{ports.LOOPBACK}:{ports.choose(None, avoid=())}"
        step_ca |= {"deploy": False, "urls": {"g1": url}}
    file.write_text(yaml.safe_dump(document))
    return engine


def flexstack(engine: Engine, planes: Planes) -> None:
    (plane,) = planes.values()
    with contextlib.closing(plane.api()) as api:
        for namespace, name in (("flexstack", "gateway"), ("flexstack-identity", "identity")):
            certificate = cluster.certificates(api, namespace)[name]
            assert cluster.is_ready(certificate)
            assert certificate["spec"]["dnsNames"] == [
                name,
                f"{name}.{namespace}",
                f"{name}.{namespace}.svc.cluster.local",
            ]
        issuer = api.request("GET", "/apis/certmanager.step.sm/v1beta1/stepclusterissuers")
    names = {each["metadata"]["name"] for each in issuer["items"]}
    assert "step-ca-issuer" in names


def kubernetes_access(engine: Engine, planes: Planes) -> None:
    (plane,) = planes.values()
    with contextlib.closing(plane.api()) as api:
        live: dict[str, Any] = api.request(
            "GET", "/api/v1/namespaces/cert-manager/configmaps/mtls-pki-access-deployer"
        )
    assert list(live["data"]) == ["k1.csr"]


def gloo_mesh(engine: Engine, planes: Planes) -> None:
    found = {}
    for name, plane in planes.items():
        with contextlib.closing(plane.api()) as api:
            for namespace in ("gloo-mesh", "istio-system"):
                for each in api.request("GET", f"/api/v1/namespaces/{namespace}/secrets")["items"]:
                    found[name, each["metadata"]["name"]] = set(each["data"])
    leaf = {"tls.crt", "tls.key", "ca.crt"}
    files = {"ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"}
    workload = {
        "relay-root-tls-secret": {"ca.crt"},
        "relay-client-tls-secret": leaf,
        "cacerts": files,
    }
    management = {
        "relay-root-tls-secret": {"ca.crt"},
        "relay-server-tls-secret": leaf,
        "gloo-telemetry-gateway-tls-secret": leaf,
    }
    assert found == {
        **{("mgmt", name): keys for name, keys in management.items()},
        **{
            (cluster, name): keys
            for cluster in ("cluster1", "cluster2")
            for name, keys in workload.items()
        },
    }
    values = json.loads(engine.run("stack", "output", "glooValues", "--json").stdout)
    assert values["agents"]["cluster2"]["common"] == {"cluster": "cluster2"}


def monoskope(engine: Engine, planes: Planes) -> None:
    (plane,) = planes.values()
    with contextlib.closing(plane.api()) as api:
        pem = cluster.secret(api, "monoskope", "m8-operator-auth-tls")["tls.crt"]
        stable = api.request(
            "GET", f"{cluster.CERT_MANAGER}/namespaces/monoskope/issuers/m8-root-ca-issuer"
        )
    assert cluster.is_ready(stable)
    leaf = x509.load_pem_x509_certificate(pem.encode())
    assert leaf.subject.rfc4514_string() == "CN=operator.monoskope.cluster.local,O=Monoskope"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.RFC822Name) == ["operator@monoskope.io"]


CHECKS: dict[str, Callable[[Engine, Planes], None]] = {
    "flexstack": flexstack,
    "gloo-mesh": gloo_mesh,
    "kubernetes-access": kubernetes_access,
    "monoskope": monoskope,
}


def test_every_example_is_tried() -> None:
    assert sorted([*CHECKS, TEAM]) == EXAMPLES
    assert sorted(GUIDES) == PLATFORMS


@pytest.mark.parametrize("name", PLATFORMS)
def test_an_example_is_applied_and_stays(name: str, lab: Lab, tmp_path: Path) -> None:
    # One for each: they have the names that every project begins with.
    with contextlib.ExitStack() as up:
        planes = {
            cluster: up.enter_context(lab.during(f"{name}-{cluster}", with_=WITH.get(name, ())))
            for cluster in clusters(name)
        }
        engine = _apply(name, planes, tmp_path)
        GUIDES[name](engine, planes, tmp_path)
        if name == "gloo-mesh":
            _lose_and_restore(engine, planes, lab, tmp_path)


def _apply(name: str, planes: Planes, directory: Path) -> Engine:
    engine = opened(name, planes, directory)
    preview = engine.run("preview", "--stack", STACK)
    assert preview.returncode == 0, preview.stdout + preview.stderr
    done = engine.run("up", "--yes", "--skip-preview", "--stack", STACK)
    assert done.returncode == 0, done.stdout + done.stderr
    CHECKS[name](engine, planes)
    judged = engine.run("preview", "--stack", STACK, "--policy-pack", str(CHECKOUT / "policy"))
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "mandatory" not in judged.stdout
    again = engine.run("preview", "--stack", STACK, "--json", "--expect-no-changes")
    assert again.returncode == 0, again.stdout + again.stderr
    assert json.loads(again.stdout)["changeSummary"].keys() == {"same"}
    return engine


def _lose_and_restore(engine: Engine, planes: Planes, lab: Lab, directory: Path) -> None:
    """Backend, management cluster and one workload cluster are lost; cluster2 is not."""
    archive = directory / "saved.age"
    saved = run_command(engine, "backup", str(archive), **OPENED)
    assert saved.returncode == 0, saved.stderr
    before = {cluster: _relay(plane) for cluster, plane in planes.items()}
    lost = ("mgmt", "cluster1")
    for cluster_name in lost:
        planes[cluster_name].down()
    with contextlib.ExitStack() as up:
        again = {name: up.enter_context(lab.during(f"again-{name}")) for name in lost}
        present = {name: again.get(name, plane) for name, plane in planes.items()}
        rebuilt = opened("gloo-mesh", present, directory / "rebuilt")
        named = [word for name in lost for word in ("--rebuilt", name)]
        restored = run_command(rebuilt, "restore", str(archive), *named, **OPENED)
        assert restored.returncode == 0, restored.stderr
        file = rebuilt.project / f"Pulumi.{STACK}.yaml"
        document = yaml.safe_load(file.read_text())
        document["config"]["mtls-pki:abandon"] = [f"cluster/{name}" for name in lost]
        file.write_text(yaml.safe_dump(document))
        done = rebuilt.run(
            "up", "--yes", "--skip-preview", "--refresh", "--run-program", "--stack", STACK
        )
        assert done.returncode == 0, done.stdout + done.stderr
        after = {name: _relay(plane) for name, plane in present.items()}
    assert {name: set(secrets) for name, secrets in after.items()} == {
        name: set(secrets) for name, secrets in before.items()
    }
    # Not in an assertion, which would print keys.
    same = after == before
    assert same


def _relay(plane: ControlPlane) -> dict[str, dict[str, str]]:
    """The Secrets of the relay and of istiod in a cluster."""
    with contextlib.closing(plane.api()) as api:
        return {
            each["metadata"]["name"]: each["data"]
            for namespace in ("gloo-mesh", "istio-system")
            for each in api.request("GET", f"/api/v1/namespaces/{namespace}/secrets")["items"]
            if each["metadata"]["name"] in (*SECRETS, SECRET)
        }


def test_a_team_uses_the_platform_from_a_stack_of_its_own(lab: Lab, tmp_path: Path) -> None:
    with lab.during("example-team", with_=("node",)) as plane:
        platform = opened("kubernetes-access", {"main": plane}, tmp_path / "platform")
        file = platform.project / f"Pulumi.{STACK}.yaml"
        document = yaml.safe_load(file.read_text())
        document["config"] |= {
            "mtls-pki:trustDomain": "shop.example.org",
            "mtls-pki:trust": {"namespaces": ["shop"], "createNamespaces": True},
            "mtls-pki:issuing": {"stable": True, "name": "mesh-ca"},
            "mtls-pki:clientAccess": {},
        }
        file.write_text(yaml.safe_dump(document))
        done = platform.run("up", "--yes", "--skip-preview", "--stack", STACK)
        assert done.returncode == 0, done.stdout + done.stderr
        team = copied(TEAM, tmp_path / "team")
        values = {"kubeconfig": str(plane.kubeconfig), "context": plane.name}
        for name, value in values.items():
            assert team.run("config", "set", name, value, "--stack", STACK).returncode == 0
        node = ("config", "set", "--path", "pod.nodeName", NODE_NAME, "--stack", STACK)
        assert team.run(*node).returncode == 0
        done = team.run("up", "--yes", "--skip-preview", "--stack", STACK)
        assert done.returncode == 0, done.stdout + done.stderr
        with contextlib.closing(plane.api()) as api:
            pods = api.request("GET", "/api/v1/namespaces/shop/pods")["items"]
        (uid,) = (pod["metadata"]["uid"] for pod in pods)
        for kind, name, file_name in (
            ("secret", TLS_VOLUME, "tls.crt"),
            ("configmap", TRUST_VOLUME, "ca.crt"),
        ):
            directory = volume(plane.paths, pod_uid=uid, kind=kind, name=name)
            assert "BEGIN CERTIFICATE" in (directory / file_name).read_text()
        again = team.run("preview", "--stack", STACK, "--json", "--expect-no-changes")
        assert again.returncode == 0, again.stdout + again.stderr


def test_the_sidecar_of_the_page_is_one_that_kubernetes_takes(lab: Lab) -> None:
    page = (CHECKOUT / "docs/step-ca.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (sidecar,) = (block for block in blocks if "kind: Deployment" in block)
    with lab.during("example-page") as plane, contextlib.closing(plane.api()) as api:
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flexstack"}}
        api.apply(namespace)
        path = "/apis/apps/v1/namespaces/flexstack/deployments"
        made = api.request(
            "POST", f"{path}?dryRun=All&fieldValidation=Strict", yaml.safe_load(sidecar)
        )
    first, renewer = made["spec"]["template"]["spec"]["initContainers"]
    assert "restartPolicy" not in first
    assert renewer["restartPolicy"] == "Always"
