"""The section ``issuing.stepCa`` of the stack file."""

from __future__ import annotations

from pydantic import Field, StrictBool

from mtls_pki.settings.section import Section
from mtls_pki.settings.types import (
    ConfigMapKey,
    DnsLabel,
    Duration,
    Generation,
    HttpsUrl,
    ObjectName,
)

NAME = "step-ca"
"""Of the backend, in the stack file."""

KEY = "step_ca"
"""Of its section, below ``issuing``."""


class PasswordSettings(Section):
    """The Secret with the password of a provisioner that somebody else made."""

    namespace: DnsLabel
    name: ObjectName
    key: ConfigMapKey = "password"


class ExternalStepCaSettings(Section):
    """A step-ca that somebody else runs, and by which provisioner step-issuer signs there."""

    # The thumbprint of the provisioner's key, never its name.
    kid: str
    provisioner: str
    password_secret: PasswordSettings


class StepCaSettings(Section):
    """Where the step-ca of each generation stands, and by which provisioner step-issuer signs."""

    # Of its objects: the issuing CA's key, its configuration, and what runs it.
    namespace: DnsLabel
    # `<name>-g1-i1` is the step-ca of one generation; `<name>` is a Service for people, which
    # follows the generation that issues.
    name: DnsLabel = "step-ca"
    # A JWK provisioner; its key is made here.
    provisioner: DnsLabel = "cert-manager"
    # The longest leaf that the provisioner allows; None: the longest that the services ask for.
    max_ttl: Duration | None = None
    # Service, StatefulSet and NetworkPolicy; false where the chart step-certificates, or whatever
    # else, runs step-ca from the Secrets and ConfigMaps.
    deploy: StrictBool = True
    image: str = "cr.smallstep.com/smallstep/step-ca:0.30.2"
    # Size of the volume for its database, one for each step-ca.
    storage: str = "1Gi"
    # Where step-issuer runs, which alone may connect.
    issuer_namespace: DnsLabel = "step-issuer-system"
    # How step-issuer reaches the step-ca of a generation, where that is not its Service.
    urls: dict[Generation, HttpsUrl] = Field(default_factory=dict)
    # Generations whose step-ca is somebody else's; its certificates are those of the anchor.
    external: dict[Generation, ExternalStepCaSettings] = Field(default_factory=dict)
