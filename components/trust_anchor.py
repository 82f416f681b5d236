"""One generation of the trust anchor and, if asked for, the issuing CA below it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pulumi
import pulumi_tls as tls
from pulumi import Input, Output

from pki.certificates import Validity, issuing_certificate, root_certificate
from pki.fingerprints import spki_sha256
from pki.parsing import parse_certificates
from settings.types import KeyAlgorithm

_KEY_ARGUMENTS: dict[KeyAlgorithm, tuple[str, str | None, int | None]] = {
    "P-256": ("ECDSA", "P256", None),
    "P-384": ("ECDSA", "P384", None),
    "RSA-2048": ("RSA", None, 2048),
    "RSA-3072": ("RSA", None, 3072),
    "RSA-4096": ("RSA", None, 4096),
    "Ed25519": ("ED25519", None, None),
}


@dataclass(frozen=True, kw_only=True)
class CaProfile:
    """What one CA certificate says.

    Attributes:
        common_name: the whole subject (CN only); unique for each generation.
        not_before: start of the validity, UTC, whole seconds.
        not_after: end of the validity, UTC, whole seconds.
        path_length: how many CAs may stand below (RFC 5280 4.2.1.9).
        key_algorithm: of the key that is generated for it.
        permitted_dns_domains: critical name constraints (RFC 5280 4.2.1.10); none if empty.
    """

    common_name: str
    not_before: datetime
    not_after: datetime
    path_length: int
    key_algorithm: KeyAlgorithm = "P-256"
    permitted_dns_domains: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class GeneratedAnchor:
    """An anchor whose key this stack makes and keeps, encrypted, in its state.

    Attributes:
        root: the self-signed certificate.
        issuing_ca: the intermediate that signs leaves; None where the root signs them itself.
        issuing_ca_generation: names the intermediate's key: a new name is a new key (rotate), new
            dates under the same name are the same key (renew).
    """

    root: CaProfile
    issuing_ca: CaProfile | None
    issuing_ca_generation: str = "i1"


@dataclass(frozen=True, kw_only=True)
class BroughtAnchor:
    """An anchor made elsewhere; its private key never comes here.

    Attributes:
        certificate_pem: the self-signed root.
        issuing_ca_certificate_pem: the issuing CA's certificate, None for an anchor that is
            trusted but does not issue here.
        issuing_ca_key_pem: its key, as a secret Output.
    """

    certificate_pem: str
    issuing_ca_certificate_pem: str | None = None
    issuing_ca_key_pem: Output[str] | None = None


@dataclass(frozen=True, kw_only=True)
class TrustAnchorArgs:
    """Arguments of :class:`TrustAnchor`.

    Attributes:
        source: generated here, or brought.
    """

    source: GeneratedAnchor | BroughtAnchor


@dataclass(frozen=True, kw_only=True)
class SigningPair:
    """What an issuer signs with.

    Attributes:
        chain_pem: the signing certificate first, then its parents up to the root; one linear chain,
            as cert-manager's ParseSingleCertificateChain wants it.
        key_pem: the signing key, PEM, secret.
    """

    chain_pem: Output[str]
    key_pem: Output[str]


class TrustAnchor(pulumi.ComponentResource):
    """A root CA key and certificate, and the issuing CA that signs leaves under it.

    Certificates are a pure function of key and arguments: the same inputs give the same bytes, and
    nothing is replaced because time passes. Keys are retained when the resource leaves the program.
    ``opts.protect`` reaches the root's key and not the issuing CA's, which leaves the program when
    the issuing CA rotates below an anchor that stays.

    Attributes:
        certificate_pem: the root certificate.
        fingerprint: SHA-256 of its SubjectPublicKeyInfo, hex; the anchor's identity.
        signing: what an issuer signs leaves with; None for an anchor that cannot issue here.
    """

    certificate_pem: Output[str]
    fingerprint: Output[str]
    signing: SigningPair | None

    def __init__(
        self, name: str, args: TrustAnchorArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the anchor ``name``.

        Raises:
            pki.errors.PkiError: (while the program runs) a brought certificate cannot be parsed.
        """
        super().__init__("mtls-pki:index:TrustAnchor", name, None, opts)
        if isinstance(args.source, GeneratedAnchor):
            self.certificate_pem, self.signing = self._generate(name, args.source)
        else:
            self.certificate_pem, self.signing = _bring(args.source)
        self.fingerprint = self.certificate_pem.apply(
            lambda pem: spki_sha256(parse_certificates(pem, origin=f"anchor {name}")[0])
        )
        self.register_outputs(
            {"certificatePem": self.certificate_pem, "fingerprint": self.fingerprint}
        )

    def _generate(self, name: str, source: GeneratedAnchor) -> tuple[Output[str], SigningPair]:
        root_key = self._private_key(name, source.root.key_algorithm)
        root_pem = _public(
            root_key.private_key_pem_pkcs8.apply(lambda key_pem: _root(source.root, key_pem))
        )
        if source.issuing_ca is None:
            return root_pem, SigningPair(chain_pem=root_pem, key_pem=root_key.private_key_pem_pkcs8)
        profile = source.issuing_ca
        issuing_key = self._private_key(
            f"{name}-{source.issuing_ca_generation}", profile.key_algorithm, protect=False
        )
        chain_pem = _public(
            Output.all(
                issuing_key.private_key_pem_pkcs8, root_pem, root_key.private_key_pem_pkcs8
            ).apply(lambda pems: _issuing_ca(profile, *pems) + pems[1])
        )
        return root_pem, SigningPair(chain_pem=chain_pem, key_pem=issuing_key.private_key_pem_pkcs8)

    def _private_key(
        self, name: str, algorithm: KeyAlgorithm, *, protect: bool | None = None
    ) -> tls.PrivateKey:
        """Declare a key; ``protect`` None takes that of the anchor."""
        kind, curve, bits = _KEY_ARGUMENTS[algorithm]
        return tls.PrivateKey(
            f"{name}-key",
            algorithm=kind,
            ecdsa_curve=curve,
            rsa_bits=bits,
            opts=pulumi.ResourceOptions(parent=self, protect=protect, retain_on_delete=True),
        )


