"""What istiod of one cluster signs with and trusts: the Secret ``cacerts``, and what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi import Input, Output
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.core_objects import Secret
from mtls_pki.components.istio_certificates import istio_certificates, shown_certificates
from mtls_pki.components.kubernetes_options import GuardedObject, guarded_by, owned
from mtls_pki.components.private_key import private_key
from mtls_pki.components.trust_anchor import CaProfile, TrustAnchor

# The fourth file that istiod wants, beside its certificates (istio, security/pkg/pki/ca/ca.go).
_PRIVATE_KEY = "ca-key.pem"


@dataclass(frozen=True, kw_only=True)
class IstioCaCertsArgs:
    """Arguments of :class:`IstioCaCerts`.

    Attributes:
        namespace: of istiod.
        secret_name: of the Secret, which istiod's chart mounts.
        certificates_name: of the ConfigMap.
        authorities: what each signing CA says, by the generation of its anchor.
        authority_generation: names their keys: a new name is a new key.
        anchors: by generation.
        issuing: whose CA istiod signs with.
        roots: certificate PEM of every trusted generation; the same in every cluster of the mesh.
        guard: hook that judges before Secret or ConfigMap is written.
        delete_guard: hook that judges whether they may be deleted.
        on_failure: hook that says why an operation failed.
    """

    namespace: str
    secret_name: str
    certificates_name: str
    authorities: Mapping[str, CaProfile]
    authority_generation: str
    anchors: Mapping[str, TrustAnchor]
    issuing: str
    roots: Sequence[Input[str]]
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None
    on_failure: pulumi.ErrorHook | None = None


class IstioCaCerts(pulumi.ComponentResource):
    """The Secret ``cacerts`` in the form of four files, and its certificates in a ConfigMap.

    Of the two forms that istiod reads this is the one whose roots may be several (istio,
    pilot/pkg/bootstrap/istio_ca.go). The ConfigMap is written after the Secret, so the time that
    the API server records for it is no earlier than that of the Secret.

    Attributes:
        guarded: what is not deleted without ``delete_guard``.
    """

    guarded: tuple[GuardedObject, ...]

    def __init__(
        self,
        name: str,
        args: IstioCaCertsArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        key_provider: pulumi.ProviderResource,
    ) -> None:
        """Declare both.

        Args:
            name: begins the names of its resources.
            args: what they say.
            opts: provider and dependencies of the cluster.
            key_provider: makes the keys.

        Raises:
            ValueError: the issuing anchor was made elsewhere.
            pki.errors.PkiError: (while the program runs) an authority would not verify.
        """
        super().__init__("mtls-pki:index:IstioCaCerts", name, None, opts)
        keys = {
            generation: private_key(
                f"{name}-{generation}-{args.authority_generation}",
                profile.key_algorithm,
                self,
                key_provider,
            )
            for generation, profile in args.authorities.items()
        }
        signer = args.anchors[args.issuing].authority(
            args.authorities[args.issuing], keys[args.issuing]
        )
        root = args.anchors[args.issuing].certificate_pem
        certificates = istio_certificates(signer, Output.concat(signer, root), args.roots)
        options = pulumi.ResourceOptions(
            parent=self,
            hooks=guarded_by(args.guard, args.delete_guard, on_failure=args.on_failure),
            delete_before_replace=True,
        )
        secret = Secret(
            f"{name}-{args.secret_name}",
            type="Opaque",
            metadata=ObjectMetaArgs(
                name=args.secret_name, namespace=args.namespace, annotations=owned()
            ),
            string_data={**certificates, _PRIVATE_KEY: keys[args.issuing]},
            opts=options,
        )
        shown = shown_certificates(
            name,
            args.certificates_name,
            args.namespace,
            certificates,
            pulumi.ResourceOptions.merge(options, pulumi.ResourceOptions(depends_on=[secret])),
        )
        self.guarded = tuple(
            GuardedObject(resource=resource, namespace=args.namespace, name=object_name)
            for resource, object_name in (
                (secret, args.secret_name),
                (shown, args.certificates_name),
            )
        )
        self.register_outputs({"certificates": certificates})
