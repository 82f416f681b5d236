"""What the toolchain can build: one row for each directory under ``lab/tools``.

A row names the Go packages and what is copied out of a module; the versions themselves are in
``go.mod`` and nowhere else, except where a program must be told its own version.
Source: the release builds of the projects named (their ``-X`` linker flags and file layouts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class Part:
    """One Go module of a tool: a directory with a ``go.mod`` and ``go.sum`` of its own.

    Attributes:
        directory: below the tool's directory; ``.`` where the tool has one part only.
        binaries: Go package by name of the binary.
        stamps: value by Go variable, set by the linker (``-X``): versions that a program reports.
        module: module (a path in ``go.mod``) that ``sources``, ``scripts`` and ``share`` come from.
        sources: files of the module to copy next to ``main.go`` before the build, for ``go:embed``.
        scripts: files of the module to copy next to the binary, with the execute bit.
        share: directory of the module by name under ``share/``: manifests and charts.
        chart_version: what the module's release process writes in place of ``v0.0.0`` in
            ``share/chart/Chart.yaml``.
    """

    directory: str = "."
    binaries: Mapping[str, str]
    stamps: Mapping[str, str] = field(default_factory=dict)
    module: str | None = None
    sources: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()
    share: Mapping[str, str] = field(default_factory=dict)
    chart_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Tool:
    """What is built, kept and thrown away together.

    Attributes:
        name: its directory under ``lab/tools``.
        parts: more than one only where the binaries must be in one directory but cannot share
            one set of dependencies.
        seconds: about how long a first build takes on two cores, to tell the user; not a limit.
    """

    name: str
    parts: tuple[Part, ...]
    seconds: int

    @property
    def binaries(self) -> tuple[str, ...]:
        """The names of all its binaries, in the order in which they are built."""
        return tuple(binary for part in self.parts for binary in part.binaries)


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A Pulumi resource plugin: the version is the one that the pinned Python package asks for."""

    binary: str
    name: str
    version: str


_PULUMI_VERSION = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
_KUBERNETES_VERSION = "k8s.io/component-base/version"
# Clients and Helm charts read the server's version; unset, it is not even valid.
_KUBERNETES_STAMPS = {
    f"{_KUBERNETES_VERSION}.gitVersion": "v1.36.1",
    f"{_KUBERNETES_VERSION}.gitMajor": "1",
    f"{_KUBERNETES_VERSION}.gitMinor": "36",
}

