"""The real ``__main__.py`` under a recording stand-in for the engine.

Pulumi's own mocks show a resource's inputs and little else. This monitor also keeps the options
(protect, retainOnDelete, dependencies, provider, time-outs, hooks) and what components and the
stack register as outputs, and it keeps secrets apart from plain values all the way, as the engine
does: whatever a resource names in additionalSecretOutputs comes back to the program as a secret.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import re
import runpy
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import (  # type: ignore[import-untyped]
    empty_pb2,
    json_format,
    struct_pb2,
)
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_in_stack

from mtls_pki.pki.requests import certificate_signing_request
from tests.unit.pki import material

PROGRAM = Path(__file__).parents[3] / "__main__.py"
STACK_TYPE = "pulumi:pulumi:Stack"

_KIND_OF_ALGORITHM = {
    ("ECDSA", "P256", None): "p256",
    ("ECDSA", "P384", None): "p384",
    ("RSA", None, 2048): "rsa2048",
    ("ED25519", None, None): "ed25519",
}


@dataclass(frozen=True)
class Secret:
    """A value that the program gave, or registered, as a secret."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One registered resource, with its options; ``inputs`` hold :class:`Secret` values."""

    type: str
    name: str
    urn: str
    parent: str
    provider: str
    providers: dict[str, str]
    inputs: dict[str, Any]
    custom: bool
    remote: bool
    protect: bool
    retain_on_delete: bool
    ignore_changes: tuple[str, ...]
    aliases: tuple[str, ...]
    replace_on_changes: tuple[str, ...]
    dependencies: frozenset[str]
    hooks: dict[str, tuple[str, ...]]
    timeouts: dict[str, str]

    @property
    def cluster(self) -> str:
        """The cluster that its Pulumi name begins with."""
        return re.split("[-/]", self.name)[0]

    @property
    def marks(self) -> dict[str, str]:
        """The annotations that say whose it is."""
        annotations: dict[str, str] = self.metadata["annotations"]
        return {key: text for key, text in annotations.items() if key.startswith("mtls-pki/")}

    @property
    def kind(self) -> str:
        """The last part of the type: ``Certificate``, ``ConfigMap``, ``TrustAnchor``."""
        return self.type.rpartition(":")[2]

    @property
    def metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self.inputs["metadata"]
        return metadata

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.inputs["spec"]
        return spec


@dataclass(kw_only=True)
class Program:
    """What one run declared, registered, logged and hooked."""

    resources: list[Declared] = field(default_factory=list)
    outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    hooks: dict[str, pulumi.ErrorHook | pulumi.ResourceHook] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)

    def of(self, kind: str) -> list[Declared]:
        """Every resource of a kind, in the order of their names."""
        return sorted((r for r in self.resources if r.kind == kind), key=lambda r: r.name)

    def one(self, kind: str, name: str) -> Declared:
        """The one resource of this kind and Pulumi name."""
        (found,) = [r for r in self.resources if r.kind == kind and r.name == name]
        return found

    def object(self, kind: str, name: str, *, namespace: str | None = None) -> Declared:
        """The one Kubernetes object of this kind and name."""
        (found,) = [
            r
            for r in self.resources
            if r.kind == kind
            and r.inputs.get("metadata", {}).get("name") == name
            and (namespace is None or r.metadata.get("namespace") == namespace)
        ]
        return found

    @property
    def by_urn(self) -> dict[str, Declared]:
        return {r.urn: r for r in self.resources}

    @property
    def exports(self) -> dict[str, Any]:
        """The stack's outputs."""
        (found,) = [v for urn, v in self.outputs.items() if f"::{STACK_TYPE}::" in urn]
        return found

    def tls_data(self, name: str, *, namespace: str | None = None) -> dict[str, str]:
        """What the CA Secret of this name holds; the whole of it must have been given as secret."""
        data = self.object("Secret", name, namespace=namespace).inputs["stringData"]
        assert isinstance(data, Secret)
        assert isinstance(data.value, dict)
        return data.value

    def outputs_of(self, resource: Declared) -> dict[str, Any]:
        """What a component registered as its outputs."""
        return self.outputs[resource.urn]

    def waits_for(self, resource: Declared) -> set[str]:
        """The names of all resources that come before this one.

        Directly or not, and what its component waits for too: the SDK registers a child only when
        its parent is registered, and the engine deletes a parent only when its children are gone.
        """
        seen: set[str] = set()
        todo = {*resource.dependencies, resource.parent}
        while todo:
            urn = todo.pop()
            if urn in self.by_urn and urn not in seen:
                seen.add(urn)
                todo |= {*self.by_urn[urn].dependencies, self.by_urn[urn].parent}
        return {self.by_urn[urn].name for urn in seen}


