"""A backend and a consumer that only tests know, registered without a change of any other file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi_kubernetes.core.v1 import ConfigMap
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from rich.text import Text

from mtls_pki.backends import declare as backend_declare
from mtls_pki.backends.backend import Backend, Health
from mtls_pki.backends.declare import IssuerPlace
from mtls_pki.backends.table import BACKENDS
from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.sources.source import Issued, KnownTrust, Source, Trusted
from mtls_pki.components.issuer import Issuer
from mtls_pki.components.trust_anchor import TrustAnchor
from mtls_pki.consumers import declare as consumer_declare
from mtls_pki.consumers.consumer import Consumer
from mtls_pki.consumers.table import CONSUMERS
from mtls_pki.rotation.evidence import BundlePlace, Evidence, GateObservation
from mtls_pki.rotation.observation import observe_bundle, observe_leaf
from mtls_pki.settings.errors import Mistake
from mtls_pki.settings.extensions import BackendSettings, ConsumerSettings, IssuerApi
from mtls_pki.settings.model import Settings
from mtls_pki.settings.section import Section
from tests.unit.evidence import objects


class SafeSection(Section):
    """``issuing.safe``."""

    drawer: str


class SafeIssuerArgs:
    """What the issuer component is told."""

    def __init__(self, settings: Settings, place: IssuerPlace) -> None:
        self.kind = API.kind(settings.issuing.kind)
        self.issuer_name = place.name
        self.ready_timeout = settings.issuing.ready_timeout
        self.on_failure = place.on_failure
        self.guard = place.guard
        self.delete_guard = place.delete_guard


class SafeIssuer(Issuer):
    """An issuer that signs with what lies in a safe."""

    def __init__(self, args: SafeIssuerArgs, place: IssuerPlace, drawer: str) -> None:
        super().__init__(place.resource_name, args, place.options)
        self.declare_object(
            {"safe": {"drawer": drawer}},
            namespace=place.namespace,
            depends_on=[],
            api_version=API.api_version,
        )


class SafeDeclare(backend_declare.Declare):
    """Declares the issuers; the safe itself needs no resource."""

    opened: tuple[str, ...] = ()

    def __init__(self, settings: Settings, directory: Path, in_use: frozenset[str]) -> None:
        super().__init__(settings, directory, in_use)
        section = settings.issuing.section("safe")
        assert isinstance(section, SafeSection)
        if section.drawer == "locked":
            raise pulumi.RunError("the safe is locked; unlock it. Nothing was touched")
        self._drawer = section.drawer

    def authority(
        self, anchors: Mapping[str, TrustAnchor], depends_on: Sequence[pulumi.Resource]
    ) -> None:
        assert depends_on
        self.opened = tuple(anchors)

    def issuer(self, place: IssuerPlace, anchor: TrustAnchor) -> Issuer:
        assert place.generation in self.opened
        return SafeIssuer(SafeIssuerArgs(self.settings, place), place, self._drawer)


def drawers_have_numbers(settings: Settings) -> Iterator[Mistake]:
    section = settings.issuing.section("safe")
    if isinstance(section, SafeSection) and section.drawer == "unknown":
        yield Mistake(path="issuing.safe.drawer", message="'unknown': write its number")


class SafeHealth:
    """What the safe says of itself."""

    def to_json(self) -> dict[str, Any]:
        return {"closed": True}

    def view(self) -> Text:
        return Text("safe: closed")


class SafeSource(Source):
    """A leaf that nothing in a cluster shows: the safe alone knows whom it signed for."""

    def issued(self, cluster: Cluster, settings: Settings, trust: KnownTrust) -> Issued:
        leaf = observe_leaf(
            cluster=cluster.name,
            namespace="app",
            name="printer",
            kind="safe entry",
            declared=False,
            issuer="safe",
            chain_pem=objects.chain("g1"),
            anchors=trust.anchors,
        )
        return Issued(leaves=(leaf,) if leaf.live(trust.at) else ())


API = IssuerApi(
    group="safe.example.org",
    version="v1beta1",
    issuer="SafeIssuer",
    cluster_issuer="SafeClusterIssuer",
)


class SafeBackend(Backend):
    """Issuing CAs in a safe."""

    settings = BackendSettings(
        name="safe",
        section=SafeSection,
        key="safe",
        rules=(drawers_have_numbers,),
        authority="the safe",
        suffix="safe",
        keeps_key=True,
        issuer_api=API,
    )
    signer = "safe"
    issuer_spec = "safe"

    def declare(self) -> type[backend_declare.Declare]:
        return SafeDeclare

    def explain(self, message: str) -> str | None:
        return "turn the key" if "locked" in message else None

    def health(self, settings: Settings, directory: Path, evidence: Evidence) -> Health | None:
        return SafeHealth()

    def sources(self) -> tuple[Source, ...]:
        return (SafeSource(),)


class RadioSection(Section):
    """``consumers.fieldRadio``."""

    namespace: str
    held: tuple[str, ...] = ("g1",)


def radio_section(settings: Settings) -> RadioSection:
    section = settings.consumers.section("field_radio")
    assert isinstance(section, RadioSection)
    return section


class RadioDeclare(consumer_declare.Declare):
    """A ConfigMap with all trusted roots in each cluster."""

    def declare(self) -> None:
        for cluster, place in self.stack.clusters.items():
            ConfigMap(
                f"{cluster}-radio",
                metadata=ObjectMetaArgs(
                    name="radio", namespace=radio_section(self.stack.settings).namespace
                ),
                data={
                    f"{generation}.pem": anchor.certificate_pem
                    for generation, anchor in self.stack.anchors.items()
                    if self.stack.settings.anchors[generation].role.trusted
                },
                opts=place.options,
            )


class RadioSource(Source):
    """The bundle that the radios hold."""

    def trusted(
        self, cluster: Cluster, settings: Settings, gate: GateObservation | None
    ) -> Trusted:
        del gate
        place = BundlePlace(
            cluster=cluster.name, namespace="field", name="radio", key="roots", kind="Radio"
        )
        pem = "".join(map(objects.root, radio_section(settings).held))
        return Trusted(bundles=(observe_bundle(place, pem, changed_at=objects.NOW),))


class RadioConsumer(Consumer):
    """Radios that verify peers by the roots they are given."""

    settings = ConsumerSettings(name="field_radio", section=RadioSection)

    def declare(self) -> type[consumer_declare.Declare]:
        return RadioDeclare

    def sources(self) -> tuple[Source, ...]:
        return (RadioSource(),)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are in the tables during one test."""
    monkeypatch.setitem(BACKENDS, "safe", SafeBackend())
    monkeypatch.setitem(CONSUMERS, "field_radio", RadioConsumer())