# In the order in which it pays to build them: quick ones first, and each after those whose compiled
# packages it can use.
TOOLS: tuple[Tool, ...] = (
    Tool(
        name="etcd",
        parts=(Part(binaries={"etcd": "go.etcd.io/etcd/server/v3"}),),
        seconds=60,
    ),
    Tool(
        name="kubernetes",
        parts=(
            Part(
                binaries={
                    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
                    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
                },
                stamps=_KUBERNETES_STAMPS,
            ),
        ),
        seconds=270,
    ),
    Tool(
        name="node",
        parts=(Part(binaries={"node": "."}, stamps=_KUBERNETES_STAMPS),),
        seconds=240,
    ),
    Tool(
        name="istio",
        parts=(
            Part(
                binaries={"pilot-discovery": "istio.io/istio/pilot/cmd/pilot-discovery"},
                module="istio.io/istio",
                share={
                    "crds": "manifests/charts/base/files",
                    "chart": "manifests/charts/istio-control/istio-discovery",
                },
            ),
        ),
        seconds=300,
    ),
    Tool(
        name="cert-manager",
        parts=(
            Part(
                binaries={"cert-manager": "."},
                stamps={"github.com/cert-manager/cert-manager/pkg/util.AppVersion": "v1.21.1"},
                module="github.com/cert-manager/cert-manager",
                share={"crds": "deploy/crds", "chart": "deploy/charts/cert-manager"},
                chart_version="v1.21.1",
            ),
        ),
        seconds=130,
    ),
    # The engine takes a language host on PATH with a warning on every run, and one in its own
    # directory without; hence two parts of one tool.
    Tool(
        name="pulumi",
        parts=(
            Part(
                directory="cli",
                binaries={"pulumi": "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"},
                stamps={_PULUMI_VERSION: "v3.259.0"},
            ),
            Part(
                directory="language-python",
                binaries={
                    "pulumi-language-python": (
                        "github.com/pulumi/pulumi/sdk/python/cmd/pulumi-language-python/v3"
                    )
                },
                stamps={_PULUMI_VERSION: "v3.187.0"},
                module="github.com/pulumi/pulumi/sdk/v3",
                scripts=(
                    "python/cmd/pulumi-language-python-exec",
                    "python/dist/pulumi-resource-pulumi-python",
                    "python/dist/pulumi-analyzer-policy-python",
                ),
            ),
        ),
        seconds=260,
    ),
    Tool(
        name="pulumi-resource-tls",
        parts=(Part(binaries={"pulumi-resource-tls": "."}),),
        seconds=90,
    ),
    Tool(
        name="trust-manager",
        parts=(
            Part(
                binaries={
                    "trust-manager": "github.com/cert-manager/trust-manager/cmd/trust-manager"
                },
                module="github.com/cert-manager/trust-manager",
                share={"crds": "deploy/crds", "chart": "deploy/charts/trust-manager"},
                chart_version="v0.24.0",
            ),
        ),
        seconds=140,
    ),
    Tool(
        name="pulumi-resource-kubernetes",
        parts=(
            Part(
                binaries={"pulumi-resource-kubernetes": "."},
                stamps={
                    "github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version.Version": "4.27.0"
                },
                module="github.com/pulumi/pulumi-kubernetes/provider/v4",
                # 8 MB, so they are not committed here.
                sources=(
                    "cmd/pulumi-resource-kubernetes/schema.json",
                    "cmd/pulumi-resource-kubernetes/terraform-mapping.json",
                ),
            ),
        ),
        seconds=420,
    ),
    Tool(
        name="helm",
        parts=(
            Part(
                binaries={"helm": "helm.sh/helm/v3/cmd/helm"},
                stamps={
                    "helm.sh/helm/v3/internal/version.version": "v3.22.0",
                    # The newest Kubernetes that it knows; unset it is 1.20, too old for charts.
                    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor": "1",
                    "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor": "37",
                },
            ),
        ),
        seconds=90,
    ),
    Tool(
        name="pulumi-resource-vault",
        parts=(Part(binaries={"pulumi-resource-vault": "."}),),
        seconds=120,
    ),
    Tool(
        name="step",
        parts=(Part(binaries={"step": "github.com/smallstep/cli/cmd/step"}),),
        seconds=90,
    ),
    Tool(
        name="step-ca",
        parts=(Part(binaries={"step-ca": "github.com/smallstep/certificates/cmd/step-ca"}),),
        seconds=130,
    ),
    Tool(
        name="step-issuer",
        parts=(
            Part(
                binaries={"step-issuer": "github.com/smallstep/step-issuer"},
                module="github.com/smallstep/step-issuer",
                share={"crds": "config/crd/bases", "rbac": "config/rbac"},
            ),
        ),
        seconds=90,
    ),
    Tool(
        name="aws-privateca-issuer",
        parts=(
            Part(
                binaries={"aws-privateca-issuer": "github.com/cert-manager/aws-privateca-issuer"},
                module="github.com/cert-manager/aws-privateca-issuer",
                share={"crds": "config/crd/bases", "rbac": "config/rbac"},
            ),
        ),
        seconds=90,
    ),
    Tool(
        name="versitygw",
        parts=(Part(binaries={"versitygw": "github.com/versity/versitygw/cmd/versitygw"}),),
        seconds=90,
    ),
    Tool(
        name="actionlint",
        parts=(Part(binaries={"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"}),),
        seconds=20,
    ),
    Tool(
        name="zlint",
        parts=(Part(binaries={"zlint": "github.com/zmap/zlint/v3/cmd/zlint"}),),
        seconds=20,
    ),
)

# The binaries of the development environment: the control plane and the engine.
FOUNDATION: tuple[str, ...] = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "cert-manager",
    "pulumi",
    "pulumi-language-python",
    "pulumi-resource-tls",
    "trust-manager",
    "pulumi-resource-kubernetes",
    "helm",
    "pulumi-resource-vault",
)

PLUGINS: tuple[Plugin, ...] = (
    Plugin(binary="pulumi-resource-kubernetes", name="kubernetes", version="4.27.0"),
    Plugin(binary="pulumi-resource-tls", name="tls", version="5.6.2"),
    Plugin(binary="pulumi-resource-vault", name="vault", version="7.14.0"),
)

BINARIES: Mapping[str, Tool] = MappingProxyType(
    {binary: tool for tool in TOOLS for binary in tool.binaries}
)
