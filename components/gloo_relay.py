"""What Gloo Mesh's relay reads in one cluster: roots, its own certificates, and the signing CA."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pulumi
from pulumi import Input, Output
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from mtls_pki.components.core_objects import ConfigMap, Secret
from mtls_pki.components.kubernetes_options import GuardedObject, guarded_by, owned
from mtls_pki.components.private_key import private_key
from mtls_pki.components.trust_anchor import CaProfile, SigningPair, TrustAnchor
from mtls_pki.pki.bundle import append_bundle, render_bundle
from mtls_pki.pki.certificates import Validity, leaf_certificate
from mtls_pki.pki.key_algorithms import DEFAULT_KEY, KeyAlgorithm


@dataclass(frozen=True, kw_only=True)
class RelayLeaf:
    """One certificate of the relay.

    Attributes:
        secret_name: of its Secret.
        dns_names: its names.
        shown_as: key of the ConfigMap that shows it.
    """

    secret_name: str
    dns_names: tuple[str, ...]
    shown_as: str


@dataclass(frozen=True, kw_only=True)
class RelayAuthorityArgs:
    """A CA of Gloo Mesh below one anchor.

    Attributes:
        profile: what its certificate says.
        generation: names its key, after the anchor's generation.
        anchor: that certifies it.
    """

    profile: CaProfile
    generation: str
    anchor: TrustAnchor


class RelayAuthority(pulumi.ComponentResource):
    """The CA that signs the relay's certificates in all clusters, or the CAs of the meshes.

    Attributes:
        signing: its certificate alone, and its key.
    """

    signing: SigningPair

    def __init__(
        self, name: str, args: RelayAuthorityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare its key.

        Raises:
            ValueError: the anchor was made elsewhere.
        """
        super().__init__("mtls-pki:index:RelayAuthority", name, None, opts)
        key = private_key(f"{name}-{args.generation}", args.profile.key_algorithm, self)
        self.signing = SigningPair(chain_pem=args.anchor.authority(args.profile, key), key_pem=key)
        self.register_outputs({"certificate": self.signing.chain_pem})


@dataclass(frozen=True, kw_only=True)
class MeshRoot:
    """The CA from which Gloo makes the CA of each mesh, and what else the meshes trust.

    Attributes:
        signing: of the issuing anchor.
        anchor_pem: certificate of that anchor.
        others: certificate PEM of the same CA below every other anchor.
    """

    signing: SigningPair
    anchor_pem: Input[str]
    others: Sequence[Input[str]]

    def certificates(self) -> Output[str]:
        """Return all of these CAs, the one that signs first."""
        return Output.concat(self.signing.chain_pem, *self.others)

    def files(self, roots: Sequence[Input[str]]) -> dict[str, Input[str]]:
        """Return what the Secret holds.

        Gloo signs by the first certificate of ``root-cert.pem``, whether or not another CA signed
        it, and hands the whole text to istiod as its roots (gloo-mesh, pkg/certificates). All of
        them stay in it while their anchors are trusted, because istiod takes a change only where
        the one set contains the other (istio, pilot/pkg/bootstrap/istio_ca.go).
        """
        anchors = Output.all(*roots).apply(append_bundle)
        certificate, key = self.signing.chain_pem, self.signing.key_pem
        return {
            "root-cert.pem": Output.concat(certificate, anchors, *self.others),
            "key.pem": key,
            "ca-cert.pem": certificate,
            "ca-key.pem": key,
            "cert-chain.pem": Output.concat(certificate, self.anchor_pem),
        }


@dataclass(frozen=True, kw_only=True)
class GlooRelayArgs:
    """Arguments of :class:`GlooRelay`.

    Attributes:
        namespace: of the relay.
        certificates_name: of the ConfigMap that shows the certificates.
        root_secret_name: of the Secret with the roots alone.
        mesh_cas_key: of the mesh's CAs in that ConfigMap.
        leaves: what the cluster gets.
        validity: of each of them.
        key_algorithm: of their keys.
        key_generation: names their keys: of the anchor and of the CA.
        authority: signs them.
        signing_secret_name: of the Secret with the CA, for a management server that signs agents
            itself; None where no server gets it.
        mesh: what Gloo makes the CAs of the meshes from; None where it does not.
        mesh_secret_name: of the Secret with it; None where no server gets it.
        roots: certificate PEM of every trusted generation.
        guard: hook that judges before anything of it is written.
        delete_guard: hook that judges whether it may be deleted.
        on_failure: hook that says why an operation failed.
    """

    namespace: str
    certificates_name: str
    root_secret_name: str
    mesh_cas_key: str
    leaves: Sequence[RelayLeaf]
    validity: Validity
    key_generation: str
    authority: RelayAuthority
    signing_secret_name: str | None
    roots: Sequence[Input[str]]
    mesh: MeshRoot | None = None
    mesh_secret_name: str | None = None
    key_algorithm: KeyAlgorithm = DEFAULT_KEY
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None
    on_failure: pulumi.ErrorHook | None = None


