"""What the errors of AWS mean, as aws-privateca-issuer and boto3 pass them on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mtls_pki.clusters.diagnosis import UNANSWERED

# Part of the message -> what it means and what to do. Sources: AWS Private CA API reference (errors
# of IssueCertificate and GetCertificate), aws-privateca-issuer 1.9.2 (pkg/aws, pkg/controllers).
_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "ThrottlingException": "AWS had too many calls of this account: wait a minute; where it "
        "happens again, spread the renewals or have the quota of IssueCertificate raised",
        "TooManyRequests": "AWS had too many calls of this account: wait a minute, and try again",
        "LimitExceededException": "the account has reached a quota of AWS Private CA: delete what "
        "is not used, or have the quota raised",
        "AccessDeniedException": "the identity may not do this: compare its IAM policy with "
        "`pulumi stack output awsPcaPolicy`, which names the CA and the template; of a shared CA "
        "the RAM permission must allow the template too",
        "UnrecognizedClientException": "AWS does not know the access key: replace the Secret that "
        "issuing.awsPca.credentials names, or use a role",
        "ExpiredToken": "the credentials have ended: get new ones, or use a role that renews them",
        "InvalidStateException": "the CA is not ACTIVE: while it is PENDING_CERTIFICATE finish it "
        "with `mtls-pki aws-pca create` (the same command again goes on), where it is DISABLED "
        "enable it, and an EXPIRED one needs a successor",
        "ResourceNotFoundException": "there is no such CA in this account and region: correct the "
        "ARN in issuing.awsPca.authorities",
        "RequestInProgressException": "AWS is still at it: it is tried again by itself",
        "exceeds the certificate authority validity": "the leaf would outlive its issuing CA: "
        "rotate to a new anchor, or ask for less",
        "ValidationException": "AWS takes the request for wrong: it names the field",
        "failed to refresh cached credentials": "the issuer has no credentials for AWS: annotate "
        "its service account for IRSA, give its pod an identity, or name a Secret in "
        "issuing.awsPca.credentials",
        "failed to retrieve secret": "the Secret that issuing.awsPca.credentials names is not "
        "there, or the issuer may not read it",
        "no AWS Access Key ID Found": "the Secret that issuing.awsPca.credentials names has no "
        "AWS_ACCESS_KEY_ID",
        "no AWS Secret Access Key Found": "the Secret that issuing.awsPca.credentials names has no "
        "AWS_SECRET_ACCESS_KEY",
        "failed to retrieve provisioner": "the issuer could not load its credentials: see "
        "issuing.awsPca.credentials and role, and the issuer's log",
        "connection refused": "nothing answers at AWS's endpoint: look at AWS_ENDPOINT_URL of the "
        "issuer and at VPC endpoints",
        "Could not connect to the endpoint": "nothing answers at AWS's endpoint: look at the "
        "region, at AWS_ENDPOINT_URL and at the network",
        "no such host": "AWS's endpoint has no address here: look at the region in the ARN, at DNS "
        "and at VPC endpoints",
        UNANSWERED: "aws-privateca-issuer waits for AWS, or does not run itself: look at its log, "
        "at NetworkPolicies, the proxy and VPC endpoints",
        "deadline exceeded": "AWS does not answer in time: look at NetworkPolicies, the proxy and "
        "VPC endpoints",
    }
)


def explain(message: str) -> str | None:
    """Return what a message of AWS or of its issuer means; None for others."""
    return next((meaning for part, meaning in _MEANINGS.items() if part in message), None)
