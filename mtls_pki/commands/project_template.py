"""A Pulumi project of one's own: the text of its five files."""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

from mtls_pki.settings.stack_file.yaml_text import scalar_text
from mtls_pki.version import VERSION


@dataclass(frozen=True, kw_only=True)
class NewProject:
    """What the files of a new project are about.

    Attributes:
        name: of the Pulumi project; every key of its configuration begins with it.
        stack: name of its first stack.
        trust_domain: as in the settings.
        context: of the kubeconfig; None for its current one.
        kubeconfig: path of a kubeconfig; None for that of the person who runs pulumi.
        valid_from: when the first root begins, RFC 3339 text.
    """

    name: str
    stack: str
    trust_domain: str
    context: str | None
    kubeconfig: str | None
    valid_from: str


_PROGRAM = '''\
"""The trust of a stack, as its Pulumi.<stack>.yaml says it."""

from mtls_pki.program import run

run()
'''

_IGNORED = """\
.venv/
__pycache__/
# Backups that `mtls-pki backup` writes: whoever has one and its passphrase has every key.
*.age
"""

# The configuration is that of the project in this program's own repository; a test compares them.
_PROJECT = Template("""\
name: $name
description: mTLS trust in Kubernetes as reviewed configuration
runtime:
  name: python
  options:
    toolchain: pip
    virtualenv: .venv
config:
  # Every object is checked key by key by the program, which lists all mistakes.
  trustDomain:
    type: string
    description: The trust domain (SPIFFE); the host part of every SPIFFE ID.
  clusters:
    type: object
    description: "Cluster name -> {kubeconfig: PATH} and/or {context: NAME}, clusterDomain."
  anchors:
    type: object
    description: "Generation (g1, g2, ...) -> role and either commonName, validFrom, validFor or \
certificate."
  trust:
    type: object
    description: "The trust bundle: name, key, namespaces, via (configmap or trust-manager), \
holdDown."
  issuing:
    type: object
    description: "Who signs leaves: backend (ca, vault, step-ca, aws-pca), intermediate or direct, \
issuer kind and names, leaf lifetimes."
    default: {}
  services:
    type: object
    description: "Service name -> {namespace, ...}; each becomes one cert-manager Certificate."
    default: {}
  consumers:
    type: object
    description: "Who takes trust and leaves besides the services: one section for each."
    default: {}
  clientAccess:
    type: object
    description: "Machines that talk to the API servers: name -> {clusterRole or rules, ...}."
    default: {}
  certManager:
    type: object
    description: "{install: true} to install cert-manager (and trust-manager) from their charts."
    default: {}
  adopt:
    type: array
    items: {type: string}
    description: "Objects of nobody that become this stack's, as a refusal names them."
    default: []
  formerOwners:
    type: array
    items: {type: string}
    description: "Names of this stack before pulumi stack rename: [PROJECT/STACK]."
    default: []
  abandon:
    type: array
    items: {type: string}
    description: "What leaves although it is used, as a refusal names it: [namespace/shop]."
    default: []
  pulumi:disable-default-providers:
    value: ["*"]
""")

_STACK = Template("""\
# The trust of one environment. A change of trust is a change of this file, reviewed and applied.
config:
  $name:trustDomain: $trust_domain
  $name:clusters:
    main: {$cluster}
  $name:anchors:
    # The first root. `mtls-pki add g2` begins its rotation.
    g1:
      role: issuing
      commonName: $common_name
      validFrom: $valid_from
      validFor: 87600h
  $name:issuing:
    intermediate: {validFor: 8760h}
  $name:trust:
    # Where workloads read the bundle: ConfigMap mesh-trust, key ca.crt, in each of these.
    namespaces: [default]
  # Each becomes one cert-manager Certificate: `gateway: {namespace: default}`.
  $name:services: {}
""")


def project_files(project: NewProject) -> dict[str, str]:
    """Return the files of a new project: name -> content."""
    reach = {"kubeconfig": project.kubeconfig, "context": project.context}
    cluster = (f"{key}: {scalar_text(value)}" for key, value in reach.items() if value is not None)
    values = {
        "name": project.name,
        "trust_domain": scalar_text(project.trust_domain),
        "cluster": ", ".join(cluster),
        "common_name": scalar_text(f"root-g1.{project.trust_domain}"),
        "valid_from": scalar_text(project.valid_from),
    }
    return {
        "Pulumi.yaml": _PROJECT.substitute(values),
        f"Pulumi.{project.stack}.yaml": _STACK.substitute(values),
        "__main__.py": _PROGRAM,
        "requirements.txt": f"mtls-pki=={VERSION}\n",
        ".gitignore": _IGNORED,
    }