def _bring(source: BroughtAnchor) -> tuple[Output[str], SigningPair | None]:
    certificate_pem = Output.from_input(source.certificate_pem)
    if source.issuing_ca_certificate_pem is None or source.issuing_ca_key_pem is None:
        return certificate_pem, None
    return certificate_pem, SigningPair(
        chain_pem=Output.from_input(
            _joined(source.issuing_ca_certificate_pem, source.certificate_pem)
        ),
        key_pem=source.issuing_ca_key_pem,
    )


def _joined(*pems: str) -> str:
    return "".join(pem if pem.endswith("\n") else pem + "\n" for pem in pems)


def _public(certificate_pem: Input[str]) -> Output[str]:
    """Let a certificate made from a secret key show in diffs: it is public by its nature."""
    return Output.unsecret(Output.from_input(certificate_pem))


def _root(profile: CaProfile, key_pem: str) -> str:
    return root_certificate(
        key_pem=key_pem,
        common_name=profile.common_name,
        validity=Validity(not_before=profile.not_before, not_after=profile.not_after),
        path_length=profile.path_length,
    )


def _issuing_ca(profile: CaProfile, key_pem: str, root_pem: str, root_key_pem: str) -> str:
    return issuing_certificate(
        key_pem=key_pem,
        common_name=profile.common_name,
        validity=Validity(not_before=profile.not_before, not_after=profile.not_after),
        path_length=profile.path_length,
        permitted_dns_domains=profile.permitted_dns_domains,
        root_pem=root_pem,
        root_key_pem=root_key_pem,
    )
