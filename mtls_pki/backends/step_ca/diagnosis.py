"""What the errors of a step-ca mean, as step-issuer writes them into requests and issuers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mtls_pki.clusters.diagnosis import UNANSWERED

# Part of the message -> what it means and what to do. Sources: step-issuer 0.12
# (controllers/, provisioners/step.go), certificates 0.30 (authority/, ca/client.go); each was seen.
_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "connection refused": "nothing listens where the issuer's url points: start the step-ca of "
        "this generation, or correct issuing.stepCa.urls",
        "no such host": "the name in the issuer's url is not known in the cluster: the Service of "
        "the step-ca is missing, or issuing.stepCa.urls is wrong",
        "certificate signed by unknown authority": "what answers at the issuer's url is below none "
        "of the anchors in its caBundle: it is not the step-ca of this stack, or one of an anchor "
        "that was removed",
        UNANSWERED: "step-issuer waits for a step-ca that says nothing, or does not run itself: "
        "look at the logs of both, and whether a NetworkPolicy keeps step-issuer out "
        "(issuing.stepCa.issuerNamespace); `mtls-pki reissue --failed` brings back what failed",
        "deadline exceeded": "the step-ca does not answer in time: look at its log, and whether a "
        "NetworkPolicy keeps step-issuer out (issuing.stepCa.issuerNamespace)",
        "The certificate authority encountered an Internal Server Error": "look at the log of the "
        "step-ca, which names the cause",
        "requested duration of": "the provisioner allows no leaf of this length: raise "
        "issuing.stepCa.maxTtl, or ask for less",
        "failed initialize provisioner": "the step-ca answered, but has no provisioner of this kid "
        "or its password is another one: the log of step-issuer names which. Both follow from one "
        "key of this stack, so it is another step-ca, or its configuration is older: restart it "
        "while no leaf is due",
        "is not allowed": "the issuing CA or the policy of the step-ca excludes a name: look at "
        "permittedDnsDomains",
    }
)


def explain(message: str) -> str | None:
    """Return what a message of step-issuer or step-ca means; None for others."""
    return next((meaning for part, meaning in _MEANINGS.items() if part in message), None)
