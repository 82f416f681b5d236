"""Declares what the relay reads in each cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_tls as tls

from mtls_pki.components.gloo_relay import (
    GlooRelay,
    GlooRelayArgs,
    MeshRoot,
    RelayAuthority,
    RelayAuthorityArgs,
    RelayLeaf,
)
from mtls_pki.components.trust_anchor import CaProfile
from mtls_pki.consumers.declare import Declare, Place
from mtls_pki.consumers.gloo import objects
from mtls_pki.consumers.gloo.names import (
    certificates_not_before,
    gloo_clusters,
    gloo_settings,
    mesh_common_name,
    relay_common_name,
    server_names,
    telemetry_names,
)
from mtls_pki.consumers.gloo.section import (
    NAME,
    GlooSettings,
    MeshRootSettings,
    RelayAuthoritySettings,
)
from mtls_pki.consumers.gloo.values import agent_values, management_values, mesh_object
from mtls_pki.pki.certificates import Validity
from mtls_pki.settings.names import certified_from, certifying_generations


class GlooDeclare(Declare):
    """The relay's CA, and its Secrets in every cluster."""

    def declare(self) -> None:
        """Declare all of it."""
        gloo = gloo_settings(self.stack.settings)
        if gloo is None:
            return
        provider = tls.Provider("tls-gloo")
        authorities = {
            generation: self._authority(
                "relay",
                generation,
                gloo.authority,
                provider,
                common_name=relay_common_name(self.stack.settings, gloo, generation),
                path_length=0,
            )
            for generation in certifying_generations(self.stack.settings)
        }
        mesh = self._mesh(gloo.mesh_root, provider) if gloo.mesh_root is not None else None
        for cluster in gloo_clusters(self.stack.settings):
            place = self.stack.clusters[cluster]
            issuing = self.stack.settings.issuing_generation
            relay = GlooRelay(
                f"{cluster}-gloo",
                self._args(gloo, cluster, place, authorities[issuing], mesh),
                place.options,
                key_provider=provider,
            )
            place.keep(relay.guarded, f"consumer/{NAME}/{cluster}")

    def outputs(self) -> Mapping[str, Any]:
        """Return ``glooValues``: Helm values of Gloo Mesh, by cluster."""
        gloo = gloo_settings(self.stack.settings)
        if gloo is None:
            return {}
        agents = {cluster: agent_values(gloo, cluster) for cluster in gloo.workloads}
        values = {"management": management_values(gloo), "agents": agents}
        if gloo.mesh_root is not None:
            values["mesh"] = mesh_object(gloo, gloo.mesh_root)
        return {"glooValues": values}

    def _authority(
        self,
        of: str,
        generation: str,
        section: RelayAuthoritySettings,
        provider: tls.Provider,
        *,
        common_name: str,
        path_length: int,
    ) -> RelayAuthority:
        anchor = self.stack.settings.anchors[generation]
        begin = certified_from(anchor, section.valid_from)
        profile = CaProfile(
            common_name=common_name,
            not_before=begin,
            not_after=begin + section.valid_for,
            path_length=path_length,
            key_algorithm=section.key_algorithm,
        )
        return RelayAuthority(
            f"{of}-{generation}",
            RelayAuthorityArgs(
                profile=profile,
                generation=section.generation,
                anchor=self.stack.anchors[generation],
            ),
            pulumi.ResourceOptions(provider=provider),
        )

    def _mesh(self, root: MeshRootSettings, provider: tls.Provider) -> MeshRoot:
        settings = self.stack.settings
        signing = {
            generation: self._authority(
                "mesh",
                generation,
                root,
                provider,
                common_name=mesh_common_name(settings, root, generation),
                # Gloo makes a CA for each mesh below it.
                path_length=1,
            ).signing
            for generation in certifying_generations(settings)
        }
        issuing = settings.issuing_generation
        return MeshRoot(
            signing=signing[issuing],
            anchor_pem=self.stack.anchors[issuing].certificate_pem,
            others=[each.chain_pem for name, each in signing.items() if name != issuing],
        )

    def _args(
        self,
        gloo: GlooSettings,
        cluster: str,
        place: Place,
        authority: RelayAuthority,
        mesh: MeshRoot | None,
    ) -> GlooRelayArgs:
        settings = self.stack.settings
        issuing = settings.issuing_generation
        begin = certificates_not_before(settings.anchors[issuing], gloo)
        management = cluster == gloo.management
        return GlooRelayArgs(
            namespace=gloo.namespace,
            certificates_name=objects.CERTIFICATES,
            root_secret_name=objects.ROOT_SECRET,
            leaves=tuple(_leaves(gloo, cluster)),
            validity=Validity(begin, begin + gloo.certificates.valid_for),
            key_algorithm=gloo.certificates.key_algorithm,
            key_generation=f"{issuing}-{gloo.authority.generation}",
            authority=authority,
            signing_secret_name=objects.SIGNING_SECRET if management and gloo.signing else None,
            mesh=mesh,
            mesh_cas_key=objects.MESH_CAS_KEY,
            mesh_secret_name=gloo.mesh_root.secret_name if management and gloo.mesh_root else None,
            roots=self.stack.roots,
            guard=place.guard,
            delete_guard=place.delete_guard,
            on_failure=place.on_failure,
        )


def _leaves(gloo: GlooSettings, cluster: str) -> list[RelayLeaf]:
    found = []
    if cluster == gloo.management:
        found.append(
            RelayLeaf(
                secret_name=objects.SERVER_SECRET,
                dns_names=server_names(gloo),
                shown_as=objects.SERVER_KEY,
            )
        )
        if gloo.release == "v2.3":
            found.append(
                RelayLeaf(
                    secret_name=objects.TELEMETRY_SECRET,
                    dns_names=telemetry_names(gloo),
                    shown_as=objects.TELEMETRY_KEY,
                )
            )
    if cluster in gloo.workloads:
        # Exactly the name under which the agent registers: the server knows it by this name.
        found.append(
            RelayLeaf(
                secret_name=objects.CLIENT_SECRET, dns_names=(cluster,), shown_as=objects.CLIENT_KEY
            )
        )
    return found
