"""What runs on top of Kubernetes in the lab: cert-manager, trust-manager, issuers of others.

Each runs as one process under a client certificate that carries the user name and the groups of its
service account, so that RBAC decides exactly as it would in a pod, with the roles that the program
itself ships. Admission is real too: the API server calls the webhooks by URL, with
``failurePolicy: Fail``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import helm
from lab.api import Manifest
from lab.aws_pca import NAME as AWS_PCA
from lab.aws_pca import endpoint
from lab.certificates import Pair, Subject, ensure_leaf
from lab.paths import Paths
from lab.ports import LOOPBACK
from lab.processes import ProcessSpec
from lab.programs import Pki, Ports, Program

NAMESPACE = "cert-manager"


@dataclass(frozen=True, kw_only=True)
class Files:
    """What an add-on finds on this machine.

    Attributes:
        kubeconfig: of its own identity.
        serving: certificate and key of its webhook, if it has one.
        data: a directory of its own, which it may make.
    """

    kubeconfig: Path
    serving: Pair
    data: Path


@dataclass(frozen=True, kw_only=True)
class Addon:
    """One add-on of a control plane.

    Attributes:
        name: its process, its tool in ``lab.toolchain`` and its choice for ``--with``.
        service_account: in ``NAMESPACE``; its identity, unless ``identity`` says another.
        ports: purposes of its ports: of its webhook if it has one, and of what answers
            ``ready_path`` in plain HTTP; then others.
        argv: the command line.
        grants: RBAC objects, given the directory with the files of its module.
        ready_path: answers with 200 when its own parts are ready.
        webhooks: admission configurations without ``clientConfig``, by path of the webhook's URL.
        probe: an object whose creation, as a dry run, is answered once the webhook works; None
            where there is none.
        probe_path: where it would be created.
        identity: what its client certificate says, for what is no pod of the cluster.
    """

    name: str
    service_account: str
    ports: tuple[str, ...]
    argv: Callable[[Path, Ports, Files], tuple[str, ...]]
    grants: Callable[[Path], tuple[Manifest, ...]]
    ready_path: str = "/readyz"
    webhooks: Sequence[tuple[str, Manifest]] = ()
    probe: Manifest | None = None
    probe_path: str = ""
    identity: Subject | None = None

    @property
    def program(self) -> Program:
        return Program(name=self.name, ports=self.ports, spec=self._process)

    def readiness_url(self, ports: Ports) -> str:
        """Where it says that its own parts are ready."""
        purpose = self.ports[1 if self.webhooks else 0]
        return f"http://{LOOPBACK}:{ports[purpose]}{self.ready_path}"

    @property
    def subject(self) -> Subject:
        """Its client certificate: the names that a token of its service account would carry."""
        return self.identity or Subject(
            common_name=f"system:serviceaccount:{NAMESPACE}:{self.service_account}",
            organizations=("system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}"),
        )

    def serving(self, paths: Paths) -> Pair:
        """The serving certificate of its webhook, in a directory of its own."""
        return Pair.at(paths.secret(f"{self.name}-webhook") / "tls")

    def client(self, paths: Paths) -> Pair:
        return Pair.at(paths.secret(self.name))

    def kubeconfig(self, paths: Paths) -> Path:
        return paths.secret(f"{self.name}.kubeconfig")

    def files(self, paths: Paths) -> Files:
        return Files(
            kubeconfig=self.kubeconfig(paths),
            serving=self.serving(paths),
            data=paths.directory / self.name,
        )

    def ensure_certificates(self, paths: Paths) -> None:
        """Make its client and serving certificates where they are missing or near their end."""
        pki = Pki(paths=paths)
        ensure_leaf(self.client(paths), self.subject, authority=pki.authority)
        if self.webhooks:
            ensure_leaf(
                self.serving(paths),
                Subject(common_name=f"{self.name}-webhook", addresses=(LOOPBACK, "localhost")),
                authority=pki.webhook_authority,
            )

    def _process(self, paths: Paths, ports: Ports, binary: Path) -> ProcessSpec:
        files = self.files(paths)
        serving = (files.serving.certificate, files.serving.key) if self.webhooks else ()
        return ProcessSpec(
            name=self.name,
            argv=self.argv(binary, ports, files),
            reads=(files.kubeconfig, *serving),
            port=ports[self.ports[0]],
        )

    def admission(self, paths: Paths, ports: Ports) -> tuple[Manifest, ...]:
        """Its webhook configurations, called by URL and trusted by ``caBundle``."""
        bundle = Pki(paths=paths).webhook_authority.certificate.read_bytes()
        return tuple(
            {
                **configuration,
                "webhooks": [
                    {
                        **webhook,
                        "clientConfig": {
                            "url": f"https://{LOOPBACK}:{ports[self.ports[0]]}{path}",
                            "caBundle": base64.b64encode(bundle).decode(),
                        },
                    }
                    for webhook in configuration["webhooks"]
                ],
            }
            for path, configuration in self.webhooks
        )


def _cert_manager_argv(binary: Path, ports: Ports, files: Files) -> tuple[str, ...]:
    return (
        str(binary),
        f"--kubeconfig={files.kubeconfig}",
        f"--webhook-port={ports['cert-manager']}",
        f"--webhook-tls-cert-file={files.serving.certificate}",
        f"--webhook-tls-private-key-file={files.serving.key}",
        f"--health-port={ports['cert-manager-health']}",
    )


def _trust_manager_argv(binary: Path, ports: Ports, files: Files) -> tuple[str, ...]:
    return (
        str(binary),
        f"--kubeconfig={files.kubeconfig}",
        f"--trust-namespace={NAMESPACE}",
        f"--webhook-host={LOOPBACK}",
        f"--webhook-port={ports['trust-manager']}",
        f"--webhook-certificate-dir={files.serving.certificate.parent}",
        f"--metrics-port={ports['trust-manager-metrics']}",
        f"--readiness-probe-port={ports['trust-manager-readiness']}",
        "--leader-elect=false",
    )


def _cert_manager_grants(share: Path) -> tuple[Manifest, ...]:
    # In the lab controllers and webhook are one process and so one identity: it gets both sets of
    # roles.
    values = {"webhook": {"serviceAccount": {"name": "cert-manager"}}}
    return _grants(share / "chart", "cert-manager", ("rbac.yaml", "webhook-rbac.yaml"), values)


def _trust_manager_grants(share: Path) -> tuple[Manifest, ...]:
    templates = ("clusterrole.yaml", "clusterrolebinding.yaml", "role.yaml", "rolebinding.yaml")
    return _grants(share / "chart", "trust-manager", templates, {})


def _step_issuer_argv(binary: Path, ports: Ports, files: Files) -> tuple[str, ...]:
    return (
        str(binary),
        f"--kubeconfig={files.kubeconfig}",
        f"--metrics-bind-address={LOOPBACK}:{ports['step-issuer']}",
    )


def _step_issuer_grants(share: Path) -> tuple[Manifest, ...]:
    return _manager_role(share / "rbac" / "role.yaml", "step-issuer")


def _aws_issuer_argv(binary: Path, ports: Ports, files: Files) -> tuple[str, ...]:
    # Where the lab has a Private CA; what it would look for otherwise is Amazon's.
    reached = [f"AWS_ENDPOINT_URL={endpoint(ports)}"] if AWS_PCA in ports else []
    return (
        *("/usr/bin/env", *reached, str(binary), f"--kubeconfig={files.kubeconfig}"),
        f"--metrics-bind-address={LOOPBACK}:{ports['aws-privateca-issuer-metrics']}",
        f"--health-probe-bind-address={LOOPBACK}:{ports['aws-privateca-issuer']}",
    )


def _aws_issuer_grants(share: Path) -> tuple[Manifest, ...]:
    return _manager_role(share / "rbac" / "role.yaml", "aws-privateca-issuer")


def _manager_role(file: Path, name: str) -> tuple[Manifest, ...]:
    # Its manifests are a kustomization, which gives the names that stand here.
    role = yaml.safe_load(file.read_text(encoding="utf-8"))
    subject = {"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}
    manager = f"{name}-manager"
    return (
        {**role, "metadata": {"name": manager}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": manager},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": manager,
            },
            "subjects": [subject],
        },
    )


def _grants(
    chart: Path, release: str, templates: Sequence[str], values: Mapping[str, Any]
) -> tuple[Manifest, ...]:
    # The rights to elect a leader (in kube-system) are left out: the lab's processes elect none.
    return tuple(
        manifest
        for manifest in helm.render(
            chart, release=release, namespace=NAMESPACE, values=values, templates=templates
        )
        if not manifest["metadata"]["name"].endswith(":leaderelection")
    )


def _webhook(kind: str, name: str, webhook: str, rule: Mapping[str, Any]) -> Manifest:
    """An admission configuration with one webhook, as both charts set theirs."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": webhook,
                "rules": [rule],
                "admissionReviewVersions": ["v1"],
                "matchPolicy": "Equivalent",
                "timeoutSeconds": 30,
                "failurePolicy": "Fail",
                "sideEffects": "None",
            }
        ],
    }


