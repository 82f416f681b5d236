"""The command lines of etcd and of the Kubernetes control plane.

Sources: the flags of etcd v3.6 and of Kubernetes v1.36.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.certificates import Pair, Subject, ensure_authority, ensure_key_pair, ensure_leaf
from lab.paths import Paths
from lab.ports import LOOPBACK
from lab.processes import ProcessSpec

# Without nodes these are all that anything here needs; an unknown name ends the program at once.
# The garbage collector must be among them: deletes with foreground propagation, which is how
# pulumi-kubernetes deletes, wait for it.
CONTROLLERS = (
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "certificatesigningrequest-signing-controller",
    "certificatesigningrequest-approving-controller",
    "certificatesigningrequest-cleaner-controller",
    "garbage-collector-controller",
    "root-ca-certificate-publisher-controller",
)
# What Deployments and the like need besides, where there is a node for their pods.
_NODE_CONTROLLERS = (
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
    "daemonset-controller",
)

NODE = "node"
"""The add-on that is a node, and the purpose of its port, by which the others know of it."""

NODE_FEATURES = "ClusterTrustBundle=true,ClusterTrustBundleProjection=true"
"""Off in Kubernetes 1.36: pods may mount trust bundles of the cluster."""

_NODE_APIS = "certificates.k8s.io/v1beta1/clustertrustbundles=true"
_SERVICE_NETWORK = "10.0.0.0/24"
_SERVICE_ADDRESS = "10.0.0.1"  # of the service `kubernetes`, the first of the network
_ISSUER = "https://kubernetes.default.svc"


Ports = Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Program:
    """One program of a control plane.

    Attributes:
        name: of its process, and of its tool where ``lab.toolchain`` builds it.
        ports: the purposes of the TCP ports that it listens on.
        spec: what to run, given the chosen ports by purpose and the binary.
    """

    name: str
    ports: tuple[str, ...]
    spec: Callable[[Paths, Ports, Path], ProcessSpec]


@dataclass(frozen=True, kw_only=True)
class Pki:
    """The files of the control plane's own PKI."""

    paths: Paths

    @property
    def authority(self) -> Pair:
        """The cluster CA: server certificate, client certificates, and what the CSR API signs."""
        return Pair.at(self.paths.secret("ca"))

    @property
    def etcd_authority(self) -> Pair:
        return Pair.at(self.paths.secret("etcd-ca"))

    @property
    def webhook_authority(self) -> Pair:
        """Signs the serving certificates of the admission webhooks (their ``caBundle``)."""
        return Pair.at(self.paths.secret("webhook-ca"))

    @property
    def etcd(self) -> Pair:
        return Pair.at(self.paths.secret("etcd"))

    @property
    def etcd_client(self) -> Pair:
        return Pair.at(self.paths.secret("etcd-client"))

    @property
    def api_server(self) -> Pair:
        return Pair.at(self.paths.secret("kube-apiserver"))

    @property
    def admin(self) -> Pair:
        return Pair.at(self.paths.secret("admin"))

    @property
    def controller_manager(self) -> Pair:
        return Pair.at(self.paths.secret("kube-controller-manager"))

    @property
    def controller_manager_kubeconfig(self) -> Path:
        return self.paths.secret("kube-controller-manager.kubeconfig")

    @property
    def token_key(self) -> Path:
        """Signs service account tokens."""
        return self.paths.secret("service-accounts.key")

    @property
    def token_public_key(self) -> Path:
        return self.paths.secret("service-accounts.pub")

    def ensure(self) -> None:
        """Make what is missing, damaged or near its end; everything else stays as it is."""
        name = self.paths.name
        ensure_authority(self.authority, f"{name} cluster CA")
        ensure_authority(self.etcd_authority, f"{name} etcd CA")
        ensure_authority(self.webhook_authority, f"{name} webhook CA")
        local = (LOOPBACK, "localhost")
        names = (*local, "kubernetes.default.svc", _SERVICE_ADDRESS)
        admin = Subject(common_name="admin", organizations=("system:masters",))
        for pair, subject, authority in (
            (self.etcd, Subject(common_name="etcd", addresses=local), self.etcd_authority),
            (self.etcd_client, Subject(common_name="kube-apiserver"), self.etcd_authority),
            (
                self.api_server,
                Subject(common_name="kube-apiserver", addresses=names),
                self.authority,
            ),
            (self.admin, admin, self.authority),
            (
                self.controller_manager,
                Subject(common_name="system:kube-controller-manager"),
                self.authority,
            ),
        ):
            ensure_leaf(pair, subject, authority=authority)
        ensure_key_pair(self.token_key, self.token_public_key)


