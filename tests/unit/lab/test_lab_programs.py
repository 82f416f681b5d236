"""Command lines and add-ons."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
import yaml

from lab import kubeconfig
from lab.addons import CERT_MANAGER, TRUST_MANAGER, Addon
from lab.certificates import Pair
from lab.errors import LabError
from lab.paths import Paths
from lab.programs import API_SERVER, CONTROLLER_MANAGER, CONTROLLERS, ETCD, NODE, Pki, Program
from lab.selection import OPTIONAL, Selection, selected
from lab.vault import VAULT

PROGRAM_LIST = selected(OPTIONAL).programs
PORTS = {
    purpose: 20000 + number
    for number, purpose in enumerate(p for program in PROGRAM_LIST for p in program.ports)
}


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths(root=tmp_path, name="dev")
    Pki(paths=paths).ensure()
    VAULT.prepare(paths, lambda: None)
    return paths


def argv(program: Program, paths: Paths) -> tuple[str, ...]:
    return program.spec(paths, PORTS, Path("/tools") / program.name).argv


def test_every_port_belongs_to_one_program() -> None:
    purposes = [purpose for program in PROGRAM_LIST for purpose in program.ports]
    assert len(set(purposes)) == len(purposes)


@pytest.mark.parametrize("program", PROGRAM_LIST, ids=lambda program: program.name)
def test_each_program_uses_each_of_its_ports(program: Program, paths: Paths) -> None:
    spec = program.spec(paths, PORTS, Path("/tools") / program.name)
    line = " ".join((*spec.argv, *(content for _, content in spec.writes)))
    used = {int(number) for number in re.findall(r"\b2000\d|2001\d\b", line)}
    assert used >= {PORTS[purpose] for purpose in program.ports}


@pytest.mark.parametrize("program", PROGRAM_LIST, ids=lambda program: program.name)
def test_no_command_line_holds_a_key(program: Program, paths: Paths) -> None:
    assert not any("PRIVATE" in argument for argument in argv(program, paths))


def test_everything_listens_on_loopback_only(paths: Paths) -> None:
    assert "--bind-address=127.0.0.1" in argv(API_SERVER, paths)
    listening = [a for a in argv(ETCD, paths) if a.startswith("--listen-")]
    assert len(listening) == 2
    assert all("=https://127.0.0.1:" in argument for argument in listening)
    assert "--secure-port=0" in argv(CONTROLLER_MANAGER, paths)
    assert "--webhook-host=127.0.0.1" in argv(TRUST_MANAGER.program, paths)


def test_the_api_server_enforces_rbac(paths: Paths) -> None:
    assert "--authorization-mode=Node,RBAC" in argv(API_SERVER, paths)


def test_the_garbage_collector_runs(paths: Paths) -> None:
    assert "garbage-collector-controller" in CONTROLLERS
    ports = {each: port for each, port in PORTS.items() if each != NODE}
    spec = CONTROLLER_MANAGER.spec(paths, ports, Path("/tools/kube-controller-manager"))
    assert f"--controllers={','.join(CONTROLLERS)}" in spec.argv


def test_deployments_roll_where_there_is_a_node(paths: Paths) -> None:
    (controllers,) = (a for a in argv(CONTROLLER_MANAGER, paths) if a.startswith("--controllers="))
    assert controllers.startswith(f"--controllers={','.join(CONTROLLERS)},deployment-controller")
    assert any("clustertrustbundles=true" in a for a in argv(API_SERVER, paths))


def test_a_client_of_the_api_cannot_open_the_database(paths: Paths) -> None:
    pki = Pki(paths=paths)
    assert f"--trusted-ca-file={pki.etcd_authority.certificate}" in argv(ETCD, paths)
    assert pki.etcd_authority.certificate.read_bytes() != pki.authority.certificate.read_bytes()


def test_the_pki_is_kept(paths: Paths) -> None:
    before = {path: path.read_bytes() for path in paths.secret("").rglob("*") if path.is_file()}
    Pki(paths=paths).ensure()
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("addon", [CERT_MANAGER, TRUST_MANAGER], ids=lambda addon: addon.name)
def test_add_ons_run_as_their_service_accounts(addon: Addon, paths: Paths) -> None:
    addon.ensure_certificates(paths)
    assert addon.subject.common_name == f"system:serviceaccount:cert-manager:{addon.name}"
    assert "system:masters" not in addon.subject.organizations


@pytest.mark.parametrize("addon", [CERT_MANAGER, TRUST_MANAGER], ids=lambda addon: addon.name)
def test_admission_is_called_by_url_and_fails_closed(addon: Addon, paths: Paths) -> None:
    bundle = Pki(paths=paths).webhook_authority.certificate.read_bytes()
    for configuration in addon.admission(paths, PORTS):
        for webhook in configuration["webhooks"]:
            client = webhook["clientConfig"]
            assert client["url"].startswith(f"https://127.0.0.1:{PORTS[addon.name]}/")
            assert base64.b64decode(client["caBundle"]) == bundle
            assert webhook["failurePolicy"] == "Fail"


def test_add_ons_are_selected_once_after_cert_manager() -> None:
    assert selected([]) == Selection(addons=(CERT_MANAGER,), servers=())
    assert selected(["vault", "trust-manager", "vault", "trust-manager"]) == Selection(
        addons=(CERT_MANAGER, TRUST_MANAGER), servers=(VAULT,)
    )
    choices = "trust-manager, step-issuer, aws-privateca-issuer, node, vault, step-ca, aws-pca"
    with pytest.raises(LabError, match=f"no add-on 'nonsense'.*choose from {choices}"):
        selected(["nonsense"])


def test_every_optional_add_on_can_be_selected() -> None:
    names = [program.name for program in selected(OPTIONAL).programs]
    assert set(OPTIONAL) <= set(names)
    assert len(set(names)) == len(names)


def test_a_kubeconfig_embeds_everything_under_the_name_of_the_cluster(
    paths: Paths, tmp_path: Path
) -> None:
    pki = Pki(paths=paths)
    content = kubeconfig.render(
        cluster="prod-eu",
        user="prod-eu-admin",
        server="https://127.0.0.1:1",
        authority=pki.authority.certificate,
        client=pki.admin,
    )
    path = tmp_path / "deep" / "kubeconfig"
    kubeconfig.write(path, content)

    document = yaml.safe_load(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert document["current-context"] == "prod-eu"
    assert [context["name"] for context in document["contexts"]] == ["prod-eu"]
    assert [cluster["name"] for cluster in document["clusters"]] == ["prod-eu"]
    key = document["users"][0]["user"]["client-key-data"]
    assert base64.b64decode(key) == Pair.at(paths.secret("admin")).key.read_bytes()


def test_an_unchanged_kubeconfig_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, "a")
    before = path.stat().st_ino
    kubeconfig.write(path, "a")
    assert path.stat().st_ino == before
