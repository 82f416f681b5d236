"""One generation of the trust anchor and, if asked for, the issuing CA below it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pulumi
import pulumi_tls as tls
from pulumi import Output

from mtls_pki.pki.certificates import (
    Validity,
    certificate_for_request,
    issuing_certificate,
    root_certificate,
)
from mtls_pki.pki.fingerprints import spki_sha256
from mtls_pki.pki.key_algorithms import DEFAULT_KEY, KEY_KINDS, KeyAlgorithm
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.pki.requests import certificate_signing_request, check_answer


@dataclass(frozen=True, kw_only=True)
class CaProfile:
    """What one CA certificate says.

    Attributes:
        common_name: unique for each generation, and the whole subject unless more is given.
        not_before: start of the validity, UTC, whole seconds.
        not_after: end of the validity, UTC, whole seconds.
        path_length: how many CAs may follow below it (RFC 5280 4.2.1.9).
        key_algorithm: of the key that is generated for it.
        permitted_dns_domains: critical name constraints (RFC 5280 4.2.1.10); none if empty.
        organization: of the subject of a CA below a root.
        locality: of it too.
    """

    common_name: str
    not_before: datetime
    not_after: datetime
    path_length: int
    key_algorithm: KeyAlgorithm = DEFAULT_KEY
    permitted_dns_domains: tuple[str, ...] = ()
    organization: str | None = None
    locality: str | None = None


@dataclass(frozen=True, kw_only=True)
class GeneratedAnchor:
    """An anchor whose key this stack makes and keeps, encrypted, in its state.

    Attributes:
        root: the self-signed certificate.
        issuing_ca: the intermediate that signs leaves; None where the root signs them itself.
        issuing_ca_generation: names the intermediate's key: a new name is a new key (rotate), new
            dates under the same name are the same key (renew).
        issuing_key_elsewhere: a Vault makes and keeps the intermediate's key, and
            :meth:`TrustAnchor.certify` answers its request.
    """

    root: CaProfile
    issuing_ca: CaProfile | None
    issuing_ca_generation: str = "i1"
    issuing_key_elsewhere: bool = False


@dataclass(frozen=True, kw_only=True)
class RequestProfile:
    """What the signing request of an issuing CA asks for; the signer chooses the dates.

    Attributes:
        common_name: the whole subject (CN only).
        path_length: how many CAs may follow below it.
        key_algorithm: of the key that is generated for it.
        permitted_dns_domains: critical name constraints; none if empty.
    """

    common_name: str
    path_length: int
    key_algorithm: KeyAlgorithm = DEFAULT_KEY
    permitted_dns_domains: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BroughtAnchor:
    """An anchor made elsewhere; its private key never comes here.

    Attributes:
        certificate_pem: the self-signed root.
        issuing_ca_certificate_pem: the issuing CA's certificate, None for an anchor that is
            trusted but does not issue here (yet).
        issuing_ca_key_pem: its key, as a secret Output, if the key was made elsewhere too.
        request: makes the issuing CA's key here, and a request that the anchor's holder signs.
        issuing_ca_generation: names the key of ``request``.
    """

    certificate_pem: str
    issuing_ca_certificate_pem: str | None = None
    issuing_ca_key_pem: Output[str] | None = None
    request: RequestProfile | None = None
    issuing_ca_generation: str = "i1"


@dataclass(frozen=True, kw_only=True)
class TrustAnchorArgs:
    """Arguments of :class:`TrustAnchor`.

    Attributes:
        source: generated here, or made elsewhere.
        key_guard: hook that judges before the root's key is made.
    """

    source: GeneratedAnchor | BroughtAnchor
    key_guard: pulumi.ResourceHook | None = None


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
    ``opts.protect`` applies to the root's key and not to the issuing CA's key, which leaves the
    program when the issuing CA is rotated below an anchor that stays.

    Attributes:
        certificate_pem: the root certificate.
        fingerprint: SHA-256 of its SubjectPublicKeyInfo, hex; the anchor's identity.
        signing: what an issuer signs leaves with; None for an anchor that cannot issue here, or
            whose issuing CA's key is kept by a Vault.
        request_pem: the issuing CA's signing request, for an anchor whose holder signs offline.
    """

    certificate_pem: Output[str]
    fingerprint: Output[str]
    signing: SigningPair | None
    request_pem: Output[str] | None = None

    def __init__(
        self, name: str, args: TrustAnchorArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the anchor ``name``.

        Raises:
            pki.errors.PkiError: (while the program runs) a given certificate cannot be parsed.
        """
        super().__init__("mtls-pki:index:TrustAnchor", name, None, opts)
        self._source = args.source
        guarded = pulumi.ResourceHookBinding(
            before_create=[args.key_guard] if args.key_guard else None
        )
        if isinstance(args.source, GeneratedAnchor):
            self._root_key = self._private_key(name, args.source.root.key_algorithm, hooks=guarded)
            self.certificate_pem = _public(
                self._root_key.private_key_pem_pkcs8.apply(partial(_root, args.source.root))
            )
            self.signing = self._generate(name, args.source)
        else:
            self.certificate_pem = Output.from_input(args.source.certificate_pem)
            self.signing = self._bring(name, args.source)
        self.fingerprint = self.certificate_pem.apply(
            lambda pem: spki_sha256(parse_certificates(pem, origin=f"anchor {name}")[0])
        )
        self.register_outputs(
            {"certificatePem": self.certificate_pem, "fingerprint": self.fingerprint}
        )

    def certify(self, request_pem: Output[str]) -> Output[str]:
        """Return the issuing CA's certificate for a request made elsewhere, then the root.

        A generated anchor signs the request. For an anchor made elsewhere, the result is the
        certificate that its holder signed, if it certifies the key that made the request.

        Raises:
            ValueError: the anchor has no issuing CA, or the holder has not signed yet.
            pki.errors.PkiError: (while the program runs) request and certificate do not belong
                together.
        """
        if isinstance(self._source, BroughtAnchor):
            answer = self._source.issuing_ca_certificate_pem
            if answer is None:
                raise ValueError("nobody has signed its issuing CA yet")
            return Output.all(request_pem, self.certificate_pem).apply(
                lambda pems: _joined(check_answer(answer, request_pem=pems[0]), pems[1])
            )
        profile = self._source.issuing_ca
        if profile is None:
            raise ValueError("it signs leaves itself")
        return _public(
            Output.all(
                request_pem, self.certificate_pem, self._root_key.private_key_pem_pkcs8
            ).apply(lambda pems: _certified(profile, *pems) + pems[1])
        )

    def authority(self, profile: CaProfile, key_pem: Output[str]) -> Output[str]:
        """Return the certificate of a further CA below the anchor, beside its issuing CA.

        Args:
            profile: what the certificate says.
            key_pem: the CA's own key, a secret.

        Raises:
            ValueError: the anchor was made elsewhere, so its key is not here.
            pki.errors.PkiError: (while the program runs) it would not verify under the anchor.
        """
        if isinstance(self._source, BroughtAnchor):
            raise ValueError("its key is not here")
        return _public(
            Output.all(key_pem, self.certificate_pem, self._root_key.private_key_pem_pkcs8).apply(
                lambda pems: _issuing_ca(profile, *pems)
            )
        )

    def _generate(self, name: str, source: GeneratedAnchor) -> SigningPair | None:
        root_pem, root_key_pem = self.certificate_pem, self._root_key.private_key_pem_pkcs8
        if source.issuing_key_elsewhere:
            return None
        if source.issuing_ca is None:
            return SigningPair(chain_pem=root_pem, key_pem=root_key_pem)
        profile = source.issuing_ca
        issuing_key = self._issuing_key(
            name, source.issuing_ca_generation, profile.key_algorithm
        ).private_key_pem_pkcs8
        chain_pem = _public(
            Output.all(issuing_key, root_pem, root_key_pem).apply(
                lambda pems: _issuing_ca(profile, *pems) + pems[1]
            )
        )
        return SigningPair(chain_pem=chain_pem, key_pem=issuing_key)

    def _bring(self, name: str, source: BroughtAnchor) -> SigningPair | None:
        answer = source.issuing_ca_certificate_pem
        if source.issuing_ca_key_pem is not None and answer is not None:
            chain_pem = _joined(answer, source.certificate_pem)
            return SigningPair(
                chain_pem=Output.from_input(chain_pem), key_pem=source.issuing_ca_key_pem
            )
        if source.request is None:
            return None
        key_pem = self._issuing_key(
            name, source.issuing_ca_generation, source.request.key_algorithm
        ).private_key_pem_pkcs8
        self.request_pem = _public(key_pem.apply(partial(_request, source.request)))
        if answer is None:
            return None
        return SigningPair(chain_pem=self.certify(self.request_pem), key_pem=key_pem)

    def _issuing_key(self, name: str, generation: str, algorithm: KeyAlgorithm) -> tls.PrivateKey:
        return self._private_key(f"{name}-{generation}", algorithm, protect=False)

    def _private_key(
        self,
        name: str,
        algorithm: KeyAlgorithm,
        *,
        protect: bool | None = None,
        hooks: pulumi.ResourceHookBinding | None = None,
    ) -> tls.PrivateKey:
        """Declare a key; with ``protect`` None it is protected like the anchor."""
        return tls.PrivateKey(
            f"{name}-key",
            **KEY_KINDS[algorithm].tls,
            opts=pulumi.ResourceOptions(
                parent=self, protect=protect, retain_on_delete=True, hooks=hooks
            ),
        )


def _joined(*pems: str) -> str:
    return "".join(pem if pem.endswith("\n") else pem + "\n" for pem in pems)


def _public(pem: Output[str]) -> Output[str]:
    """Show a certificate in diffs although it was made from a secret key: it is public."""
    return Output.unsecret(pem)


def _root(profile: CaProfile, key_pem: str) -> str:
    return root_certificate(
        key_pem=key_pem,
        common_name=profile.common_name,
        validity=Validity(not_before=profile.not_before, not_after=profile.not_after),
        path_length=profile.path_length,
    )


def _request(profile: RequestProfile, key_pem: str) -> str:
    return certificate_signing_request(
        key_pem=key_pem,
        common_name=profile.common_name,
        path_length=profile.path_length,
        permitted_dns_domains=profile.permitted_dns_domains,
    )


def _certified(profile: CaProfile, request_pem: str, root_pem: str, root_key_pem: str) -> str:
    return certificate_for_request(
        request_pem=request_pem,
        common_name=profile.common_name,
        validity=Validity(not_before=profile.not_before, not_after=profile.not_after),
        path_length=profile.path_length,
        permitted_dns_domains=profile.permitted_dns_domains,
        root_pem=root_pem,
        root_key_pem=root_key_pem,
    )


def _issuing_ca(profile: CaProfile, key_pem: str, root_pem: str, root_key_pem: str) -> str:
    return issuing_certificate(
        key_pem=key_pem,
        common_name=profile.common_name,
        validity=Validity(not_before=profile.not_before, not_after=profile.not_after),
        path_length=profile.path_length,
        permitted_dns_domains=profile.permitted_dns_domains,
        organization=profile.organization,
        locality=profile.locality,
        root_pem=root_pem,
        root_key_pem=root_key_pem,
    )
