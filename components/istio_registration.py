"""What an istiod that keeps no CA trusts, and who signs for it: a ConfigMap that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from cryptography.hazmat.primitives.serialization import Encoding
from pulumi import Input, Output

from mtls_pki.components.istio_certificates import istio_certificates, shown_certificates
from mtls_pki.components.kubernetes_options import GuardedObject, guarded_by
from mtls_pki.pki.parsing import parse_certificates


@dataclass(frozen=True, kw_only=True)
class IstioRegistrationArgs:
    """Arguments of :class:`IstioRegistration`.

    Attributes:
        namespace: of istiod.
        certificates_name: of the ConfigMap.
        chain_pem: what the issuer signs with, its certificate first, then its root.
        roots: certificate PEM of every trusted generation; the same in every cluster of the mesh.
        guard: hook that judges before it is written.
        delete_guard: hook that judges whether it may be deleted.
        on_failure: hook that says why an operation failed.
    """

    namespace: str
    certificates_name: str
    chain_pem: Output[str]
    roots: Sequence[Input[str]]
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None
    on_failure: pulumi.ErrorHook | None = None


class IstioRegistration(pulumi.ComponentResource):
    """The ConfigMap by which evidence knows since when which CA signs for an istiod.

    istiod itself does not read it: its mesh configuration has the roots, and Kubernetes' signing
    requests name the issuer.

    Attributes:
        guarded: what is not deleted without ``delete_guard``.
    """

    guarded: tuple[GuardedObject, ...]

    def __init__(
        self, name: str, args: IstioRegistrationArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare it; constructing raises nothing."""
        super().__init__("mtls-pki:index:IstioRegistration", name, None, opts)
        shown = shown_certificates(
            name,
            args.certificates_name,
            args.namespace,
            istio_certificates(args.chain_pem.apply(_first), args.chain_pem, args.roots),
            pulumi.ResourceOptions(
                parent=self,
                hooks=guarded_by(args.guard, args.delete_guard, on_failure=args.on_failure),
                delete_before_replace=True,
            ),
        )
        self.guarded = (
            GuardedObject(resource=shown, namespace=args.namespace, name=args.certificates_name),
        )
        self.register_outputs({})


def _first(chain_pem: str) -> str:
    signer = parse_certificates(chain_pem, origin="the chain of the issuer")[0]
    return signer.public_bytes(Encoding.PEM).decode()
