"""What a step-ca needs that signs below an anchor: its key, its provisioner, what runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pulumi
import pulumi_tls as tls
from cryptography.hazmat.primitives.serialization import Encoding
from pulumi import Input, Output
from pulumi_kubernetes.apps.v1 import StatefulSet, StatefulSetSpecArgs
from pulumi_kubernetes.core.v1 import (
    CapabilitiesArgs,
    ConfigMap,
    ConfigMapVolumeSourceArgs,
    ContainerArgs,
    ContainerPortArgs,
    HTTPGetActionArgs,
    PersistentVolumeClaimArgs,
    PersistentVolumeClaimSpecArgs,
    PodSecurityContextArgs,
    PodSpecArgs,
    PodTemplateSpecArgs,
    ProbeArgs,
    ResourceRequirementsArgs,
    SeccompProfileArgs,
    Secret,
    SecretVolumeSourceArgs,
    SecurityContextArgs,
    Service,
    ServicePortArgs,
    ServiceSpecArgs,
    VolumeArgs,
    VolumeMountArgs,
    VolumeResourceRequirementsArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs
from pulumi_kubernetes.networking.v1 import (
    NetworkPolicy,
    NetworkPolicyIngressRuleArgs,
    NetworkPolicyPeerArgs,
    NetworkPolicyPortArgs,
    NetworkPolicySpecArgs,
)

from mtls_pki.components.kubernetes_options import (
    GuardedObject,
    explained_by,
    guarded_by,
    owned,
)
from mtls_pki.components.trust_anchor import SigningPair
from mtls_pki.pki.jose import ProvisionerKey, provisioner_key
from mtls_pki.pki.key_algorithms import KEY_KINDS
from mtls_pki.pki.parsing import parse_certificates
from mtls_pki.pki.signatures import is_self_signed

PORT = 9000
"""Where step-ca listens in its pod; the Service has 443."""

# Where the chart step-certificates mounts what is declared here (its templates/ca.yaml).
_HOME = "/home/step"
_USER = 1000
_NAME_LABEL, _INSTANCE_LABEL = "app.kubernetes.io/name", "app.kubernetes.io/instance"


class StepProvisioner(pulumi.ComponentResource):
    """A JWK provisioner: its key is made once, and all else is a function of it.

    Attributes:
        provisioner_name: what step-issuer calls it by, with ``kid``.
        kid: thumbprint of its public key (RFC 7638). Not a name: step-ca knows it by nothing else.
        configuration: its entry in ``ca.json``, without claims.
        password: decrypts its key; secret.
    """

    provisioner_name: str
    kid: Output[str]
    configuration: Output[dict[str, Any]]
    password: Output[str]

    def __init__(
        self, name: str, provisioner_name: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare the key; constructing raises nothing."""
        super().__init__("mtls-pki:index:StepProvisioner", name, None, opts)
        key = tls.PrivateKey(
            f"{name}-provisioner-key",
            **KEY_KINDS["P-256"].tls,
            # Another one costs nothing: its step-ca and its issuers change together with it.
            opts=pulumi.ResourceOptions(parent=self, protect=False),
        )
        made = key.private_key_pem_pkcs8.apply(provisioner_key)
        self.provisioner_name = provisioner_name
        self.kid = Output.unsecret(made.apply(lambda one: one.kid))
        # Whoever reaches the step-ca is given the encrypted key too.
        self.configuration = Output.unsecret(
            made.apply(lambda one: _provisioner(provisioner_name, one))
        )
        self.password = made.apply(lambda one: one.password)
        self.register_outputs({"kid": self.kid})


def _provisioner(name: str, key: ProvisionerKey) -> dict[str, Any]:
    return {"type": "JWK", "name": name, "key": key.public, "encryptedKey": key.encrypted}


@dataclass(frozen=True, kw_only=True)
class StepCaArgs:
    """Arguments of :class:`StepCa`.

    Attributes:
        name: of its Service, and with a suffix of its other objects.
        namespace: of all of them.
        signing: the issuing CA.
        roots: what its clients shall trust, PEM, its own first.
        provisioner: by which step-issuer signs.
        url: how step-issuer reaches it; the host gets into its server certificate.
        shared_service: name of the Service that leads to whichever step-ca issues now; it gets
            into the server certificate too.
        cluster_domain: of the cluster.
        shortest_leaf: that the provisioner allows.
        longest_leaf: that the provisioner allows.
        deploy: declare Service, StatefulSet and NetworkPolicy too.
        image: of step-ca.
        storage: size of the volume for its database.
        issuer_namespace: where step-issuer runs, from which alone it can be reached.
        on_failure: hook that says why an operation failed.
        guard: hook that judges before what it signs with is written.
        delete_guard: hook that judges whether that may be deleted.
    """

    name: str
    namespace: str
    signing: SigningPair
    roots: Sequence[Output[str]]
    provisioner: StepProvisioner
    url: str
    shared_service: str
    cluster_domain: str
    shortest_leaf: timedelta
    longest_leaf: timedelta
    deploy: bool
    image: str
    storage: str
    issuer_namespace: str
    on_failure: pulumi.ErrorHook | None = None
    guard: pulumi.ResourceHook | None = None
    delete_guard: pulumi.ResourceHook | None = None


