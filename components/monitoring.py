"""The exporter as a workload: its rights, its project, who may reach it, and who scrapes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import apps, core, networking
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from mtls_pki.components.core_objects import ConfigMap, ServiceAccount
from mtls_pki.components.evidence_reader import grant_reading
from mtls_pki.components.kubernetes_options import applied, explained_by, owned

_PORT = 9464
_PORT_NAME = "metrics"
_NOBODY = 65532
_PROJECT, _TLS, _CLIENTS, _TEMPORARY = "/project", "/tls", "/clients", "/tmp"  # noqa: S108 its own


@dataclass(frozen=True, kw_only=True)
class StackProject:
    """What the exporter reads the stack from.

    Attributes:
        stack: its name.
        files: name -> text; without secrets.
        kubeconfigs_secret: of the Secret with a kubeconfig for each other cluster; None: it has no
            other.
        kubeconfigs_directory: where the files look for them.
    """

    stack: str
    files: Mapping[str, str]
    kubeconfigs_secret: str | None
    kubeconfigs_directory: str


@dataclass(frozen=True, kw_only=True)
class ServedWith:
    """The exporter's side of a scrape.

    Attributes:
        secret_name: of the Secret with its leaf.
        server_name: a DNS name of the leaf.
        bundle_name: of the ConfigMap with the roots of its clients, and of its own.
        bundle_key: of them in it.
    """

    secret_name: str
    server_name: str
    bundle_name: str
    bundle_key: str


@dataclass(frozen=True, kw_only=True)
class ScrapedBy:
    """Prometheus' side of a scrape.

    Attributes:
        namespace: of its pods.
        pod_labels: by which they are told.
        secret_name: of the Secret with its leaf; None: no ServiceMonitor is declared.
        monitor_labels: of the ServiceMonitor.
    """

    namespace: str
    pod_labels: Mapping[str, str]
    secret_name: str | None
    monitor_labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class MonitoringArgs:
    """Arguments of :class:`Monitoring`.

    Attributes:
        name: of all its objects.
        namespace: of the exporter.
        image: with the command ``mtls-pki``.
        interval: between two readings, a Go duration.
        project: what it reads the stack from.
        served_with: its side of a scrape.
        scraped_by: the other side.
        bundle_names: of the trust bundle, present and former.
        record_namespace: of the stage record.
        record_name: of the stage record.
        on_failure: hook that says why an operation failed.
    """

    name: str
    namespace: str
    image: str
    interval: str
    project: StackProject
    served_with: ServedWith
    scraped_by: ScrapedBy
    bundle_names: Sequence[str]
    record_namespace: str
    record_name: str
    on_failure: pulumi.ErrorHook | None = None


class Monitoring(pulumi.ComponentResource):
    """One exporter of one stack.

    It can change nothing in a cluster, and read no Secret through the API: kubelet brings it its
    own leaf. Only Prometheus' pods reach it, and only a client with a leaf of the domain is served.
    """

    def __init__(
        self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare all of it; constructing raises nothing."""
        super().__init__("mtls-pki:index:Monitoring", name, None, opts)
        self._name, self._args = name, args
        self._options = pulumi.ResourceOptions(parent=self, hooks=explained_by(args.on_failure))
        self._labels = {"app.kubernetes.io/name": args.name}
        account = ServiceAccount(
            name,
            metadata=self._metadata(),
            automount_service_account_token=False,
            opts=self._options,
        )
        grant_reading(
            # ClusterRoles have no namespace, so the name says it.
            f"{args.namespace}-{args.name}",
            subject=(args.namespace, args.name),
            bundle_names=args.bundle_names,
            record=(args.record_namespace, args.record_name),
            opts=self._options,
        )
        project = ConfigMap(
            name, metadata=self._metadata(), data=args.project.files, opts=self._options
        )
        self._deployment([account, project])
        core.v1.Service(
            name,
            metadata=self._metadata(applied()),
            spec=core.v1.ServiceSpecArgs(
                selector=self._labels,
                ports=[
                    core.v1.ServicePortArgs(name=_PORT_NAME, port=_PORT, target_port=_PORT_NAME)
                ],
            ),
            opts=self._options,
        )
        self._network_policy()
        if args.scraped_by.secret_name is not None:
            self._service_monitor(args.scraped_by.secret_name)
        self.register_outputs({})

    def _metadata(
        self, annotations: Mapping[str, str] | None = None, labels: Mapping[str, str] | None = None
    ) -> ObjectMetaArgs:
        return ObjectMetaArgs(
            name=self._args.name,
            namespace=self._args.namespace,
            labels={**self._labels, **(labels or {})},
            annotations=annotations or owned(),
        )

    def _deployment(self, before: Sequence[pulumi.Resource]) -> None:
        args = self._args
        served, project = args.served_with, args.project
        mounts = {_PROJECT: "project", _TLS: "tls", _CLIENTS: "clients", _TEMPORARY: "temporary"}
        volumes = [
            core.v1.VolumeArgs(
                name="project", config_map=core.v1.ConfigMapVolumeSourceArgs(name=args.name)
            ),
            _secret_volume("tls", served.secret_name),
            core.v1.VolumeArgs(
                name="clients",
                config_map=core.v1.ConfigMapVolumeSourceArgs(name=served.bundle_name),
            ),
            core.v1.VolumeArgs(
                name="temporary", empty_dir=core.v1.EmptyDirVolumeSourceArgs(medium="Memory")
            ),
        ]
        if project.kubeconfigs_secret is not None:
            mounts[project.kubeconfigs_directory] = "clusters"
            volumes.append(_secret_volume("clusters", project.kubeconfigs_secret))
        container = core.v1.ContainerArgs(
            name="exporter",
            image=args.image,
            command=["mtls-pki"],
            args=self._arguments(),
            working_dir=_PROJECT,
            ports=[core.v1.ContainerPortArgs(name=_PORT_NAME, container_port=_PORT)],
            # kubelet has no certificate to show, so it can but look whether the port answers.
            readiness_probe=core.v1.ProbeArgs(
                tcp_socket=core.v1.TCPSocketActionArgs(port=_PORT_NAME)
            ),
            resources=core.v1.ResourceRequirementsArgs(
                requests={"cpu": "100m", "memory": "192Mi"}, limits={"memory": "512Mi"}
            ),
            security_context=core.v1.SecurityContextArgs(
                allow_privilege_escalation=False,
                read_only_root_filesystem=True,
                capabilities=core.v1.CapabilitiesArgs(drop=["ALL"]),
            ),
            volume_mounts=[
                core.v1.VolumeMountArgs(name=volume, mount_path=path, read_only=path != _TEMPORARY)
                for path, volume in mounts.items()
            ],
        )
        pod = core.v1.PodSpecArgs(
            service_account_name=args.name,
            automount_service_account_token=True,
            security_context=core.v1.PodSecurityContextArgs(
                run_as_non_root=True,
                run_as_user=_NOBODY,
                run_as_group=_NOBODY,
                fs_group=_NOBODY,
                seccomp_profile=core.v1.SeccompProfileArgs(type="RuntimeDefault"),
            ),
            containers=[container],
            volumes=volumes,
        )
        apps.v1.Deployment(
            self._name,
            # Trust does not wait for whoever watches it: MtlsExporterAbsent tells.
            metadata=self._metadata(applied()),
            spec=apps.v1.DeploymentSpecArgs(
                replicas=1,
                # Two of them would count every leaf twice.
                strategy=apps.v1.DeploymentStrategyArgs(type="Recreate"),
                selector=LabelSelectorArgs(match_labels=self._labels),
                template=core.v1.PodTemplateSpecArgs(
                    metadata=ObjectMetaArgs(labels=self._labels), spec=pod
                ),
            ),
            opts=pulumi.ResourceOptions.merge(
                self._options, pulumi.ResourceOptions(depends_on=list(before))
            ),
        )

    def _arguments(self) -> list[str]:
        args = self._args
        return [
            "exporter",
            f"--stack={args.project.stack}",
            f"--interval={args.interval}",
            "--address=0.0.0.0",
            f"--port={_PORT}",
            f"--certificate={_TLS}/tls.crt",
            f"--key={_TLS}/tls.key",
            f"--client-ca={_CLIENTS}/{args.served_with.bundle_key}",
        ]

    def _network_policy(self) -> None:
        scraped = self._args.scraped_by
        peer = networking.v1.NetworkPolicyPeerArgs(
            namespace_selector=LabelSelectorArgs(
                match_labels={"kubernetes.io/metadata.name": scraped.namespace}
            ),
            pod_selector=LabelSelectorArgs(match_labels=scraped.pod_labels),
        )
        networking.v1.NetworkPolicy(
            self._name,
            metadata=self._metadata(),
            spec=networking.v1.NetworkPolicySpecArgs(
                pod_selector=LabelSelectorArgs(match_labels=self._labels),
                policy_types=["Ingress"],
                ingress=[
                    networking.v1.NetworkPolicyIngressRuleArgs(
                        from_=[peer],
                        ports=[networking.v1.NetworkPolicyPortArgs(port=_PORT_NAME)],
                    )
                ],
            ),
            opts=self._options,
        )

    def _service_monitor(self, client_secret: str) -> None:
        served = self._args.served_with
        endpoint = {
            "port": _PORT_NAME,
            "scheme": "https",
            "tlsConfig": {
                "ca": {"configMap": {"name": served.bundle_name, "key": served.bundle_key}},
                "cert": {"secret": {"name": client_secret, "key": "tls.crt"}},
                "keySecret": {"name": client_secret, "key": "tls.key"},
                "serverName": served.server_name,
            },
        }
        CustomResource(
            self._name,
            api_version="monitoring.coreos.com/v1",
            kind="ServiceMonitor",
            metadata=self._metadata(labels=self._args.scraped_by.monitor_labels),
            spec={"selector": {"matchLabels": self._labels}, "endpoints": [endpoint]},
            opts=self._options,
        )


def _secret_volume(name: str, secret: str) -> core.v1.VolumeArgs:
    # Readable by the group of the pod alone.
    source = core.v1.SecretVolumeSourceArgs(secret_name=secret, default_mode=0o440)
    return core.v1.VolumeArgs(name=name, secret=source)
