"""The cert-manager issuer of one generation: the CA Secret and the issuer that signs with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.core_objects import Secret
from mtls_pki.components.issuer import Issuer, IssuerKind
from mtls_pki.components.kubernetes_options import GuardedObject, guarded_by, owned
from mtls_pki.components.trust_anchor import SigningPair


@dataclass(frozen=True, kw_only=True)
class CaIssuerArgs:
    """Arguments of :class:`CaIssuer`.

    Attributes:
        kind: ``ClusterIssuer``, or ``Issuer`` in ``namespace``.
        issuer_name: name of the issuer object, such as ``m8-root-ca-issuer``.
        secret_name: name of the CA Secret, such as ``m8-trust-anchor``.
        namespace: of the Secret: the issuer's own namespace, or for a ClusterIssuer
            cert-manager's cluster resource namespace.
        signing: certificate chain and key; the trust bundle never goes in here (cert-manager
            refuses to sign with anything but one linear chain).
        ready_timeout: how long ``up`` waits for the issuer to be Ready.
        on_failure: hook that says why an operation failed, in cert-manager's own words.
        guard: hook that judges before Secret or issuer is written.
        delete_guard: hook that judges whether they may be deleted.
        secret_resource: Pulumi name of the CA Secret, by what it is, so that an issuer of another
            name can keep it; None: after the issuer.
    """

    kind: IssuerKind
    issuer_name: str
    secret_name: str
    namespace: str
    signing: SigningPair
    ready_timeout: timedelta
    on_failure: pulumi.ErrorHook | None = None
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None
    secret_resource: str | None = None


class CaIssuer(Issuer):
    """CA Secret and issuer of one generation in one cluster, awaited Ready."""

    def __init__(
        self, name: str, args: CaIssuerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the Secret and the issuer; constructing raises nothing."""
        super().__init__(name, args, opts)
        former = f"{name}-ca"
        secret = Secret(
            args.secret_resource or former,
            type="kubernetes.io/tls",
            metadata=ObjectMetaArgs(
                name=args.secret_name, namespace=args.namespace, annotations=owned()
            ),
            string_data={"tls.crt": args.signing.chain_pem, "tls.key": args.signing.key_pem},
            opts=pulumi.ResourceOptions(
                parent=self,
                aliases=[pulumi.Alias(name=former)] if args.secret_resource else None,
                hooks=guarded_by(args.guard, args.delete_guard, on_failure=args.on_failure),
                delete_before_replace=True,
            ),
        )
        self.guarded = (
            GuardedObject(resource=secret, namespace=args.namespace, name=args.secret_name),
        )
        self.declare_object(
            {"ca": {"secretName": args.secret_name}},
            namespace=args.namespace if args.kind == "Issuer" else None,
            depends_on=[secret],
        )