_PROBE_NAME = "lab-readiness-probe"

CERT_MANAGER = Addon(
    name="cert-manager",
    service_account="cert-manager",
    ports=("cert-manager", "cert-manager-health"),
    argv=_cert_manager_argv,
    grants=_cert_manager_grants,
    webhooks=(
        (
            "/validate",
            _webhook(
                "ValidatingWebhookConfiguration",
                "cert-manager-webhook",
                "webhook.cert-manager.io",
                {
                    "apiGroups": ["cert-manager.io", "acme.cert-manager.io"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["*/*"],
                },
            ),
        ),
        (
            "/mutate",
            _webhook(
                "MutatingWebhookConfiguration",
                "cert-manager-webhook",
                "webhook.cert-manager.io",
                {
                    "apiGroups": ["cert-manager.io"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["certificaterequests"],
                },
            ),
        ),
    ),
    probe={
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": _PROBE_NAME, "namespace": NAMESPACE},
        "spec": {"selfSigned": {}},
    },
    probe_path=f"/apis/cert-manager.io/v1/namespaces/{NAMESPACE}/issuers",
)

TRUST_MANAGER = Addon(
    name="trust-manager",
    service_account="trust-manager",
    ports=("trust-manager", "trust-manager-readiness", "trust-manager-metrics"),
    argv=_trust_manager_argv,
    grants=_trust_manager_grants,
    webhooks=(
        (
            "/validate-trust-cert-manager-io-v1alpha1-bundle",
            _webhook(
                "ValidatingWebhookConfiguration",
                "trust-manager",
                "trust.cert-manager.io",
                {
                    "apiGroups": ["trust.cert-manager.io"],
                    "apiVersions": ["v1alpha1"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["bundles"],
                },
            ),
        ),
    ),
    probe={
        "apiVersion": "trust.cert-manager.io/v1alpha1",
        "kind": "Bundle",
        "metadata": {"name": _PROBE_NAME},
        "spec": {
            "sources": [{"configMap": {"name": "any-source", "key": "ca.crt"}}],
            "target": {"configMap": {"key": "ca.crt"}},
        },
    },
    probe_path="/apis/trust.cert-manager.io/v1alpha1/bundles",
)

STEP_ISSUER = Addon(
    name="step-issuer",
    service_account="step-issuer",
    ports=("step-issuer",),
    argv=_step_issuer_argv,
    grants=_step_issuer_grants,
    ready_path="/metrics",
)

AWS_ISSUER = Addon(
    name="aws-privateca-issuer",
    service_account="aws-privateca-issuer",
    ports=("aws-privateca-issuer", "aws-privateca-issuer-metrics"),
    argv=_aws_issuer_argv,
    grants=_aws_issuer_grants,
)
