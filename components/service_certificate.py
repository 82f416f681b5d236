"""One workload identity as one cert-manager Certificate."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.kubernetes_options import (
    WAITING,
    GuardedObject,
    applied,
    await_at_most,
    guarded_by,
)
from mtls_pki.pki.key_algorithms import KEY_KINDS, KeyAlgorithm
from mtls_pki.rotation.durations import format_duration


@dataclass(frozen=True, kw_only=True)
class ServiceCertificateArgs:
    """Arguments of :class:`ServiceCertificate`.

    Attributes:
        certificate_name: name of the Certificate object.
        namespace: of the workload.
        secret_name: the Secret that cert-manager writes (``tls.crt``, ``tls.key``). Its ``ca.crt``
            is cert-manager's guess and must not be used as trust: mount the trust bundle.
        issuer_name: ``issuerRef.name``: the issuer of one generation.
        issuer_kind: ``issuerRef.kind``.
        issuer_group: ``issuerRef.group``; None for cert-manager's own.
        dns_names: DNS SANs.
        uris: URI SANs, with the SPIFFE ID.
        ip_addresses: IP SANs.
        email_addresses: RFC 822 SANs.
        common_name: only for verifiers that read no other name, such as PostgreSQL.
        organizations: O of the subject, for verifiers that map by it.
        usages: extended key usages.
        key_algorithm: of the workload's key.
        rotation_policy: ``Always``: a new key at each issuance.
        duration: lifetime of each certificate.
        renew_before: how long before its end it is renewed.
        ready_timeout: how long the provider waits for one that it awaits.
        moves: it leaves the issuer that it names, so it is written anyway. Else one that a former
            release wrote goes on being awaited by the provider, and nothing of it changes.
        on_failure: hook that says why an operation failed, in cert-manager's own words.
        guard: hook that judges before it is written.
        delete_guard: hook that judges whether it may be deleted.
    """

    certificate_name: str
    namespace: str
    secret_name: str
    issuer_name: str
    issuer_kind: str
    issuer_group: str | None
    dns_names: tuple[str, ...]
    uris: tuple[str, ...]
    ip_addresses: tuple[str, ...]
    email_addresses: tuple[str, ...]
    common_name: str | None
    organizations: tuple[str, ...]
    usages: tuple[str, ...]
    key_algorithm: KeyAlgorithm
    rotation_policy: str
    duration: timedelta
    renew_before: timedelta
    ready_timeout: timedelta
    moves: bool = False
    on_failure: pulumi.ErrorHook | None = None
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None


class ServiceCertificate(CustomResource):
    """A Certificate; that it becomes Ready is not awaited here (``program.barrier``).

    It is the Kubernetes resource itself, without a component around it: with a thousand services, a
    wrapper for each would double the resources in the state, and every step writes the whole state.

    Attributes:
        guarded: the resource with its place.
    """

    guarded: GuardedObject

    def __init__(
        self, name: str, args: ServiceCertificateArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the Certificate; constructing raises nothing."""
        key = KEY_KINDS[args.key_algorithm]
        spec: dict[str, Any] = {
            "secretName": args.secret_name,
            "issuerRef": _reference(args),
            "duration": format_duration(args.duration),
            "renewBefore": format_duration(args.renew_before),
            "privateKey": {**key.cert_manager, "rotationPolicy": args.rotation_policy},
            "usages": key.usages(args.usages),
        }
        optional = {
            "commonName": args.common_name,
            "subject": {"organizations": list(args.organizations)} if args.organizations else None,
            "dnsNames": list(args.dns_names),
            "uris": list(args.uris),
            "ipAddresses": list(args.ip_addresses),
            "emailAddresses": list(args.email_addresses),
        }
        spec |= {key: value for key, value in optional.items() if value}
        super().__init__(
            name,
            api_version="cert-manager.io/v1",
            kind="Certificate",
            metadata=ObjectMetaArgs(
                name=args.certificate_name,
                namespace=args.namespace,
                annotations=applied(),
            ),
            spec=spec,
            opts=pulumi.ResourceOptions.merge(
                pulumi.ResourceOptions(
                    custom_timeouts=await_at_most(args.ready_timeout),
                    ignore_changes=[] if args.moves else WAITING,
                    hooks=guarded_by(args.guard, args.delete_guard, on_failure=args.on_failure),
                    delete_before_replace=True,
                ),
                opts,
            ),
        )
        self.guarded = GuardedObject(
            resource=self, namespace=args.namespace, name=args.certificate_name
        )


def _reference(args: ServiceCertificateArgs) -> dict[str, str]:
    group = {} if args.issuer_group is None else {"group": args.issuer_group}
    return {"name": args.issuer_name, "kind": args.issuer_kind, **group}
