"""Rules for the exporter that a stack declares; each yields its breaches."""

from __future__ import annotations

from collections.abc import Iterator

from mtls_pki.consumers.monitoring.names import monitoring_settings
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.model import Settings


def monitoring_is_in_a_cluster_of_the_stack(settings: Settings) -> Iterator[Mistake]:
    """Demand that ``consumers.monitoring.cluster`` is one of the stack.

    The exporter reads that one by the token of its own pod.
    """
    monitoring = monitoring_settings(settings)
    if monitoring is not None and monitoring.cluster not in settings.clusters:
        known = ", ".join(settings.clusters)
        yield Mistake(
            path="consumers.monitoring.cluster",
            message=f"{monitoring.cluster!r} is no cluster of this stack; write one of: {known}",
        )


def monitoring_reaches_every_cluster(settings: Settings) -> Iterator[Mistake]:
    """Demand a Secret with kubeconfigs where there are other clusters than the exporter's own.

    A cluster that is not read is missing evidence, and an alert that never ends.
    """
    monitoring = monitoring_settings(settings)
    if monitoring is None or monitoring.kubeconfigs is not None:
        return
    if monitoring.cluster not in settings.clusters:
        return
    others = ", ".join(name for name in settings.clusters if name != monitoring.cluster)
    if others:
        yield Mistake(
            path="consumers.monitoring.kubeconfigs",
            message=f"missing, so it cannot read {others}; name a Secret that holds a kubeconfig "
            "for each, under the cluster's name (docs/monitoring.md)",
        )


def monitoring_serves_with_leaves_of_the_stack(settings: Settings) -> Iterator[Mistake]:
    """Demand services of the stack for both sides of a scrape, in one namespace.

    A pod mounts Secrets of its own namespace alone, and a ServiceMonitor names none of another.
    """
    monitoring = monitoring_settings(settings)
    if monitoring is None:
        return
    sides = [("service", monitoring.service, "server auth")]
    if monitoring.prometheus.client is not None:
        sides.append(("prometheus.client", monitoring.prometheus.client, "client auth"))
    served = settings.services.get(monitoring.service)
    for key, name, usage in sides:
        path = f"consumers.monitoring.{key}"
        service = settings.services.get(name)
        if service is None:
            known = ", ".join(settings.services) or "none"
            yield Mistake(
                path=path,
                message=f"{name!r} is none of services; add it there, or write one of: {known}",
            )
            continue
        missing = settings.clusters.keys() - settings.clusters_of(service)
        if monitoring.cluster in missing:
            yield Mistake(
                path=path,
                message=f"{name} has no Certificate in cluster {monitoring.cluster}; add it to "
                f"services.{name}.clusters",
            )
        if usage not in service.usages:
            yield Mistake(
                path=path, message=f"{name} lacks {usage!r}; add it to services.{name}.usages"
            )
        if served is not None and service.namespace != served.namespace:
            yield Mistake(
                path=path,
                message=f"{name} is in namespace {service.namespace}, and a ServiceMonitor reads "
                f"Secrets of its own alone; give it a service in {served.namespace}",
            )


def monitoring_has_an_interval(settings: Settings) -> Iterator[Mistake]:
    """Demand an interval between a second and five minutes.

    MtlsEvidenceOld fires after ten minutes: two rounds must fit in, or it fires for nothing.
    """
    monitoring = monitoring_settings(settings)
    if monitoring is not None and not 1 <= monitoring.interval.total_seconds() <= 300:
        yield Mistake(
            path="consumers.monitoring.interval", message="write from 1s to 5m, such as 1m"
        )
