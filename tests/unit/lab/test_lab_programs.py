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
from lab.layout import Layout
from lab.programs import API_SERVER, CONTROLLER_MANAGER, CONTROLLERS, ETCD, Pki, Program
from lab.selection import OPTIONAL, Selection, selected
from lab.vault import VAULT

PROGRAM_LIST = selected(OPTIONAL).programs
PORTS = {
    purpose: 20000 + number
    for number, purpose in enumerate(p for program in PROGRAM_LIST for p in program.ports)
}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(root=tmp_path, name="dev")
    Pki(layout=layout).ensure()
    VAULT.prepare(layout, lambda: None)
    return layout


def argv(program: Program, layout: Layout) -> tuple[str, ...]:
    return program.spec(layout, PORTS, Path("/tools") / program.name).argv


def test_every_port_belongs_to_one_program() -> None:
    purposes = [purpose for program in PROGRAM_LIST for purpose in program.ports]
    assert len(set(purposes)) == len(purposes)


@pytest.mark.parametrize("program", PROGRAM_LIST, ids=lambda program: program.name)
def test_each_program_uses_each_of_its_ports(program: Program, layout: Layout) -> None:
    spec = program.spec(layout, PORTS, Path("/tools") / program.name)
    line = " ".join((*spec.argv, *(content for _, content in spec.writes)))
    used = {int(number) for number in re.findall(r"\b2000\d|2001\d\b", line)}
    assert used >= {PORTS[purpose] for purpose in program.ports}


@pytest.mark.parametrize("program", PROGRAM_LIST, ids=lambda program: program.name)
def test_no_command_line_holds_a_key(program: Program, layout: Layout) -> None:
    assert not any("PRIVATE" in argument for argument in argv(program, layout))


def test_everything_listens_on_loopback_only(layout: Layout) -> None:
    assert "--bind-address=127.0.0.1" in argv(API_SERVER, layout)
    listening = [a for a in argv(ETCD, layout) if a.startswith("--listen-")]
    assert len(listening) == 2
    assert all("=https://127.0.0.1:" in argument for argument in listening)
    assert "--secure-port=0" in argv(CONTROLLER_MANAGER, layout)
    assert "--webhook-host=127.0.0.1" in argv(TRUST_MANAGER.program, layout)


def test_the_api_server_enforces_rbac(layout: Layout) -> None:
    assert "--authorization-mode=RBAC" in argv(API_SERVER, layout)


def test_the_garbage_collector_runs(layout: Layout) -> None:
    assert "garbage-collector-controller" in CONTROLLERS
    assert f"--controllers={','.join(CONTROLLERS)}" in argv(CONTROLLER_MANAGER, layout)


def test_a_client_of_the_api_cannot_open_the_database(layout: Layout) -> None:
    pki = Pki(layout=layout)
    assert f"--trusted-ca-file={pki.etcd_authority.certificate}" in argv(ETCD, layout)
    assert pki.etcd_authority.certificate.read_bytes() != pki.authority.certificate.read_bytes()


def test_the_pki_is_kept(layout: Layout) -> None:
    before = {path: path.read_bytes() for path in layout.secret("").rglob("*") if path.is_file()}
    Pki(layout=layout).ensure()
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("addon", [CERT_MANAGER, TRUST_MANAGER], ids=lambda addon: addon.name)
def test_add_ons_run_as_their_service_accounts(addon: Addon, layout: Layout) -> None:
    addon.ensure_certificates(layout)
    assert addon.subject.common_name == f"system:serviceaccount:cert-manager:{addon.name}"
    assert "system:masters" not in addon.subject.organizations


@pytest.mark.parametrize("addon", [CERT_MANAGER, TRUST_MANAGER], ids=lambda addon: addon.name)
def test_admission_is_called_by_url_and_fails_closed(addon: Addon, layout: Layout) -> None:
    bundle = Pki(layout=layout).webhook_authority.certificate.read_bytes()
    for configuration in addon.admission(layout, PORTS):
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
    with pytest.raises(LabError, match=r"no add-on 'nonsense'.*choose from trust-manager, vault"):
        selected(["nonsense"])


def test_every_optional_add_on_can_be_selected() -> None:
    names = [program.name for program in selected(OPTIONAL).programs]
    assert set(OPTIONAL) <= set(names)
    assert len(set(names)) == len(names)


def test_a_kubeconfig_embeds_everything_under_the_name_of_the_cluster(
    layout: Layout, tmp_path: Path
) -> None:
    pki = Pki(layout=layout)
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
    assert base64.b64decode(key) == Pair.at(layout.secret("admin")).key.read_bytes()


def test_an_unchanged_kubeconfig_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    kubeconfig.write(path, "a")
    before = path.stat().st_ino
    kubeconfig.write(path, "a")
    assert path.stat().st_ino == before