def _etcd(paths: Paths, ports: Ports, binary: Path) -> ProcessSpec:
    """etcd with one member, reached by TLS with client certificates only: it holds every Secret."""
    pki = Pki(paths=paths)
    client = f"https://{LOOPBACK}:{ports['etcd']}"
    peer = f"https://{LOOPBACK}:{ports['etcd-peer']}"
    return ProcessSpec(
        name=ETCD.name,
        port=ports["etcd"],
        reads=(*_files(pki.etcd), pki.etcd_authority.certificate),
        argv=(
            str(binary),
            f"--name={paths.name}",
            f"--data-dir={paths.data}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={paths.name}={peer}",
            f"--cert-file={pki.etcd.certificate}",
            f"--key-file={pki.etcd.key}",
            "--client-cert-auth",
            f"--trusted-ca-file={pki.etcd_authority.certificate}",
            f"--peer-cert-file={pki.etcd.certificate}",
            f"--peer-key-file={pki.etcd.key}",
            "--peer-client-cert-auth",
            f"--peer-trusted-ca-file={pki.etcd_authority.certificate}",
            # Several times faster writes. The data outlives a killed process all the same (the page
            # cache has it); only a power cut may cost it, and it is there to be thrown away.
            "--unsafe-no-fsync",
            "--log-level=warn",
        ),
    )


def _api_server(paths: Paths, ports: Ports, binary: Path) -> ProcessSpec:
    """The API server: RBAC, client certificates, service account tokens, the CSR API."""
    pki = Pki(paths=paths)
    return ProcessSpec(
        name=API_SERVER.name,
        port=ports["kube-apiserver"],
        reads=(
            *_files(pki.api_server),
            *_files(pki.etcd_client),
            pki.authority.certificate,
            pki.etcd_authority.certificate,
            pki.token_key,
        ),
        argv=(
            str(binary),
            f"--bind-address={LOOPBACK}",
            f"--secure-port={ports['kube-apiserver']}",
            # Given, since without a default route (as in many sandboxes) it would find none by
            # itself; and no endpoints made of it, since they may not be loopback addresses.
            f"--advertise-address={LOOPBACK}",
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={_SERVICE_NETWORK}",
            f"--etcd-servers=https://{LOOPBACK}:{ports['etcd']}",
            f"--etcd-cafile={pki.etcd_authority.certificate}",
            f"--etcd-certfile={pki.etcd_client.certificate}",
            f"--etcd-keyfile={pki.etcd_client.key}",
            f"--tls-cert-file={pki.api_server.certificate}",
            f"--tls-private-key-file={pki.api_server.key}",
            f"--client-ca-file={pki.authority.certificate}",
            # A node may read what its own pods mount, and nothing else.
            "--authorization-mode=Node,RBAC",
            f"--service-account-issuer={_ISSUER}",
            f"--service-account-key-file={pki.token_public_key}",
            f"--service-account-signing-key-file={pki.token_key}",
            # With it, no Pod could be made before its namespace has a service account; a pod that
            # wants a token has to ask for it by a projected volume.
            "--disable-admission-plugins=ServiceAccount",
            "--profiling=false",
            *(
                (f"--feature-gates={NODE_FEATURES}", f"--runtime-config={_NODE_APIS}")
                if NODE in ports
                else ()
            ),
        ),
    )


def _controller_manager(paths: Paths, ports: Ports, binary: Path) -> ProcessSpec:
    """The controllers that are needed here, each with the rights of its own service account."""
    pki = Pki(paths=paths)
    kubeconfig = pki.controller_manager_kubeconfig
    controllers = (*CONTROLLERS, *(_NODE_CONTROLLERS if NODE in ports else ()))
    return ProcessSpec(
        name=CONTROLLER_MANAGER.name,
        reads=(kubeconfig, *_files(pki.authority), pki.token_key),
        argv=(
            str(binary),
            f"--kubeconfig={kubeconfig}",
            f"--controllers={','.join(controllers)}",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={pki.token_key}",
            f"--root-ca-file={pki.authority.certificate}",
            f"--cluster-signing-cert-file={pki.authority.certificate}",
            f"--cluster-signing-key-file={pki.authority.key}",
            "--leader-elect=false",
            "--secure-port=0",
        ),
    )


def _files(pair: Pair) -> tuple[Path, Path]:
    return pair.certificate, pair.key


ETCD = Program(name="etcd", ports=("etcd", "etcd-peer"), spec=_etcd)
API_SERVER = Program(name="kube-apiserver", ports=("kube-apiserver",), spec=_api_server)
CONTROLLER_MANAGER = Program(name="kube-controller-manager", ports=(), spec=_controller_manager)
# The order of starting; they are stopped the other way round.
PROGRAMS = (ETCD, API_SERVER, CONTROLLER_MANAGER)
