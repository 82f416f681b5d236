"""A trust domain that a test rotates: its stack, its clusters, and the edits a person makes."""

from __future__ import annotations

import contextlib
import copy
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

from lab.api import Api
from lab.control_plane import ControlPlane
from mtls_pki.clusters.evidence import collect_evidence
from mtls_pki.pki.parsing import describe, parse_certificates
from mtls_pki.registry import extensions
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.rotation.position import Position, locate
from mtls_pki.rotation.stage import TrustStage
from mtls_pki.settings.load import load_settings
from mtls_pki.settings.model import Settings
from mtls_pki.settings.trust_domain import change_request
from tests.integration.support import cluster
from tests.integration.support.configuration import generated
from tests.integration.support.stack import Run, Stack

HOLD_DOWN_SECONDS = 6
# Times in the API server's records are whole seconds, so a hold-down may need one more.
_ROUNDING_SECONDS = 1


class Domain:
    """One trust domain in namespaces of its own.

    Attributes:
        name: of its namespace, and in all its other names.
        stack: the stack that declares it.
        planes: its clusters by name.
        values: its configuration; edit it, then ``apply`` or ``preview``.
    """

    def __init__(
        self, name: str, stack: Stack, planes: Sequence[ControlPlane], **sections: Any
    ) -> None:
        """Write the stack's first configuration, with anchor g1 issuing, and create the stack."""
        self.name = name
        self.stack = stack
        self.planes = {plane.name: plane for plane in planes}
        self.values: dict[str, Any] = {
            "trustDomain": f"{name}.example.org",
            "clusters": {plane.name: {"kubeconfig": str(plane.kubeconfig)} for plane in planes},
            "anchors": {"g1": generated("g1", name)},
            "issuing": {"kind": "Issuer", "name": f"{name}-ca", "intermediate": {}},
            "trust": {
                "name": self.bundle_name,
                "namespaces": [name],
                "createNamespaces": True,
                "holdDown": f"{HOLD_DOWN_SECONDS}s",
            },
            "services": {"web": {"namespace": name}},
            **sections,
        }
        stack.write(self.values)
        stack.init()

    @property
    def bundle_name(self) -> str:
        return f"{self.name}-trust"

    # Edits, as `add`, `promote` and `retire` make them

    @property
    def anchors(self) -> dict[str, dict[str, Any]]:
        anchors: dict[str, dict[str, Any]] = self.values["anchors"]
        return anchors

    def in_role(self, role: str) -> str:
        """The one generation in ``role``."""
        (generation,) = (name for name, each in self.anchors.items() if each["role"] == role)
        return generation

    def add(self, generation: str, role: str = "incoming", **fields: Any) -> None:
        """Add an anchor."""
        self.anchors[generation] = {**generated(generation, self.name, role), **fields}

    def promote(self) -> None:
        """Make the incoming anchor issuing and the issuing one outgoing."""
        incoming, issuing = self.in_role("incoming"), self.in_role("issuing")
        self.anchors[incoming]["role"] = "issuing"
        self.anchors[issuing]["role"] = "outgoing"

    def retire(self) -> str:
        """Remove the outgoing anchor and return its name."""
        outgoing = self.in_role("outgoing")
        del self.anchors[outgoing]
        return outgoing

    @contextlib.contextmanager
    def edited(self) -> Iterator[dict[str, Any]]:
        """Edit the configuration inside, and take the edit back afterwards."""
        before = copy.deepcopy(self.values)
        try:
            yield self.values
        finally:
            self.values = before

    # Commands

    def preview(self) -> Run:
        """``pulumi preview`` of the present configuration."""
        self.stack.write(self.values)
        return self.stack.preview()

    def try_apply(self) -> Run:
        """``pulumi up`` of the present configuration, whatever comes of it."""
        self.stack.write(self.values)
        return self.stack.try_up()

    def apply(self, *options: str) -> Run:
        """``pulumi up`` of the present configuration, which must not be refused."""
        self.stack.write(self.values)
        return self.stack.up(*options)

    def rotation(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``mtls-pki ... --stack STACK``, with the present configuration."""
        self.stack.write(self.values)
        return self.stack.rotation(*arguments)

    def hold_down(self) -> None:
        """Wait as long as the guard wants what was just applied to have been in place."""
        time.sleep(HOLD_DOWN_SECONDS + _ROUNDING_SECONDS)

    def refused(self, run: Run, *words: str) -> str:
        """Assert that ``run`` was refused by the guard with all of ``words``; return its output."""
        assert run.status != 0, run.output
        # The engine wraps nothing, but it indents.
        assert "refused:" in run.output, run.output
        assert "Traceback" not in run.output, run.output
        missing = [word for word in words if word not in run.output]
        assert not missing, f"{missing} is not in\n{run.output}"
        return run.output

    # What is out there

    @contextlib.contextmanager
    def api(self, name: str | None = None) -> Iterator[Api]:
        """The administrator of a cluster, the first one unless named."""
        plane = self.planes[name] if name else next(iter(self.planes.values()))
        with contextlib.closing(plane.api()) as api:
            yield api

    def bundle(self, name: str | None = None) -> str:
        """The trust bundle in one cluster."""
        with self.api(name) as api:
            return cluster.config_map(api, self.name, self.bundle_name)["ca.crt"]

    def roots(self, name: str | None = None) -> dict[str, str]:
        """The roots in the bundle of one cluster, by fingerprint."""
        end = "-----END CERTIFICATE-----\n"
        pems = [f"{each}{end}" for each in self.bundle(name).split(end) if each]
        return {describe(parse_certificates(p, origin="bundle")[0]).spki_sha256: p for p in pems}

    def write_bundle(self, pem: str, name: str | None = None) -> None:
        """Change the trust bundle of one cluster by hand."""
        path = f"/api/v1/namespaces/{self.name}/configmaps/{self.bundle_name}"
        with self.api(name) as api:
            cluster.patch(api, path, {"data": {"ca.crt": pem}})

    def leaf(self, service: str, name: str | None = None) -> dict[str, str]:
        """``tls.crt`` and ``tls.key`` of a service in one cluster."""
        with self.api(name) as api:
            return cluster.secret(api, self.name, f"{service}-tls")

    def anchors_in_bundles(self) -> set[str]:
        """Fingerprints of the anchors, which all bundles must agree on."""
        bundles = {name: self.bundle(name) for name in self.planes}
        assert len(set(bundles.values())) == 1, bundles
        found = self.roots()
        assert bundles.popitem()[1].count("-----BEGIN") == len(found)
        return set(found)

    def recorded(self, name: str | None = None) -> TrustStage:
        """The stage that one cluster's gate records."""
        with self.api(name) as api:
            data = cluster.config_map(api, "cert-manager", f"{self.bundle_name}-stage")
        return TrustStage.from_json(data["stage.json"], origin="gate")

    def fingerprint(self, generation: str) -> str:
        """The recorded fingerprint of an anchor."""
        found = self.recorded().anchors[generation].fingerprint
        assert found is not None
        return found

    def settings(self) -> Settings:
        """The settings that the configuration spells."""
        return load_settings(
            self.values,
            source="test",
            directory=self.stack.project,
            owner=f"mtls-pki/{self.stack.name}",
            secret_keys=(),
            extensions=extensions(),
        )

    def evidence(self) -> Evidence:
        """What the clusters show now."""
        return collect_evidence(self.settings())

    def position(self) -> Position:
        """What ``status`` tells: where the recorded stage stands."""
        stage = self.recorded()
        evidence = self.evidence()
        request = change_request(self.settings(), evidence, old=stage, new=stage)
        return locate(request, evidence, now=evidence.observed_at)

    def certificate(
        self,
        name: str,
        issuer: str,
        cluster_name: str | None = None,
        *,
        kind: str = "Issuer",
        group: str = "cert-manager.io",
    ) -> str:
        """Declare a Certificate beside the stack, wait until it is issued, and return its path."""
        path = f"{cluster.CERT_MANAGER}/namespaces/{self.name}/certificates/{name}"
        manifest = {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": {"name": name, "namespace": self.name},
            "spec": {
                "secretName": f"{name}-tls",
                "dnsNames": [f"{name}.{self.name}.svc"],
                "privateKey": {"algorithm": "ECDSA", "rotationPolicy": "Always"},
                "issuerRef": {"name": issuer, "kind": kind, "group": group},
            },
        }
        with self.api(cluster_name) as api:
            api.apply_text(path, json.dumps(manifest))
            cluster.wait_for(
                lambda: cluster.is_ready(api.request("GET", path)), f"Ready Certificate {name}"
            )
        return path

    def remove(self, certificate: str) -> None:
        """Delete the Certificate at this path, and the Secret that cert-manager leaves behind."""
        self.delete(certificate)
        name = certificate.rpartition("/")[2]
        self.delete(f"/api/v1/namespaces/{self.name}/secrets/{name}-tls")

    def delete(self, path: str, cluster_name: str | None = None) -> None:
        """Delete an object."""
        with self.api(cluster_name) as api:
            api.request("DELETE", path)

    def issuer(self, generation: str, intermediate: str = "i1", *, vault: bool = False) -> str:
        """Name of the issuer of a generation, whose issuing CA a Vault holds or not."""
        return f"{self.name}-ca-{generation}-{intermediate}{'-vault' * vault}"