class StepCa(pulumi.ComponentResource):
    """The step-ca of one generation in one cluster.

    Names and keys of its Secrets and ConfigMaps are those of the chart step-certificates with
    ``existingSecrets.enabled``. A step-ca reads them when it starts, and nothing here restarts one:
    cert-manager would wait an hour for a leaf that falls due meanwhile. Another generation is
    another step-ca.

    Attributes:
        guarded: what it signs with.
    """

    guarded: tuple[GuardedObject, ...]

    def __init__(
        self, name: str, args: StepCaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Declare its objects; constructing raises nothing."""
        super().__init__("mtls-pki:index:StepCa", name, None, opts)
        self._name, self._args = name, args
        self._plain = pulumi.ResourceOptions(parent=self, hooks=explained_by(args.on_failure))
        self._guarded = pulumi.ResourceOptions(
            parent=self,
            hooks=guarded_by(args.guard, args.delete_guard, on_failure=args.on_failure),
            delete_before_replace=True,
        )
        self.guarded = self._files()
        if args.deploy:
            self._workload()
        self.register_outputs({})

    def _files(self) -> tuple[GuardedObject, ...]:
        args = self._args
        chain = args.signing.chain_pem.apply(_without_root)
        certificates = {
            "intermediate_ca.crt": chain,
            **{_root_file(index): root for index, root in enumerate(args.roots)},
        }
        configuration = args.provisioner.configuration.apply(
            lambda provisioner: json.dumps(_configuration(args, provisioner), indent=2)
        )
        # A step-ca asks for a password although its key file needs none.
        passwords = {"password": args.provisioner.password}
        return (
            self._public_file("certs", certificates),
            self._public_file("config", {"ca.json": configuration}),
            self._secret_file("secrets", {"intermediate_ca_key": args.signing.key_pem}),
            self._secret_file("ca-password", passwords),
            self._secret_file("provisioner-password", passwords),
        )

    def _public_file(self, suffix: str, content: Mapping[str, Input[str]]) -> GuardedObject:
        metadata = _metadata(f"{self._args.name}-{suffix}", self._args)
        made = ConfigMap(
            f"{self._name}-{suffix}", metadata=metadata, data=content, opts=self._guarded
        )
        return self._guarded_object(made, suffix)

    def _secret_file(self, suffix: str, content: Mapping[str, Input[str]]) -> GuardedObject:
        metadata = _metadata(f"{self._args.name}-{suffix}", self._args)
        made = Secret(
            f"{self._name}-{suffix}", metadata=metadata, string_data=content, opts=self._guarded
        )
        return self._guarded_object(made, suffix)

    def _guarded_object(self, made: pulumi.Resource, suffix: str) -> GuardedObject:
        name = f"{self._args.name}-{suffix}"
        return GuardedObject(resource=made, namespace=self._args.namespace, name=name)

    def _workload(self) -> None:
        args = self._args
        Service(
            f"{self._name}-service",
            metadata=_metadata(args.name, args),
            spec=service_spec(args.name),
            opts=self._plain,
        )
        NetworkPolicy(
            f"{self._name}-network",
            metadata=_metadata(args.name, args),
            spec=_network(args),
            opts=self._plain,
        )
        StatefulSet(
            f"{self._name}-server",
            metadata=_metadata(args.name, args),
            spec=_stateful_set(args),
            opts=self._plain,
        )


def service_spec(step_ca: str) -> ServiceSpecArgs:
    """Return the spec of a Service that leads to the step-ca of this name."""
    return ServiceSpecArgs(
        selector=_selector(step_ca),
        ports=[ServicePortArgs(name="https", port=443, target_port="https")],
    )


def _selector(step_ca: str) -> dict[str, str]:
    return {_NAME_LABEL: "step-ca", _INSTANCE_LABEL: step_ca}


def _labels(args: StepCaArgs) -> dict[str, str]:
    return _selector(args.name)


def _metadata(name: str, args: StepCaArgs) -> ObjectMetaArgs:
    return ObjectMetaArgs(
        name=name, namespace=args.namespace, annotations=owned(), labels=_labels(args)
    )


def _root_file(index: int) -> str:
    return f"root_ca_{index}.crt" if index else "root_ca.crt"


def _without_root(chain_pem: str) -> str:
    certificates = parse_certificates(chain_pem, origin="the issuing CA")
    return "".join(
        each.public_bytes(Encoding.PEM).decode()
        for each in certificates
        if not is_self_signed(each)
    )


def _configuration(args: StepCaArgs, provisioner: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``ca.json`` (certificates, authority/config/config.go)."""
    scopes = (f"{args.namespace}.svc", f"{args.namespace}.svc.{args.cluster_domain}")
    host, port = urlsplit(args.url).hostname, urlsplit(args.url).port
    names = [
        f"{service}.{scope}" for service in (args.name, args.shared_service) for scope in scopes
    ]
    seconds = {
        "minTLSCertDuration": f"{int(args.shortest_leaf.total_seconds())}s",
        "maxTLSCertDuration": f"{int(args.longest_leaf.total_seconds())}s",
        "defaultTLSCertDuration": f"{int(args.longest_leaf.total_seconds())}s",
    }
    return {
        "root": [f"{_HOME}/certs/{_root_file(index)}" for index, _ in enumerate(args.roots)],
        "crt": f"{_HOME}/certs/intermediate_ca.crt",
        "key": f"{_HOME}/secrets/intermediate_ca_key",
        "address": f":{PORT if args.deploy or port is None else port}",
        "dnsNames": list(dict.fromkeys([*names, *([host] if host else [])])),
        "logger": {"format": "json"},
        "db": {"type": "badgerv2", "dataSource": f"{_HOME}/db"},
        "authority": {"provisioners": [{**provisioner, "claims": seconds}]},
        "tls": {"minVersion": 1.2, "maxVersion": 1.3},
    }


def _network(args: StepCaArgs) -> NetworkPolicySpecArgs:
    """Let step-issuer in, and nothing out: a step-ca asks nobody."""
    namespace = {"kubernetes.io/metadata.name": args.issuer_namespace}
    return NetworkPolicySpecArgs(
        pod_selector=LabelSelectorArgs(match_labels=_labels(args)),
        policy_types=["Ingress", "Egress"],
        ingress=[
            NetworkPolicyIngressRuleArgs(
                from_=[
                    NetworkPolicyPeerArgs(
                        namespace_selector=LabelSelectorArgs(match_labels=namespace)
                    )
                ],
                ports=[NetworkPolicyPortArgs(port="https")],
            )
        ],
        egress=[],
    )


def _stateful_set(args: StepCaArgs) -> StatefulSetSpecArgs:
    labels = _labels(args)
    return StatefulSetSpecArgs(
        # Its database can be opened by one process alone.
        replicas=1,
        service_name=args.name,
        selector=LabelSelectorArgs(match_labels=labels),
        template=PodTemplateSpecArgs(
            metadata=ObjectMetaArgs(labels=labels),
            spec=PodSpecArgs(
                automount_service_account_token=False,
                enable_service_links=False,
                security_context=PodSecurityContextArgs(
                    run_as_non_root=True,
                    run_as_user=_USER,
                    run_as_group=_USER,
                    fs_group=_USER,
                    seccomp_profile=SeccompProfileArgs(type="RuntimeDefault"),
                ),
                containers=[_container(args)],
                volumes=[
                    VolumeArgs(name=volume, config_map=ConfigMapVolumeSourceArgs(name=source))
                    for volume, source in (
                        ("certs", f"{args.name}-certs"),
                        ("config", f"{args.name}-config"),
                    )
                ]
                + [
                    VolumeArgs(
                        name=volume,
                        secret=SecretVolumeSourceArgs(secret_name=source, default_mode=0o440),
                    )
                    for volume, source in (
                        ("secrets", f"{args.name}-secrets"),
                        ("passwords", f"{args.name}-ca-password"),
                    )
                ],
            ),
        ),
        volume_claim_templates=[
            PersistentVolumeClaimArgs(
                metadata=ObjectMetaArgs(name="db"),
                spec=PersistentVolumeClaimSpecArgs(
                    access_modes=["ReadWriteOnce"],
                    resources=VolumeResourceRequirementsArgs(requests={"storage": args.storage}),
                ),
            )
        ],
    )


def _container(args: StepCaArgs) -> ContainerArgs:
    return ContainerArgs(
        name="step-ca",
        image=args.image,
        command=["/usr/local/bin/step-ca"],
        args=["--password-file", f"{_HOME}/passwords/password", f"{_HOME}/config/ca.json"],
        ports=[ContainerPortArgs(name="https", container_port=PORT)],
        startup_probe=_probe(every=1, failures=60),
        readiness_probe=_probe(every=5, failures=3),
        liveness_probe=_probe(every=20, failures=6),
        resources=ResourceRequirementsArgs(
            requests={"cpu": "50m", "memory": "64Mi"}, limits={"memory": "256Mi"}
        ),
        security_context=SecurityContextArgs(
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities=CapabilitiesArgs(drop=["ALL"]),
        ),
        volume_mounts=[
            VolumeMountArgs(name=volume, mount_path=f"{_HOME}/{volume}", read_only=volume != "db")
            for volume in ("certs", "config", "secrets", "passwords", "db")
        ],
    )


def _probe(*, every: int, failures: int) -> ProbeArgs:
    return ProbeArgs(
        http_get=HTTPGetActionArgs(path="/health", port="https", scheme="HTTPS"),
        period_seconds=every,
        failure_threshold=failures,
    )