class GlooRelay(pulumi.ComponentResource):
    """The Secrets of one cluster, with the keys that Gloo Mesh expects, and what shows them.

    cert-manager cannot write them: its ``ca.crt`` holds one root at a time, and both sides of the
    relay must hold the old and the new one while they move.

    Attributes:
        guarded: what is not deleted without ``delete_guard``.
    """

    guarded: tuple[GuardedObject, ...]

    def __init__(
        self,
        name: str,
        args: GlooRelayArgs,
        opts: pulumi.ResourceOptions | None = None,
        *,
        key_provider: pulumi.ProviderResource,
    ) -> None:
        """Declare all of it; ``key_provider`` makes the keys."""
        super().__init__("mtls-pki:index:GlooRelay", name, None, opts)
        self._name, self._args = name, args
        self._options = pulumi.ResourceOptions(
            parent=self,
            hooks=guarded_by(args.guard, args.delete_guard, on_failure=args.on_failure),
            delete_before_replace=True,
        )
        roots = Output.all(*args.roots).apply(render_bundle)
        signing = args.authority.signing
        shown: dict[str, Output[str]] = {"ca.crt": roots}
        secrets = [self._secret(args.root_secret_name, {"ca.crt": roots})]
        for leaf in args.leaves:
            key = private_key(
                f"{name}-{leaf.secret_name}-{args.key_generation}",
                args.key_algorithm,
                self,
                key_provider,
            )
            certificate = Output.unsecret(
                Output.all(key, signing.chain_pem, signing.key_pem).apply(
                    partial(_leaf, leaf.dns_names, args.validity)
                )
            )
            shown[leaf.shown_as] = chain = Output.concat(certificate, signing.chain_pem)
            secrets.append(
                self._secret(leaf.secret_name, {"tls.crt": chain, "tls.key": key, "ca.crt": roots})
            )
        if args.signing_secret_name is not None:
            pair = {"tls.crt": signing.chain_pem, "tls.key": signing.key_pem, "ca.crt": roots}
            secrets.append(self._secret(args.signing_secret_name, pair))
        if args.mesh is not None:
            shown[args.mesh_cas_key] = args.mesh.certificates()
            if args.mesh_secret_name is not None:
                secrets.append(self._secret(args.mesh_secret_name, args.mesh.files(args.roots)))
        written = [each.resource for each in secrets]
        display = ConfigMap(
            f"{name}-{args.certificates_name}",
            metadata=ObjectMetaArgs(
                name=args.certificates_name, namespace=args.namespace, annotations=owned()
            ),
            data=shown,
            opts=pulumi.ResourceOptions.merge(
                self._options,
                pulumi.ResourceOptions(depends_on=written),
            ),
        )
        self.guarded = (
            *secrets,
            GuardedObject(resource=display, namespace=args.namespace, name=args.certificates_name),
        )
        self.register_outputs({"certificates": shown})

    def _secret(self, secret_name: str, data: Mapping[str, Input[str]]) -> GuardedObject:
        secret = Secret(
            f"{self._name}-{secret_name}",
            type="Opaque",
            metadata=ObjectMetaArgs(
                name=secret_name, namespace=self._args.namespace, annotations=owned()
            ),
            string_data=data,
            opts=self._options,
        )
        return GuardedObject(resource=secret, namespace=self._args.namespace, name=secret_name)


def _leaf(dns_names: tuple[str, ...], validity: Validity, pems: Sequence[str]) -> str:
    key_pem, issuer_pem, issuer_key_pem = pems
    return leaf_certificate(
        key_pem=key_pem,
        dns_names=dns_names,
        validity=validity,
        issuer_pem=issuer_pem,
        issuer_key_pem=issuer_key_pem,
    )
