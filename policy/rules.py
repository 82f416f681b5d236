"""The table of all rules."""

from __future__ import annotations

from policy import anchors, bundles, generations, issuers, keys, leaves, private_keys, vault
from policy.model import ResourceRule, StackRule

RULES: tuple[ResourceRule | StackRule, ...] = (
    ResourceRule(
        name="private-key-in-clear",
        description="A private key is in a Kubernetes Secret or a Pulumi secret, nowhere else.",
        remedy="remove it, treat the key as exposed, and give it as a Kubernetes Secret's data; "
        "name a property that is a Pulumi secret in the parameter secretProperties",
        parameters=private_keys.PARAMETERS,
        find=private_keys.keys_in_clear,
    ),
    StackRule(
        name="private-key-in-outputs",
        description="No stack and no component hands out a private key.",
        remedy="do not export it; a workload that needs it reads it from the Kubernetes Secret",
        find=private_keys.keys_in_outputs,
    ),
    StackRule(
        name="anchor-protected",
        description="The key of an anchor that issues is protected.",
        remedy="set protect=True on the anchor as long as its role is issuing",
        find=anchors.unprotected_anchor,
    ),
    ResourceRule(
        name="pki-mount-protected",
        description="A pki mount of Vault is protected.",
        remedy="set protect=True and retain_on_delete=True on the mount",
        find=anchors.unprotected_mount,
    ),
    ResourceRule(
        name="key-algorithm",
        description="Keys are of an allowed algorithm and size.",
        remedy="choose an allowed algorithm, or extend the parameter allowed",
        parameters=keys.PARAMETERS,
        find=keys.weak_keys,
    ),
    ResourceRule(
        name="leaf-lifetime",
        description="Leaves live no longer than allowed.",
        remedy="shorten it, or raise the parameter maxDuration",
        parameters=leaves.LIFETIME_PARAMETERS,
        find=leaves.long_lives,
    ),
    ResourceRule(
        name="leaf-usages",
        description="Leaves are good for mTLS and for nothing else.",
        remedy="ask for server auth and client auth, or extend the parameter allowed",
        parameters=leaves.USAGE_PARAMETERS,
        find=leaves.foreign_usages,
    ),
    ResourceRule(
        name="leaf-names",
        description="Leaves carry no wildcard names, and Vault roles bind the names they sign.",
        remedy="list the names one by one, or allow it in the parameters namespaces and roles",
        parameters=leaves.NAME_PARAMETERS,
        find=leaves.loose_names,
    ),
    ResourceRule(
        name="leaf-is-no-ca",
        description="No Certificate and no request asks for a CA.",
        remedy="remove spec.isCA, or allow the namespace in the parameter namespaces",
        parameters=leaves.CA_PARAMETERS,
        find=leaves.ca_leaves,
    ),
    ResourceRule(
        name="bundle-roots-only",
        description="A trust bundle holds roots, and never an intermediate.",
        remedy="put only self-signed CA certificates into it; intermediates go with the leaf",
        find=bundles.no_roots,
    ),
    ResourceRule(
        name="bundle-not-empty",
        description="A trust bundle is never empty.",
        remedy="keep at least one anchor in it; with none every verifier refuses every peer",
        find=bundles.empty_bundle,
    ),
    StackRule(
        name="bundle-everywhere",
        description="Every namespace with Certificates has the trust bundle, the same in all.",
        remedy="give the same bundle to every namespace (trust.namespaces)",
        find=bundles.missing_bundles,
    ),
    StackRule(
        name="issuer-of-domain",
        description="Certificates come from issuers whose CA chains to an anchor of this domain.",
        remedy="refer to an issuer of this stack, or name it in the parameter issuers",
        parameters=issuers.ISSUER_PARAMETERS,
        find=issuers.foreign_issuers,
    ),
    StackRule(
        name="identity-of-domain",
        description="SPIFFE IDs are of this trust domain, one for each leaf.",
        remedy="write one spiffe://TRUST-DOMAIN/..., or set the parameter trustDomain",
        parameters=issuers.IDENTITY_PARAMETERS,
        find=issuers.foreign_identities,
    ),
    StackRule(
        name="generation-names",
        description="A name of a CA or a generation means one key, and a key has one name.",
        remedy="give every generation a name and a common name of its own",
        find=generations.repeated_names,
    ),
    ResourceRule(
        name="vault-over-tls",
        description="Vault is reached over TLS, and its certificate is checked.",
        remedy="write an https address, give the CA's certificate, and do not skip the check",
        find=vault.plain_http,
    ),
)
