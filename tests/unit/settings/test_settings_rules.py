"""Every rule that relates settings to each other: what breaks it, and what is just right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from mtls_pki.backends.table import BACKENDS
from mtls_pki.consumers.table import CONSUMERS
from mtls_pki.registry import extensions
from mtls_pki.settings import rules
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.extensions import Rule
from tests.unit.pki import material
from tests.unit.settings.configuration import G2, REMOVED, load, told

Changes = dict[str, Any]

MISSING = (
    "missing; a generated anchor states its subject and dates (or bring one with "
    "`certificate: trust/file.pem`)"
)
LEAVE_OUT = "leave it out: the certificate that was brought fixes it"
BROUGHT = {"role": "incoming", "certificate": "g2.pem"}
KEYS = {"certificate": "i2.pem", "privateKey": material.key_pem("i2")}
TWO_CLUSTERS = {"eu": {"context": "eu"}, "us": {"context": "us"}}
VAULT = {"issuing.vault.server": "https://vault.example.org:8200"}
STEP_CA = {"issuing.stepCa.namespace": "app"}
# A step-ca of somebody else.
THEIRS = {
    "kid": "k" * 43,
    "provisioner": "admin",
    "passwordSecret": {"namespace": "app", "name": "theirs"},
}
# A machine that may do what an existing ClusterRole allows.
JOB = {"clusterRole": "view"}
ARN = "arn:aws:acm-pca:eu-central-1:123456789012:certificate-authority/" + "0" * 36
OTHER_ARN = ARN[:-1] + "1"
# One anchor in AWS beside the generated one.
IN_AWS = {
    "anchors.g2": {
        "role": "incoming",
        "backend": "aws-pca",
        "certificate": "g2.pem",
        "issuingCa": {"certificate": "i2.pem"},
    },
    "issuing.awsPca": {"authorities": {"g2": ARN}},
}
ISTIO: Changes = {"consumers.istio": {}}
DATABASE = "postgresql://monitor@db.example.org:5432/postgres?sslmode=verify-full"
GLOO = {"management": "eu", "workloads": ["us"]}
RELAY: Changes = {"clusters": TWO_CLUSTERS, "consumers.gloo": GLOO}
MESH: Changes = {
    **RELAY,
    "consumers.gloo": {**GLOO, "meshRoot": {}},
    "anchors.g1.pathLength": 2,
}
# The exporter beside the service `web`.
WATCHED = {"cluster": "dev", "service": "web", "image": "example.org/mtls-pki:1"}
# 251 characters.
LONG = ".".join([*["a" * 49] * 5, "a"])
PERMITTED = {"permittedDnsDomains": ["svc.cluster.local"]}

# rule -> (changes to the small configuration, exactly what is told of them)
BROKEN: list[tuple[str, Changes, list[str]]] = [
    (
        "monitoring_is_in_a_cluster_of_the_stack",
        {"consumers.monitoring": {**WATCHED, "cluster": "dve"}},
        ["consumers.monitoring.cluster: 'dve' is no cluster of this stack; write one of: dev"],
    ),
    (
        "monitoring_reaches_every_cluster",
        {"clusters": TWO_CLUSTERS, "consumers.monitoring": {**WATCHED, "cluster": "eu"}},
        [
            "consumers.monitoring.kubeconfigs: missing, so it cannot read us; name a Secret that "
            "holds a kubeconfig for each, under the cluster's name (docs/monitoring.md)"
        ],
    ),
    (
        "monitoring_serves_with_leaves_of_the_stack",
        {"consumers.monitoring": {**WATCHED, "service": "wbe"}},
        [
            "consumers.monitoring.service: 'wbe' is none of services; add it there, or write one "
            "of: web"
        ],
    ),
    (
        "monitoring_serves_with_leaves_of_the_stack",
        {
            "consumers.monitoring": {**WATCHED, "prometheus": {"client": "prom"}},
            "services.prom": {"namespace": "watch", "usages": ["server auth"]},
            "trust.namespaces": ["app", "watch"],
        },
        [
            "consumers.monitoring.prometheus.client: prom lacks 'client auth'; add it to "
            "services.prom.usages",
            "consumers.monitoring.prometheus.client: prom is in namespace watch, and a "
            "ServiceMonitor reads Secrets of its own alone; give it a service in app",
        ],
    ),
    (
        "monitoring_serves_with_leaves_of_the_stack",
        {
            "clusters": TWO_CLUSTERS,
            "consumers.monitoring": {**WATCHED, "cluster": "eu", "kubeconfigs": "others"},
            "services.web.clusters": ["us"],
        },
        [
            "consumers.monitoring.service: web has no Certificate in cluster eu; add it to "
            "services.web.clusters"
        ],
    ),
    (
        "monitoring_has_an_interval",
        {"consumers.monitoring": {**WATCHED, "interval": "5m1s"}},
        ["consumers.monitoring.interval: write from 1s to 5m, such as 1m"],
    ),
    (
        "gloo_is_in_clusters_of_the_stack",
        {**RELAY, "consumers.gloo": {"management": "ue", "workloads": ["us", "us"]}},
        [
            "consumers.gloo.management: 'ue' is no cluster of this stack; write one of: eu, us",
            "consumers.gloo.workloads: 'us' stands there twice; leave one out",
        ],
    ),
    (
        "gloo_signs_below_an_anchor_of_this_stack",
        {**RELAY, "anchors.g1.pathLength": 0, "issuing.direct": True},
        [
            "anchors.g1.pathLength: 0 leaves no room for the relay's CA; a root's path length "
            "cannot be changed: make a generation with 1"
        ],
    ),
    (
        "gloo_signs_below_an_anchor_of_this_stack",
        {
            **RELAY,
            "anchors.g1": {"role": "issuing", "certificate": "g2.pem", "issuingCa": KEYS},
        },
        [
            "anchors.g1.role: issuing, and made elsewhere: its key is not here, so it cannot "
            "certify the relay's CA; leave it incoming, or take consumers.gloo out"
        ],
    ),
    (
        "gloo_certificates_fit_their_authority",
        {**RELAY, "consumers.gloo": {**GLOO, "certificates": {"validFor": "52561h"}}},
        [
            "consumers.gloo.certificates.validFor: 52561h0m0s would outlive the relay's CA below "
            "g1 (2032-10-30T00:00:00Z); write less, or let the CA live longer"
        ],
    ),
    (
        "gloo_certificates_fit_their_authority",
        {**RELAY, "consumers.gloo": {**GLOO, "authority": {"validFor": "87601h"}}},
        [
            "consumers.gloo.authority.validFor: the relay's CA below g1 would end at "
            "2036-10-29T01:00:00Z, after its root (2036-10-29T00:00:00Z); write less"
        ],
    ),
    (
        "gloo_mesh_root_fits_its_anchor",
        {**RELAY, "consumers.gloo": {**GLOO, "meshRoot": {"validFor": "87601h"}}},
        [
            "anchors.g1.pathLength: 1 leaves no room for the CA of consumers.gloo.meshRoot and the "
            "CAs that Gloo makes below it; a root's path length cannot be changed: make a "
            "generation with 2",
            "consumers.gloo.meshRoot.validFor: the mesh's CA below g1 would end at "
            "2036-10-29T01:00:00Z, after its root (2036-10-29T00:00:00Z); write less",
        ],
    ),
    (
        "gloo_alone_makes_the_cas_of_a_mesh",
        {**MESH, "consumers.istio": {}},
        [
            "consumers.gloo.meshRoot: Gloo would write the Secret cacerts in us, which "
            "consumers.istio writes; leave meshRoot out, or the cluster out of "
            "consumers.istio.clusters"
        ],
    ),
    (
        "cert_manager_signs_for_istio_by_one_issuer",
        {"consumers.istio": {"signer": "cert-manager"}, "issuing.kind": "Issuer"},
        [
            "consumers.istio.signer: cert-manager, but there is no issuer whose name stays; write "
            "issuing.stable: true",
            "consumers.istio.signer: cert-manager, but istiod asks a ClusterIssuer; write "
            "issuing.kind: ClusterIssuer",
        ],
    ),
    (
        "cert_manager_signs_for_istio_by_one_issuer",
        {
            "consumers.istio": {"signer": "cert-manager"},
            "issuing.stable": True,
            "issuing.direct": True,
        },
        [
            "consumers.istio.signer: cert-manager contradicts issuing.direct: an anchor's key "
            "would sign for every workload; leave issuing.direct out"
        ],
    ),
    (
        "cert_manager_signs_for_istio_by_one_issuer",
        {
            "consumers.istio": {"signer": "cert-manager"},
            "issuing.stable": True,
            "issuing.backend": "vault",
        }
        | VAULT,
        [
            "consumers.istio.signer: cert-manager, but the issuing CA of g1 is with vault, for "
            "which it signs no signing requests here; write backend: ca, or signer: istiod"
        ],
    ),
    (
        "cert_manager_signs_for_istio_by_one_issuer",
        {
            "consumers.istio": {"signer": "cert-manager", "workloadCertTtl": "599s"},
            "issuing.stable": True,
        },
        [
            "consumers.istio.workloadCertTtl: 9m59s is below 10m0s, the shortest that a signing "
            "request of Kubernetes asks for; write more"
        ],
    ),
    (
        "envoy_servers_are_in_clusters_of_the_stack",
        {"consumers.envoy.servers": {"a": {"admin": "http://a:9901", "cluster": "dve"}}},
        ["consumers.envoy.servers.a.cluster: 'dve' is no cluster of this stack; write one of: dev"],
    ),
    (
        "nats_servers_are_in_clusters_of_the_stack",
        {"consumers.nats.servers": {"a": {"monitoring": "http://a:8222", "cluster": "dve"}}},
        ["consumers.nats.servers.a.cluster: 'dve' is no cluster of this stack; write one of: dev"],
    ),
    (
        "postgresql_servers_are_in_clusters_of_the_stack",
        {"consumers.postgresql.servers": {"a": {"connection": DATABASE, "cluster": "dve"}}},
        [
            "consumers.postgresql.servers.a.cluster: 'dve' is no cluster of this stack; write one "
            "of: dev"
        ],
    ),
    (
        "istio_is_in_clusters_of_the_stack",
        {"consumers.istio": {"clusters": ["dev", "dve"]}},
        ["consumers.istio.clusters: 'dve' is no cluster of this stack; write one of: dev"],
    ),
    (
        "istio_is_in_clusters_of_the_stack",
        {"consumers.istio": {"clusters": []}},
        [
            "consumers.istio.clusters: empty, so no istiod gets anything; name clusters, or leave "
            "it out for all"
        ],
    ),
    (
        "istio_is_not_ambient",
        {"consumers.istio": {"ambient": True}},
        [
            "consumers.istio.ambient: true: ztunnel trusts one root at a time (istio#47427), so no "
            "anchor can be added before another is removed, and every rotation would break "
            "connections; run the mesh with sidecars, or leave this cluster out of "
            "consumers.istio.clusters"
        ],
    ),
    (
        "istio_signs_below_an_anchor_of_this_stack",
        {**ISTIO, "anchors.g1.pathLength": 0, "issuing.direct": True},
        [
            "anchors.g1.pathLength: 0 leaves no room for istiod's CA, and workloads would be "
            "refused; a root's path length cannot be changed: make a generation with 1"
        ],
    ),
    (
        "istio_signs_below_an_anchor_of_this_stack",
        {
            **ISTIO,
            "anchors.g1": {"role": "issuing", "certificate": "g2.pem", "issuingCa": KEYS},
        },
        [
            "anchors.g1.role: issuing, and made elsewhere: its key is not here, so it cannot "
            "certify istiod's CA; leave it incoming, or take consumers.istio out"
        ],
    ),
    (
        "istio_authority_fits_its_root",
        {"consumers.istio": {"workloadCertTtl": "1461h"}},
        [
            "consumers.istio.workloadCertTtl: 1461h0m0s is more than a sixth of "
            "consumers.istio.authority.validFor (8760h0m0s); write less, or let the CA live longer"
        ],
    ),
    (
        "istio_authority_fits_its_root",
        {"consumers.istio": {"authority": {"validFor": "87601h"}}},
        [
            "consumers.istio.authority.validFor: istiod's CA below g1 would end at "
            "2036-10-29T01:00:00Z, after its root (2036-10-29T00:00:00Z); write less"
        ],
    ),
    (
        "istio_authority_fits_its_root",
        {**ISTIO, "clusters": {"c" * 50: {"context": "c"}}},
        [
            f"clusters.{'c' * 50}: the CA of its istiod would be called "
            f"'istio-{'c' * 50}-g1-i1.example.org', which is 74 bytes long; write 1 to 64 bytes of "
            "UTF-8 (RFC 5280 A.1, ub-common-name); give the cluster or the trust domain a shorter "
            "name"
        ],
    ),
    (
        "clusters_can_be_reached",
        {"clusters.away": {}},
        ["clusters.away: write `kubeconfig: PATH`, `context: NAME`, or both"],
    ),
    (
        "clusters_have_names_of_their_own",
        {"clusters": {"eu": {"context": "eu", "formerly": "us"}, "us": {"context": "us"}}},
        [
            "clusters.eu.formerly: 'us' is a name of clusters.us too; write the name that this "
            "cluster alone had, or remove the line"
        ],
    ),
    (
        "clusters_have_names_of_their_own",
        {"clusters": {name: {"context": name, "formerly": "west"} for name in ("eu", "us")}},
        [
            "clusters.us.formerly: 'west' is a name of clusters.eu too; write the name that this "
            "cluster alone had, or remove the line"
        ],
    ),
    (
        "exactly_one_issuing",
        {"anchors.g1.role": "outgoing"},
        ["anchors: 0 anchors have role issuing (none); give it to exactly one"],
    ),
    (
        "exactly_one_issuing",
        {"anchors.g2": G2 | {"role": "issuing"}},
        ["anchors: 2 anchors have role issuing (g1, g2); give it to exactly one"],
    ),
    (
        "generated_or_brought",
        {"anchors.g2": {"role": "incoming"}},
        [f"anchors.g2.{field}: {MISSING}" for field in ("commonName", "validFrom", "validFor")],
    ),
    (
        "generated_or_brought",
        {"anchors.g1.validFor": None},
        [f"anchors.g1.validFor: {MISSING}"],
    ),
    (
        "generated_or_brought",
        {"anchors.g2": G2 | {"certificate": "g2.pem", "pathLength": 1, "keyAlgorithm": "P-256"}},
        [
            f"anchors.g2.{field}: {LEAVE_OUT}"
            for field in ("commonName", "validFrom", "validFor", "pathLength", "keyAlgorithm")
        ],
    ),
    (
        "generated_or_brought",
        {"anchors.g2": G2 | {"issuingCa": KEYS}},
        [
            "anchors.g2.issuingCa: only for an anchor with `certificate`; this one's issuing CA is "
            "made from issuing.intermediate"
        ],
    ),
    (
        "brought_files_are_sound",
        {"anchors.g2": BROUGHT | {"certificate": "two.pem"}},
        [
            "anchors.g2.certificate: two.pem: the trust anchor: holds 2 certificates; give exactly "
            "one"
        ],
    ),
    (
        "brought_files_are_sound",
        {"anchors.g2": BROUGHT | {"issuingCa": KEYS | {"privateKey": material.key_pem("else")}}},
        [
            "anchors.g2.issuingCa: i2.pem: the private key does not belong to the issuing CA's "
            "certificate; give the key that its signing request was made with"
        ],
    ),
    (
        "issuing_anchor_has_an_issuing_ca",
        {"anchors.g1.role": "outgoing", "anchors.g2": BROUGHT | {"role": "issuing"}},
        [
            "anchors.g2.issuingCa: missing; an anchor made elsewhere issues through an issuing CA: "
            "write {generation: i1} to get its signing request, or give the certificate and "
            "privateKey (as a secret) of one made elsewhere"
        ],
    ),
    (
        "issuing_anchor_has_an_issuing_ca",
        {
            "anchors.g1.role": "outgoing",
            "anchors.g2": BROUGHT | {"role": "issuing", "issuingCa": {}},
        },
        [
            "anchors.g2.role: issuing, but its issuing CA is not signed yet; leave it incoming "
            "until anchors.g2.issuingCa.certificate is there"
        ],
    ),
    (
        "brought_files_are_sound",
        {
            "anchors.g2": BROUGHT | {"issuingCa": {"certificate": "i2.pem"} | PERMITTED},
            "services": {"web": {"namespace": "app", "dnsNames": ["web.app.svc.cluster.local"]}},
        },
        [
            "anchors.g2.issuingCa: i2.pem: it permits every DNS domain, but "
            "anchors.g2.issuingCa.permittedDnsDomains says svc.cluster.local; have it signed with "
            "these name constraints, or write there what it says"
        ],
    ),
    (
        "brought_chains_verify",
        {"anchors.g2": BROUGHT | {"issuingCa": {"certificate": "dot.pem"}}},
        [
            "anchors.g2.issuingCa: dot.pem: verifiers would refuse the leaf of services.web: the "
            "leaf has the name web.app, but the CA CN=dot permits only .svc.cluster.local; have "
            "the CA made without that, or change what the service asks for"
        ],
    ),
    (
        "brought_chains_verify",
        {
            "anchors.g2": BROUGHT | {"issuingCa": {"certificate": "uri.pem"}},
            "services.db": {"namespace": "app"},
        },
        [
            f"anchors.g2.issuingCa: uri.pem: verifiers would refuse the leaf of services.{name}: "
            f"the leaf has the name spiffe://example.org/ns/app/sa/{name}, but the CA CN=uri "
            "permits only other.example; have the CA made without that, or change what the service "
            "asks for"
            for name in ("web", "db")
        ],
    ),
    (
        "brought_chains_verify",
        {
            "anchors.g2": BROUGHT | {"issuingCa": {"permittedDnsDomains": ["corp.example"]}},
            "services.web.dnsNames": ["web.app"],
            "services.db": {"namespace": "app", "dnsNames": ["web.app", "db.corp.example"]},
        },
        [
            "anchors.g2.certificate: g2.pem: verifiers would refuse the leaf of services.web and "
            "of 1 more: the leaf has the name web.app, but the CA CN=issuing-g2-i1.example.org "
            "permits only corp.example; have the CA made without that, or change what the service "
            "asks for"
        ],
    ),
    (
        "issuing_ca_has_one_key",
        {"anchors.g2": BROUGHT | {"issuingCa": KEYS, "backend": "vault"}} | VAULT,
        [
            "anchors.g2.issuingCa.privateKey: leave it out: with backend vault the key is made in "
            "the Vault and never leaves it"
        ],
    ),
    (
        "issuing_ca_has_one_key",
        {"anchors.g2": BROUGHT | {"issuingCa": {"privateKey": KEYS["privateKey"]}}},
        [
            "anchors.g2.issuingCa.certificate: missing; give the certificate of this privateKey, "
            "or leave both out to get a signing request"
        ],
    ),
    (
        "vault_is_there_where_it_is_asked_for",
        {"issuing.backend": "vault"},
        [
            "issuing.backend: vault, but issuing.vault is missing; write `vault: {server: "
            "https://...}` below issuing"
        ],
    ),
    (
        "vault_is_there_where_it_is_asked_for",
        {"anchors.g1.backend": "vault", "issuing.direct": True} | VAULT,
        [
            "anchors.g1.backend: vault contradicts issuing.direct: a Vault holds an issuing CA, "
            "never the anchor; leave issuing.direct out"
        ],
    ),
    (
        "sign_role_allows_what_services_ask_for",
        {"issuing.backend": "vault", "services.web.dnsNames": ["web.example.com"]}
        | VAULT
        | {"issuing.vault.allowedDomains": ["example.org"]},
        [
            "services.web.dnsNames: web.example.com: outside issuing.vault.allowedDomains "
            "(example.org); list names inside, or allow the domain"
        ],
    ),
    (
        "sign_role_allows_what_services_ask_for",
        {
            "issuing.backend": "vault",
            "services.api": {"namespace": "app", "usages": ["client auth"]},
        }
        | VAULT,
        [
            "services.api.usages: client auth: a Vault's role gives every leaf the same usages, "
            "here server auth, client auth; write the same for all services"
        ],
    ),
    (
        "sign_role_allows_what_services_ask_for",
        {
            "issuing.backend": "vault",
            "services.web.organizations": ["Example"],
            "services.web.emailAddresses": ["web@example.org"],
        }
        | VAULT,
        [
            f"services.web.{key}: {value}: the Vault's role of this stack signs DNS names, IP "
            "addresses and URIs only; leave them out, or choose another backend"
            for key, value in (("organizations", "Example"), ("emailAddresses", "web@example.org"))
        ],
    ),
    (
        "step_ca_signs_what_services_ask_for",
        {"issuing.backend": "step-ca", "services.web.organizations": ["Example"]} | STEP_CA,
        [
            "services.web.organizations: Example: a step-ca gives every leaf a subject with the "
            "common name alone; leave them out, or choose another backend"
        ],
    ),
    (
        "sign_role_allows_what_services_ask_for",
        {"issuing.backend": "vault", "services.web.commonName": "node"} | VAULT,
        [
            "services.web.commonName: 'node': a Vault's role allows it only as one of the DNS "
            "names; add it to dnsNames"
        ],
    ),
    (
        "leaves_fit_the_sign_role",
        {"issuing.backend": "vault", "services.web.duration": "48h"}
        | VAULT
        | {"issuing.vault.maxTtl": "24h"},
        [
            "services.web.duration: 48h0m0s is above issuing.vault.maxTtl (24h0m0s), to which the "
            "Vault would cut it; write less, or raise maxTtl"
        ],
    ),
    (
        "leaves_fit_the_sign_role",
        {"issuing.backend": "vault", "services.db": {"namespace": "app"}}
        | VAULT
        | {"issuing.vault.maxTtl": "12h"},
        [
            "issuing.leaf.duration: 24h0m0s is above issuing.vault.maxTtl (12h0m0s), to which the "
            "Vault would cut it; write less, or raise maxTtl"
        ],
    ),
    (
        "step_ca_is_there_where_it_is_asked_for",
        {"issuing.backend": "step-ca"},
        [
            "issuing.backend: step-ca, but issuing.stepCa is missing; write `stepCa: {namespace: "
            "...}` below issuing"
        ],
    ),
    (
        "step_ca_is_there_where_it_is_asked_for",
        {"anchors.g1.backend": "step-ca", "issuing.direct": True} | STEP_CA,
        [
            "anchors.g1.backend: step-ca contradicts issuing.direct: a step-ca holds an issuing "
            "CA, never the anchor; leave issuing.direct out"
        ],
    ),
    (
        "step_ca_signs_what_services_ask_for",
        {"issuing.backend": "step-ca", "services.web.usages": ["server auth"]} | STEP_CA,
        [
            "services.web.usages: server auth: a step-ca gives every leaf server auth and client "
            "auth; leave usages out"
        ],
    ),
    (
        "step_ca_signs_what_services_ask_for",
        {"issuing.backend": "step-ca", "services.web.duration": "48h"}
        | STEP_CA
        | {"issuing.stepCa.maxTtl": "24h"},
        [
            "services.web.duration: 48h0m0s is above issuing.stepCa.maxTtl (24h0m0s), and the "
            "step-ca would refuse it; write less, or raise maxTtl"
        ],
    ),
    (
        "urls_are_of_generations_that_a_step_ca_signs_for",
        STEP_CA | {"issuing.stepCa.urls": {"g1": "https://ca.example.org"}},
        [
            "issuing.stepCa.urls.g1: no step-ca signs for g1; remove it (there are: none)",
        ],
    ),
    (
        "urls_are_of_generations_that_a_step_ca_signs_for",
        {"issuing.backend": "step-ca"}
        | STEP_CA
        | {"issuing.stepCa.urls": {"g1": "https://ca.example.org"}},
        [
            "issuing.stepCa.urls.g1: contradicts deploy: the Service that is made here is how it "
            "is reached; write `deploy: false`, or leave urls out",
        ],
    ),
    (
        "aws_pca_is_there_where_it_is_asked_for",
        {"anchors.g2": IN_AWS["anchors.g2"]},
        [
            "anchors.g2.backend: aws-pca, but issuing.awsPca is missing; write `awsPca: "
            "{authorities: {g1: arn:aws:acm-pca:...}}` below issuing, or let `mtls-pki aws-pca` "
            "write it"
        ],
    ),
    (
        "aws_pca_is_there_where_it_is_asked_for",
        IN_AWS | {"issuing.direct": True},
        [
            "anchors.g2.backend: aws-pca contradicts issuing.direct: leaves are signed by a CA "
            "below the anchor; leave issuing.direct out"
        ],
    ),
    (
        "anchors_in_aws_are_brought",
        IN_AWS | {"anchors.g2": BROUGHT | {"backend": "aws-pca"}, "issuing.awsPca": {}},
        [
            f"{path}: missing; AWS holds the key, so certificates and ARN are given: `mtls-pki "
            "aws-pca add g2 ARN` writes them for a CA that exists, `mtls-pki aws-pca create g2` "
            "for a new one"
            for path in ("anchors.g2.issuingCa.certificate", "issuing.awsPca.authorities.g2")
        ],
    ),
    (
        "arns_belong_to_anchors",
        IN_AWS | {"issuing.awsPca.authorities": {"g1": OTHER_ARN, "g2": ARN, "g9": ARN}},
        [
            "issuing.awsPca.authorities.g1: AWS holds no issuing CA of g1; remove it (there are: "
            "g2)",
            "issuing.awsPca.authorities.g9: AWS holds no issuing CA of g9; remove it (there are: "
            "g2)",
            "issuing.awsPca.authorities.g9: is the CA of g2 too; a generation has a CA of its own, "
            "so create one: mtls-pki aws-pca create g9",
        ],
    ),
    (
        "aws_pca_signs_what_services_ask_for",
        IN_AWS
        | {"issuing.kind": "Issuer", "issuing.awsPca.issuerRelease": "1.12"}
        | {"issuing.awsPca.credentials": {"name": "aws", "namespace": "cert-manager"}},
        [
            "issuing.awsPca.credentials.namespace: cert-manager: from release 1.12 on an "
            "AWSPCAIssuer reads a Secret of its own namespace alone, and there is one in each of "
            "trust.namespaces; write `kind: ClusterIssuer` below issuing, or use a role"
        ],
    ),
    (
        "external_step_cas_are_described",
        STEP_CA
        | {
            "anchors.g2": IN_AWS["anchors.g2"] | {"backend": "step-ca"},
            "issuing.kind": "Issuer",
            "issuing.stepCa.external": {
                "g2": THEIRS | {"passwordSecret": {"namespace": "other", "name": "theirs"}}
            },
            "issuing.stepCa.urls": {"g2": "https://ca.example.org"},
        },
        [
            "issuing.stepCa.external.g2.passwordSecret.namespace: other: a StepIssuer reads a "
            "Secret of its own namespace alone, and there is one in each of trust.namespaces; "
            "write `kind: ClusterIssuer` below issuing"
        ],
    ),
    (
        "aws_pca_signs_what_services_ask_for",
        IN_AWS | {"services.web.keyAlgorithm": "Ed25519"},
        [
            "services.web.keyAlgorithm: Ed25519: AWS Private CA signs RSA and EC keys only; write "
            "P-256"
        ],
    ),
    (
        "aws_pca_signs_what_services_ask_for",
        IN_AWS | {"services.web.duration": "5h", "services.web.renewBefore": "1h"},
        [
            "services.web.duration: 5h0m0s is below 6h0m0s: AWS dates leaves back by an hour, and "
            "cert-manager would renew them again and again; ask for more, or run "
            "aws-privateca-issuer 1.12 and say so in issuing.awsPca.issuerRelease"
        ],
    ),
    (
        "external_step_cas_are_described",
        STEP_CA | {"issuing.stepCa.external": {"g9": THEIRS}},
        ["issuing.stepCa.external.g9: no step-ca signs for g9; remove it (there are: none)"],
    ),
    (
        "external_step_cas_are_described",
        STEP_CA
        | {
            "anchors.g2": BROUGHT | {"backend": "step-ca", "issuingCa": {}},
            "issuing.stepCa.external": {"g2": THEIRS | {"kid": "admin"}},
        },
        [
            "anchors.g2.issuingCa.certificate: missing; of a step-ca that somebody else runs give "
            "the root as `certificate` and its intermediate_ca.crt here",
            "issuing.stepCa.urls.g2: missing; write how step-issuer reaches that step-ca, "
            "https://HOST:PORT",
            "issuing.stepCa.external.g2.kid: 'admin' is no thumbprint (43 characters); `step ca "
            "provisioner list` shows the kid of each provisioner, which is not its name",
        ],
    ),
    (
        "access_is_in_clusters_that_exist",
        {"clientAccess.job": JOB | {"clusters": ["eu"], "keys": ["k1", "k1"]}},
        [
            "clientAccess.job.clusters: eu: no such cluster; there are: dev",
            "clientAccess.job.keys: k1, k1: a name twice; a new key has a new name",
        ],
    ),
    *(
        (
            "access_gives_one_role",
            {"clientAccess.job": job},
            [
                "clientAccess.job: write either clusterRole (one that exists) or rules (of one "
                "that is made)"
            ],
        )
        for job in (
            {},
            JOB | {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
        )
    ),
    (
        "access_is_of_no_system_name",
        {"clientAccess.job": JOB | {"user": "system:admin", "group": "system:masters"}},
        [
            f"clientAccess.job.{key}: {value!r} begins with system:, as only names of Kubernetes "
            "do; choose another"
            for key, value in (("user", "system:admin"), ("group", "system:masters"))
        ],
    ),
    (
        "access_times_are_kubernetes",
        {"clientAccess.job": JOB | {"validFor": "9m", "renewBefore": "1m"}},
        [
            "clientAccess.job.validFor: 9m0s is below 10m0s, the shortest that Kubernetes issues; "
            "write more"
        ],
    ),
    (
        "access_times_are_kubernetes",
        {"clientAccess.job": JOB | {"validFor": "1h", "renewBefore": "55m"}},
        [
            "clientAccess.job.renewBefore: 55m0s leaves nothing of validFor (1h0m0s, less five "
            "minutes); write less"
        ],
    ),
    (
        "namespace_of_the_step_ca_is_made",
        STEP_CA | {"trust.createNamespaces": True, "issuing.stepCa.namespace": "identity"},
        [
            "issuing.stepCa.namespace: 'identity' is not made by this stack, which makes "
            "namespaces (trust.createNamespaces); add it to trust.namespaces"
        ],
    ),
    (
        "names_are_unique",
        {"anchors.g2": G2 | {"commonName": "root.example.org"}},
        [
            f"anchors.{generation}.commonName: subject 'CN=root.example.org' is that of {other} "
            "too; verifiers that look up issuers by name would confuse them: give each generation "
            "its own"
            for generation, other in (("g1", "g2"), ("g2", "g1"))
        ],
    ),
    (
        "installed_where_it_is_looked_for",
        {"certManager": {"install": True, "namespace": "pki"}},
        [
            "certManager.namespace: 'pki' is not issuing.clusterResourceNamespace "
            "('cert-manager'), where cert-manager reads the Secrets of ClusterIssuers; write the "
            "same in both"
        ],
    ),
    (
        "bundle_forms_fit_each_other",
        {"trust.formerly": [{"name": "mesh-trust"}]},
        ["trust.formerly.0: mesh-trust[ca.crt] is written already; remove it"],
    ),
    (
        "bundle_forms_fit_each_other",
        {"trust.formerly": [{"name": "mesh-trust", "key": "old.crt", "via": "trust-manager"}]},
        [
            "trust.formerly.0.name: 'mesh-trust' is written by configmap already; give the present "
            "bundle another trust.name while the two are side by side"
        ],
    ),
    (
        "partners_are_roots",
        {"trust.partners": {"acme": {"certificate": "i2.pem"}}},
        [
            "trust.partners.acme.certificate: i2.pem: the trust anchor is not self-signed but "
            "issued by CN=root-g2.example.org; give the root at the top of its chain"
        ],
    ),
    (
        "partners_are_roots",
        {"anchors.g2": BROUGHT, "trust.partners": {"acme": {"certificate": "g2.pem"}}},
        ["trust.partners.acme.certificate: g2.pem: it has the key of g2; remove one of the two"],
    ),
    (
        "resource_names_are_unique",
        {
            "clusters": {"prod": {"context": "a"}, "prod-eu": {"context": "b"}},
            "services": {
                "gateway": {"namespace": "app", "clusters": ["prod-eu"]},
                "eu-gateway": {"namespace": "app", "clusters": ["prod"]},
            },
        },
        [
            "services.eu-gateway: services.eu-gateway in cluster prod: its Pulumi name "
            "prod-eu-gateway is that of services.gateway in cluster prod-eu; call one of them "
            "differently (its Certificate keeps its name with `name:`)"
        ],
    ),
    (
        "resource_names_are_unique",
        {
            "clusters": {"prod": {"context": "a"}, "prod-eu": {"context": "b"}},
            "trust.namespaces": ["app", "shop", "eu-shop"],
            "trust.createNamespaces": True,
        },
        [
            "clusters: namespace shop in cluster prod-eu: its Pulumi name prod-eu-shop is that of "
            "namespace eu-shop in cluster prod; call one of the clusters differently (a cluster "
            "that is there keeps its objects with `formerly:`)"
        ],
    ),
    (
        "resource_names_are_unique",
        {
            "issuing.kind": "Issuer",
            "issuing.stable": True,
            "trust.namespaces": ["app", "shop", "g1-i1-shop"],
            "services": {
                "a": {"namespace": "shop"},
                "b": {"namespace": "g1-i1-shop"},
            },
        },
        [
            "issuing.name: issuer mtls-ca of namespace g1-i1-shop in cluster dev: its Pulumi name "
            "dev-mtls-ca-g1-i1-shop is that of issuer mtls-ca-g1-i1 of namespace shop in cluster "
            "dev; call one of the namespaces or clusters, or the issuers, differently"
        ],
    ),
    (
        "issuing_ca_fits_its_root",
        {"issuing.direct": True, "issuing.intermediate": {}},
        ["issuing.direct: true contradicts issuing.intermediate; leave one of the two out"],
    ),
    (
        "issuing_ca_fits_its_root",
        {"issuing.intermediate": {"validFor": "87601h"}},
        [
            "issuing.intermediate.validFor: 87601h0m0s outlives anchor g1, which ends "
            "2036-10-29T00:00:00Z; write at most 87600h0m0s"
        ],
    ),
    (
        "issuing_ca_fits_its_root",
        {
            "issuing.intermediate": {"validFrom": "2036-10-28T00:00:00Z", "validFor": "25h"},
            "issuing.leaf": {"duration": "2h", "renewBefore": "1h"},
        },
        [
            "issuing.intermediate.validFor: 25h0m0s outlives anchor g1, which ends "
            "2036-10-29T00:00:00Z; write at most 24h0m0s"
        ],
    ),
    (
        "issuing_ca_fits_its_root",
        {"issuing.intermediate": {"validFrom": "2040-01-01T00:00:00Z"}},
        [
            "issuing.intermediate.validFor: 8760h0m0s outlives anchor g1, which ends "
            "2036-10-29T00:00:00Z; anchor g1 ends before it starts"
        ],
    ),
    (
        "issuing_ca_fits_its_root",
        {"issuing.intermediate": {"pathLength": 1}},
        ["anchors.g1.pathLength: 1 leaves no room for an issuing CA of path length 1; write 2"],
    ),
    (
        "issuing_ca_fits_its_root",
        {"anchors.g1.pathLength": 0},
        ["anchors.g1.pathLength: 0 leaves no room for an issuing CA of path length 0; write 1"],
    ),
    (
        "leaf_times_are_cert_managers",
        {"issuing.leaf": {"duration": "59m", "renewBefore": "20m"}},
        ["issuing.leaf.duration: 59m0s is below cert-manager's minimum; write 1h"],
    ),
    (
        "leaf_times_are_cert_managers",
        {"services.web.renewBefore": "4m59s"},
        ["services.web.renewBefore: 4m59s is below cert-manager's minimum; write 5m"],
    ),
    (
        "leaf_times_are_cert_managers",
        {"issuing.leaf.renewBefore": "24h"},
        [
            "issuing.leaf.renewBefore: 24h0m0s is not shorter than the duration 24h0m0s; write "
            "8h0m0s"
        ],
    ),
    (
        "leaf_times_are_cert_managers",
        {"services.web.duration": "6h"},
        ["services.web.renewBefore: 8h0m0s is not shorter than the duration 6h0m0s; write 2h0m0s"],
    ),
    (
        "leaf_times_are_cert_managers",
        {"services.web.duration": "1h", "services.web.renewBefore": "55m1s"},
        [
            "services.web.renewBefore: 55m1s leaves 4m59s of the duration 1h0m0s, so leaves would "
            "be issued without a pause; write 20m0s"
        ],
    ),
    (
        "leaves_fit_their_issuing_ca",
        {"issuing.leaf.duration": "1461h"},
        [
            "issuing.leaf.duration: 1461h0m0s is more than a sixth of the issuing CA's lifetime; "
            "write at most 1460h0m0s"
        ],
    ),
    (
        "leaves_fit_their_issuing_ca",
        {"issuing.direct": True, "anchors.g1.validFor": "240h", "services.web.duration": "41h"},
        [
            "services.web.duration: 41h0m0s is more than a sixth of the issuing CA's lifetime; "
            "write at most 40h0m0s"
        ],
    ),
    (
        "services_name_what_exists",
        {"services.web.namespace": "other"},
        ["services.web.namespace: 'other' gets no trust bundle; add it to trust.namespaces"],
    ),
    (
        "services_name_what_exists",
        {"clusters": TWO_CLUSTERS, "services.web.clusters": ["eu", "dev"]},
        ["services.web.clusters: 'dev' is no cluster of this stack; write one of: eu, us"],
    ),
    (
        "services_name_what_exists",
        {"services.web.anchor": "g3", "anchors.g2": G2},
        ["services.web.anchor: 'g3' is no anchor of this stack; write one of: g1, g2"],
    ),
    (
        "services_name_what_exists",
        {"services.web.anchor": "g2", "anchors.g2": G2 | {"role": "compromised"}},
        ["services.web.anchor: 'g2' is compromised; leave the key out"],
    ),
    (
        "services_name_what_exists",
        {"services.web.anchor": "g2", "anchors.g2": BROUGHT},
        ["services.web.anchor: 'g2' has no issuing CA here; give anchors.g2.issuingCa"],
    ),
    (
        "services_have_their_own_objects",
        {"services.api": {"namespace": "app", "name": "web", "secretName": "api"}},
        ["services.api.name: app/web is already that of services.web; write another"],
    ),
    (
        "services_have_their_own_objects",
        {"services.api": {"namespace": "app", "secretName": "web-tls"}},
        ["services.api.secretName: app/web-tls is already that of services.web; write another"],
    ),
    (
        "services_have_their_own_objects",
        {"issuing.kind": "Issuer", "services.web.secretName": "mtls-ca-g1-i1"},
        [
            "services.web.secretName: app/mtls-ca-g1-i1 is a Secret with a CA that the stack "
            "itself writes in cluster dev; write another"
        ],
    ),
    (
        "services_have_their_own_objects",
        {"services.web": {"namespace": "app", "name": LONG, "dnsNames": ["web.app"]}},
        [f"services.web.secretName: '{LONG}-tls' is 255 characters long; write one of at most 253"],
    ),
    (
        "services_have_their_own_objects",
        {"services.web": {"namespace": "app", "name": "app.example.org"}},
        [
            "services.web.dnsNames: missing: 'app.example.org' has a dot, so no Service has this "
            "name (RFC 1035) and no DNS names follow from it; list them"
        ],
    ),
    (
        "names_are_permitted",
        {"issuing.intermediate": PERMITTED},
        [
            "services.web.dnsNames: web.app, web.app.svc: outside "
            "issuing.intermediate.permittedDnsDomains (svc.cluster.local); list names inside, or "
            "permit the domain"
        ],
    ),
    (
        "names_are_permitted",
        {"issuing.intermediate": PERMITTED, "services.web.dnsNames": ["xsvc.cluster.local"]},
        [
            "services.web.dnsNames: xsvc.cluster.local: outside "
            "issuing.intermediate.permittedDnsDomains (svc.cluster.local); list names inside, or "
            "permit the domain"
        ],
    ),
    (
        "usages_and_lists_are_sets",
        {"services.web.ipAddresses": ["2001:db8::5", "2001:DB8:0::5"]},
        ["services.web.ipAddresses: 2001:db8::5 twice; write it once"],
    ),
    (
        "usages_and_lists_are_sets",
        {"trust.namespaces": ["app", "app"]},
        ["trust.namespaces: app twice; write it once"],
    ),
    (
        "usages_and_lists_are_sets",
        {
            "services.web": {
                "namespace": "app",
                "dnsNames": ["a.b", "c.d", "a.b"],
                "clusters": ["dev", "dev"],
                "usages": ["client auth", "client auth"],
            }
        },
        [
            "services.web.dnsNames: a.b twice; write it once",
            "services.web.clusters: dev twice; write it once",
            "services.web.usages: client auth twice; write it once",
        ],
    ),
    (
        "acknowledgement_belongs_to_a_compromise",
        {"anchors.g2": G2 | {"fingerprint": "ab", "acceptOutage": True}},
        [
            f"anchors.g2.{field}: only with role compromised; leave it out"
            for field in ("fingerprint", "acceptOutage")
        ],
    ),
]

# rule -> what stands on the right side of its line
KEPT: list[tuple[str, Changes]] = [
    ("monitoring_is_in_a_cluster_of_the_stack", {"consumers.monitoring": WATCHED}),
    (
        "monitoring_reaches_every_cluster",
        {
            "clusters": TWO_CLUSTERS,
            "consumers.monitoring": {**WATCHED, "cluster": "eu", "kubeconfigs": "others"},
        },
    ),
    (
        "monitoring_serves_with_leaves_of_the_stack",
        {
            "consumers.monitoring": {**WATCHED, "prometheus": {"client": "prom"}},
            "services.prom": {"namespace": "app", "usages": ["client auth"]},
        },
    ),
    (
        "monitoring_has_an_interval",
        {"consumers.monitoring": {**WATCHED, "interval": "5m"}},
    ),
    ("gloo_is_in_clusters_of_the_stack", RELAY),
    ("gloo_signs_below_an_anchor_of_this_stack", {**RELAY, "anchors.g2": BROUGHT}),
    (
        "gloo_certificates_fit_their_authority",
        {**RELAY, "consumers.gloo": {**GLOO, "certificates": {"validFor": "52560h"}}},
    ),
    ("gloo_mesh_root_fits_its_anchor", MESH),
    (
        "gloo_alone_makes_the_cas_of_a_mesh",
        {**MESH, "consumers.istio": {"clusters": ["eu"]}},
    ),
    (
        "cert_manager_signs_for_istio_by_one_issuer",
        {"consumers.istio": {"signer": "cert-manager"}, "issuing.stable": True},
    ),
    # istiod has no CA then, so nothing needs the key of the anchor.
    (
        "istio_signs_below_an_anchor_of_this_stack",
        {
            "consumers.istio": {"signer": "cert-manager"},
            "issuing.stable": True,
            "anchors.g1": {"role": "issuing", "certificate": "g2.pem", "issuingCa": KEYS},
        },
    ),
    (
        "envoy_servers_are_in_clusters_of_the_stack",
        {"consumers.envoy.servers": {"a": {"admin": "http://a:9901", "cluster": "dev"}}},
    ),
    (
        "nats_servers_are_in_clusters_of_the_stack",
        {"consumers.nats.servers": {"a": {"monitoring": "http://a:8222", "cluster": "dev"}}},
    ),
    (
        "postgresql_servers_are_in_clusters_of_the_stack",
        {"consumers.postgresql.servers": {"a": {"connection": DATABASE, "cluster": "dev"}}},
    ),
    ("istio_is_in_clusters_of_the_stack", {"consumers.istio": {"clusters": ["dev"]}}),
    ("istio_is_not_ambient", ISTIO),
    ("istio_signs_below_an_anchor_of_this_stack", {**ISTIO, "anchors.g2": BROUGHT}),
    (
        "istio_authority_fits_its_root",
        {"consumers.istio": {"workloadCertTtl": "1460h", "authority": {"validFor": "8760h"}}},
    ),
    ("clusters_can_be_reached", {"clusters": TWO_CLUSTERS}),
    ("clusters_can_be_reached", {"clusters.dev": {"kubeconfig": "x", "context": "y"}}),
    (
        "clusters_have_names_of_their_own",
        {"clusters": {"eu": {"context": "eu", "formerly": "west"}, "us": {"context": "us"}}},
    ),
    (
        "exactly_one_issuing",
        {"anchors.g1.role": "outgoing", "anchors.g2": G2 | {"role": "issuing"}},
    ),
    ("generated_or_brought", {"anchors.g1.pathLength": 3, "anchors.g1.keyAlgorithm": "P-384"}),
    ("generated_or_brought", {"anchors.g2": BROUGHT}),
    ("brought_files_are_sound", {"anchors.g2": BROUGHT | {"issuingCa": KEYS}}),
    (
        "brought_chains_verify",
        {
            "anchors.g2": BROUGHT | {"issuingCa": {"certificate": "dot.pem"} | PERMITTED},
            "services.web.dnsNames": ["web.app.svc.cluster.local"],
        },
    ),
    (
        "brought_chains_verify",
        {
            "anchors": {
                "g2": BROUGHT | {"role": "issuing", "issuingCa": {"certificate": "i2.pem"}},
            },
            "issuing.intermediate": PERMITTED,
        },
    ),
    (
        "issuing_anchor_has_an_issuing_ca",
        {
            "anchors.g1.role": "outgoing",
            "anchors.g2": BROUGHT | {"role": "issuing", "issuingCa": KEYS},
        },
    ),
    ("issuing_anchor_has_an_issuing_ca", {"anchors.g2": BROUGHT | {"issuingCa": {}}}),
    (
        "issuing_anchor_has_an_issuing_ca",
        {"anchors": {"g2": BROUGHT | {"role": "issuing", "issuingCa": {}}}},
    ),
    ("issuing_ca_has_one_key", {"anchors.g2": BROUGHT | {"issuingCa": KEYS}}),
    (
        "issuing_ca_has_one_key",
        {"anchors.g2": BROUGHT | {"issuingCa": {"certificate": "i2.pem"}, "backend": "vault"}}
        | VAULT,
    ),
    ("vault_is_there_where_it_is_asked_for", {"issuing.backend": "vault"} | VAULT),
    ("vault_is_there_where_it_is_asked_for", VAULT),
    ("step_ca_is_there_where_it_is_asked_for", {"issuing.backend": "step-ca"} | STEP_CA),
    (
        "step_ca_signs_what_services_ask_for",
        {"issuing.backend": "step-ca", "services.web.emailAddresses": ["web@example.org"]}
        | STEP_CA,
    ),
    ("step_ca_signs_what_services_ask_for", STEP_CA | {"services.web.usages": ["server auth"]}),
    (
        "urls_are_of_generations_that_a_step_ca_signs_for",
        {"issuing.backend": "step-ca"}
        | STEP_CA
        | {"issuing.stepCa.deploy": False, "issuing.stepCa.urls": {"g1": "https://ca.example.org"}},
    ),
    ("namespace_of_the_step_ca_is_made", STEP_CA | {"trust.createNamespaces": True}),
    (
        "external_step_cas_are_described",
        STEP_CA
        | {
            "anchors.g2": IN_AWS["anchors.g2"] | {"backend": "step-ca"},
            "issuing.stepCa.external": {"g2": THEIRS},
            "issuing.stepCa.urls": {"g2": "https://ca.example.org"},
        },
    ),
    ("access_is_in_clusters_that_exist", {"clientAccess.job": JOB | {"clusters": ["dev"]}}),
    ("access_gives_one_role", {"clientAccess.job": JOB}),
    ("access_is_of_no_system_name", {"clientAccess.job": JOB | {"group": "jobs:system:"}}),
    (
        "access_times_are_kubernetes",
        {"clientAccess.job": JOB | {"validFor": "10m", "renewBefore": "4m"}},
    ),
    ("aws_pca_is_there_where_it_is_asked_for", IN_AWS),
    ("anchors_in_aws_are_brought", IN_AWS),
    ("arns_belong_to_anchors", IN_AWS),
    ("aws_pca_signs_what_services_ask_for", IN_AWS),
    (
        "aws_pca_signs_what_services_ask_for",
        IN_AWS
        | {"services.web.duration": "5h", "services.web.renewBefore": "1h"}
        | {"issuing.awsPca.issuerRelease": "1.12"},
    ),
    (
        "sign_role_allows_what_services_ask_for",
        {
            "issuing.backend": "vault",
            "services.web.dnsNames": ["*.web.app.svc", "node"],
            "services.web.commonName": "node",
        }
        | VAULT,
    ),
    (
        "leaves_fit_the_sign_role",
        {"issuing.backend": "vault", "services.web.duration": "48h"} | VAULT,
    ),
    ("names_are_unique", {"anchors.g2": G2 | {"commonName": "x"}, "anchors.g3": BROUGHT}),
    ("installed_where_it_is_looked_for", {"certManager": {"install": True}}),
    ("bundle_forms_fit_each_other", {"trust.formerly": [{"name": "old-trust"}]}),
    ("bundle_forms_fit_each_other", {"trust.formerly": [{"name": "mesh-trust", "key": "a.crt"}]}),
    ("partners_are_roots", {"trust.partners": {"acme": {"certificate": "g2.pem"}}}),
    ("resource_names_are_unique", {"clusters": TWO_CLUSTERS}),
    ("issuing_ca_fits_its_root", {"issuing.intermediate": {"validFor": "87600h"}}),
    ("issuing_ca_fits_its_root", {"trustDomain": "d" * 63}),
    ("issuing_ca_fits_its_root", {"trustDomain": "d" * 60, "issuing.direct": True}),
    (
        "issuing_ca_fits_its_root",
        {"anchors.g1.pathLength": 2, "issuing.intermediate": {"pathLength": 1}},
    ),
    ("issuing_ca_fits_its_root", {"anchors.g1.pathLength": 0, "issuing.direct": True}),
    ("issuing_ca_fits_its_root", {"issuing": {"direct": False, "intermediate": {}}}),
    (
        "leaf_times_are_cert_managers",
        {"issuing.leaf": {"duration": "1h", "renewBefore": "5m"}},
    ),
    (
        "leaf_times_are_cert_managers",
        {"services.web.duration": "6h", "services.web.renewBefore": "5h55m"},
    ),
    ("leaves_fit_their_issuing_ca", {"issuing.leaf.duration": "1460h"}),
    (
        "services_name_what_exists",
        {"services.web.anchor": "g2", "anchors.g2": G2, "services.web.clusters": ["dev"]},
    ),
    (
        "services_name_what_exists",
        {"services.web.anchor": "g2", "anchors.g2": BROUGHT | {"issuingCa": KEYS}},
    ),
    ("services_have_their_own_objects", {"services.api": {"namespace": "app"}}),
    (
        "services_have_their_own_objects",
        {
            "services.api": {
                "namespace": "app",
                "name": "app.example.org",
                "dnsNames": ["app.example.org"],
            }
        },
    ),
    (
        "services_have_their_own_objects",
        {"trust.namespaces": ["app", "b"], "services.api": {"namespace": "b", "name": "web"}},
    ),
    (
        "services_have_their_own_objects",
        {
            "clusters": TWO_CLUSTERS,
            "services": {
                "web-eu": {"namespace": "app", "name": "web", "clusters": ["eu"]},
                "web-us": {"namespace": "app", "name": "web", "clusters": ["us"]},
            },
        },
    ),
    (
        "names_are_permitted",
        {
            "issuing.intermediate": PERMITTED,
            "services.web.dnsNames": ["web.app.svc.cluster.local", "svc.cluster.local"],
        },
    ),
    ("names_are_permitted", {"issuing.intermediate": PERMITTED, "services.web.dnsNames": []}),
    (
        "usages_and_lists_are_sets",
        {"trust.namespaces": ["app", "b"], "services.web.usages": ["client auth", "server auth"]},
    ),
    (
        "acknowledgement_belongs_to_a_compromise",
        {
            "anchors.g2": G2
            | {"role": "compromised", "fingerprint": "ab" * 32, "acceptOutage": True}
        },
    ),
]


def constrained(name: str, root_pem: str, permitted: x509.GeneralName) -> str:
    """Return an issuing CA below the root of g2 that permits names of one subtree."""
    own, root = material.key(name), material.parsed(root_pem)
    stated = material.ca_extensions(own, issuer=root)
    stated["names"] = (x509.NameConstraints([permitted], None), True)
    return material.certificate(
        key=own,
        subject=name,
        issuer=root.subject,
        issuer_key=material.key("g2"),
        extensions=list(stated.values()),
    )


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A brought root, its issuing CA, and files that are neither."""
    root = material.root("g2")
    for name, pem in {
        "g2.pem": root,
        "i2.pem": material.issuing("i2", root_pem=root, root_key=material.key_pem("g2")),
        "dot.pem": constrained("dot", root, x509.DNSName(".svc.cluster.local")),
        "uri.pem": constrained("uri", root, x509.UniformResourceIdentifier("other.example")),
        "two.pem": root + material.root("g3"),
        "key.pem": material.key_pem("g2"),
    }.items():
        (tmp_path / name).write_text(pem)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("rule", "changes", "lines"), BROKEN)
