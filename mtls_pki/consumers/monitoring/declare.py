"""Declares the exporter in the cluster that the stack file names."""

from __future__ import annotations

import pulumi

from mtls_pki.components.monitoring import (
    Monitoring,
    MonitoringArgs,
    ScrapedBy,
    ServedWith,
    StackProject,
)
from mtls_pki.consumers.declare import Declare
from mtls_pki.consumers.monitoring.names import (
    EXPORTER,
    bundle_names,
    monitoring_settings,
)
from mtls_pki.consumers.monitoring.project import project_files
from mtls_pki.consumers.monitoring.section import MonitoringSettings
from mtls_pki.errors import CommandError
from mtls_pki.rotation.durations import format_duration
from mtls_pki.settings.names import leaf_secret_name, service_dns_names, stage_object_name
from mtls_pki.settings.stack_file.reading import open_stack_file

_KUBECONFIGS = "/clusters"


class MonitoringDeclare(Declare):
    """The exporter, its rights, who may reach it, and who scrapes it."""

    def declare(self) -> None:
        """Declare it in its cluster."""
        monitoring = monitoring_settings(self.stack.settings)
        if monitoring is None:
            return
        place = self.stack.clusters[monitoring.cluster]
        Monitoring(
            f"{monitoring.cluster}-exporter",
            self._args(monitoring, place.on_failure),
            place.options,
        )

    def _args(self, monitoring: MonitoringSettings, on_failure: pulumi.ErrorHook) -> MonitoringArgs:
        settings = self.stack.settings
        service = settings.services[monitoring.service]
        domain = settings.clusters[monitoring.cluster].cluster_domain
        prometheus = monitoring.prometheus
        client = prometheus.client
        return MonitoringArgs(
            name=f"{EXPORTER}-{pulumi.get_stack()}",
            namespace=service.namespace,
            image=monitoring.image,
            interval=format_duration(monitoring.interval),
            project=StackProject(
                stack=pulumi.get_stack(),
                files=self._files(monitoring),
                kubeconfigs_secret=monitoring.kubeconfigs,
                kubeconfigs_directory=_KUBECONFIGS,
            ),
            served_with=ServedWith(
                secret_name=leaf_secret_name(monitoring.service, service),
                server_name=service_dns_names(monitoring.service, service, domain)[0],
                bundle_name=settings.trust.name,
                bundle_key=settings.trust.key,
            ),
            scraped_by=ScrapedBy(
                namespace=prometheus.namespace,
                pod_labels=prometheus.pod_labels,
                secret_name=client and leaf_secret_name(client, settings.services[client]),
                monitor_labels=prometheus.monitor_labels,
            ),
            bundle_names=bundle_names(settings),
            record_namespace=settings.issuing.cluster_resource_namespace,
            record_name=stage_object_name(settings),
            on_failure=on_failure,
        )

    def _files(self, monitoring: MonitoringSettings) -> dict[str, str]:
        stack = pulumi.get_stack()
        try:
            values = open_stack_file(
                self.stack.directory, stack, {}, self.stack.settings.extensions
            ).values()
        except CommandError as error:
            raise pulumi.RunError(f"consumers.monitoring: {error}") from None
        return project_files(
            self.stack.settings,
            values,
            project=pulumi.get_project(),
            stack=stack,
            cluster=monitoring.cluster,
            kubeconfigs=_KUBECONFIGS,
        )