def plain(value: Any) -> Any:
    """The value without its secrets, for which ``None`` stands."""
    if isinstance(value, Secret):
        return None
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def texts(value: Any) -> Iterator[str]:
    """Every text within a value, keys too, secrets not."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from value
        for child in value.values():
            yield from texts(child)
    elif isinstance(value, Iterable) and not isinstance(value, Secret):
        for child in value:
            yield from texts(child)


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(v) for v in value]
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return Secret(_decoded(value["value"]))
        return {key: _decoded(v) for key, v in value.items()}
    return value


def _from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    decoded = _decoded(json_format.MessageToDict(struct))
    assert isinstance(decoded, dict)
    return decoded


def _unwrapped(value: Any) -> Any:
    """The value as a provider sees it: secrets are plain to it."""
    if isinstance(value, Secret):
        return _unwrapped(value.value)
    if isinstance(value, dict):
        return {key: _unwrapped(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_unwrapped(v) for v in value]
    return value


def _as_secret(value: Any) -> dict[str, Any]:
    return {rpc._special_sig_key: rpc._special_secret_sig, "value": value}


KeyMaker = Callable[[str, str], str]


class RecordingMonitor(mocks.MockMonitor):
    """The engine's side of the conversation: records, and answers with a provider's outputs."""

    def __init__(self, program: Program, make_key: KeyMaker, *, preview: bool) -> None:
        super().__init__(mocks=_NoMocks())
        self._program = program
        self._make_key = make_key
        self._preview = preview
        self._lock = threading.Lock()

    def RegisterResource(  # noqa: N802 the protocol's name
        self, request: resource_pb2.RegisterResourceRequest
    ) -> resource_pb2.RegisterResourceResponse:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        declared = Declared(
            type=request.type,
            name=request.name,
            urn=urn,
            parent=request.parent,
            provider=request.provider,
            providers=dict(request.providers),
            inputs=_from_struct(request.object),
            custom=request.custom,
            remote=request.remote,
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            ignore_changes=tuple(request.ignoreChanges),
            aliases=tuple(alias.spec.name for alias in request.aliases),
            replace_on_changes=tuple(request.replaceOnChanges),
            dependencies=frozenset(request.dependencies),
            hooks={field.name: tuple(names) for field, names in request.hooks.ListFields()},
            timeouts={
                operation: value
                for operation in ("create", "update", "delete")
                if (value := getattr(request.customTimeouts, operation))
            },
        )
        with self._lock:
            assert all(other.urn != urn for other in self._program.resources), f"twice: {urn}"
            self._program.resources.append(declared)
        state = struct_pb2.Struct()
        state.update(self._state(declared, frozenset(request.additionalSecretOutputs)))
        return resource_pb2.RegisterResourceResponse(
            urn=urn, id=f"{request.name}-id" if request.custom else "", object=state
        )

    def _state(self, declared: Declared, secret: frozenset[str]) -> dict[str, Any]:
        state = _unwrapped(declared.inputs)
        if declared.type == "tls:index/privateKey:PrivateKey":
            inputs = declared.inputs
            kind = _KIND_OF_ALGORITHM[
                inputs["algorithm"], inputs.get("ecdsaCurve"), inputs.get("rsaBits")
            ]
            state["privateKeyPemPkcs8"] = (
                rpc.UNKNOWN if self._preview else self._make_key(declared.name, kind)
            )
        if declared.kind == "SecretBackendIntermediateCertRequest":
            state["csr"] = rpc.UNKNOWN if self._preview else self._request(declared)
        if declared.kind == "SecretBackendIssuer":
            state["issuerId"] = declared.inputs["issuerRef"]
        return {key: _as_secret(value) if key in secret else value for key, value in state.items()}

    def _request(self, declared: Declared) -> str:
        """What a Vault answers: a request by a key that stays there."""
        return certificate_signing_request(
            key_pem=self._make_key(declared.name, "p256"),
            common_name=declared.inputs["commonName"],
        )

    def RegisterResourceOutputs(  # noqa: N802 the protocol's name
        self, request: resource_pb2.RegisterResourceOutputsRequest
    ) -> empty_pb2.Empty:
        with self._lock:
            self._program.outputs[request.urn] = _from_struct(request.outputs)
        return empty_pb2.Empty()


class _NoMocks(mocks.Mocks):
    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        if args.token.endswith(":readStackOutputs"):
            return {"outputs": {}}
        raise AssertionError(f"the program called {args.token}; it reads nothing by providers")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        raise AssertionError(f"{args.typ} was read or registered past the recorder")


@dataclass(frozen=True)
class _Hooks:
    """Stands for the server by which the engine calls hooks: keeps the hooks themselves."""

    program: Program

    def register_error_hook(self, hook: pulumi.ErrorHook) -> None:
        self._register(hook)

    def register_resource_hook(self, hook: pulumi.ResourceHook) -> None:
        self._register(hook)

    def _register(self, hook: pulumi.ErrorHook | pulumi.ResourceHook) -> None:
        assert hook.name not in self.program.hooks, f"hook {hook.name} registered twice"
        self.program.hooks[hook.name] = hook


class _Log(logging.Handler):
    def __init__(self, program: Program) -> None:
        super().__init__()
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        self._program.logged.append(record.getMessage())


def run_program(
    config: Mapping[str, Any],
    *,
    secret: Iterable[str] = (),
    preview: bool = False,
    make_key: KeyMaker = material.key_pem,
    foreign: Mapping[str, str] | None = None,
    into: Program | None = None,
) -> Program:
    """Run ``__main__.py`` in the current directory and return what it declared.

    Args:
        config: top-level key (without ``mtls-pki:``) -> decoded value, secrets in clear.
        secret: the top-level keys that hold an encrypted value.
        preview: as ``pulumi preview`` of a new stack, where keys are not known yet.
        make_key: name of a tls.PrivateKey and its kind -> PKCS#8 PEM.
        foreign: configuration of others, with its prefix.
        into: what to record into, for runs that raise.
    """
    program = Program() if into is None else into
    # As the engine hands configuration over: objects as JSON, scalars as they are.
    own = {
        f"mtls-pki:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in config.items()
    }

    def code() -> None:
        set_all_config(own | dict(foreign or {}), [f"mtls-pki:{key}" for key in secret])
        runpy.run_path(str(PROGRAM), run_name="__main__")

    run_code(code, preview=preview, make_key=make_key, into=program)
    return program


def run_code(
    code: Callable[[], None],
    *,
    preview: bool = False,
    make_key: KeyMaker = material.key_pem,
    into: Program | None = None,
) -> Program:
    """Run any code that declares resources; arguments as those of :func:`run_program`."""
    program = Program() if into is None else into
    # The SDK keeps its settings in context variables: a copy leaves nothing behind for other tests.
    contextvars.copy_context().run(_run, program, code, preview, make_key)
    return program


def _run(program: Program, code: Callable[[], None], preview: bool, make_key: KeyMaker) -> None:
    logger = logging.Logger("engine", level=logging.INFO)
    logger.addHandler(_Log(program))
    settings.configure(
        mocks.MockSettings(  # type: ignore[no-untyped-call]
            monitor=RecordingMonitor(program, make_key, preview=preview),
            monitor_features=set(),
            engine=mocks.MockEngine(logger),
            project="mtls-pki",
            stack="test",
            organization="organization",
            dry_run=preview,
            callbacks=_Hooks(program),
        )
    )
    asyncio.run(run_in_stack(code))