def test_a_broken_rule_is_told(rule: str, changes: Changes, lines: list[str]) -> None:
    assert told(changes, secret=["anchors"]) == lines


@pytest.mark.parametrize(("rule", "changes", "lines"), BROKEN)
def test_it_is_this_rule_that_tells(
    rule: str, changes: Changes, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rule in names_of_rules()
    monkeypatch.setattr(rules, "RULES", without(rule, rules.RULES))
    for name, backend in BACKENDS.items():
        kept = replace(backend.settings, rules=without(rule, backend.settings.rules))
        monkeypatch.setattr(BACKENDS[name], "settings", kept)
    for name, consumer in CONSUMERS.items():
        left = replace(consumer.settings, rules=without(rule, consumer.settings.rules))
        monkeypatch.setattr(CONSUMERS[name], "settings", left)
    assert told(changes, secret=["anchors"]) == []


@pytest.mark.parametrize(("rule", "changes"), KEPT)
def test_what_is_right_is_let_through(rule: str, changes: Changes) -> None:
    assert told(changes, secret=["anchors"]) == []


def without(name: str, functions: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(function for function in functions if function.__name__ != name)


def names_of_rules() -> set[str]:
    return {rule.__name__ for rule in (*rules.RULES, *extensions().rules)}


def test_every_rule_has_cases_on_both_sides() -> None:
    names = names_of_rules()
    assert {rule for rule, *_ in BROKEN} == names
    assert {rule for rule, _ in KEPT} == names


def test_every_rule_says_what_it_demands_and_why() -> None:
    for rule in (*rules.RULES, *extensions().rules):
        demand, *why = (rule.__doc__ or "").strip().split("\n\n")
        assert demand.startswith("Demand "), rule
        assert why, rule


def test_rules_tell_settings_that_hold_nothing_wrong() -> None:
    assert rules.mistakes_of(load()) == ()


def test_breaches_of_several_rules_come_together() -> None:
    lines = told(
        {
            "clusters.dev": {},
            "anchors.g1.validFor": REMOVED,
            "services.web.namespace": "other",
            "services.web.duration": "30m",
        }
    )
    assert [line.partition(":")[0] for line in lines] == [
        "clusters.dev",
        "anchors.g1.validFor",
        "services.web.duration",
        "services.web.renewBefore",
        "services.web.namespace",
    ]


def test_a_mistake_reads_as_path_and_message() -> None:
    assert str(Mistake(path="trust.name", message="no")) == "trust.name: no"
