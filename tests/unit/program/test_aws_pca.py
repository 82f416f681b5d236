"""What the program declares for a private CA of AWS, and the IAM policy that it exports."""

from __future__ import annotations

import pytest

from mtls_pki.backends.aws_pca.policy import issuer_policy, template_of
from mtls_pki.backends.aws_pca.section import Authority
from tests.unit.settings.configuration import load

ARN = "arn:aws-us-gov:acm-pca:us-gov-west-1:123456789012:certificate-authority/" + "0" * 36


@pytest.mark.parametrize(
    ("usages", "template"),
    [
        (["server auth"], "EndEntityServerAuthCertificate/V1"),
        (["client auth"], "EndEntityClientAuthCertificate/V1"),
        (["client auth", "server auth"], "EndEntityCertificate/V1"),
        (["server auth", "client auth"], "EndEntityCertificate/V1"),
        (["digital signature", "server auth"], "BlankEndEntityCertificate_APICSRPassthrough/V1"),
        (["server auth", "server auth"], "BlankEndEntityCertificate_APICSRPassthrough/V1"),
        ([], "BlankEndEntityCertificate_APICSRPassthrough/V1"),
    ],
)
def test_the_template_that_the_issuer_asks_for(usages: list[str], template: str) -> None:
    assert template_of(usages) == template


def test_a_policy_without_an_authority_allows_nothing() -> None:
    policy = issuer_policy(load({"issuing.awsPca": {"authorities": {}}}))
    assert [each["Resource"] for each in policy["Statement"]] == [[], []]


def test_an_arn_says_partition_region_and_account() -> None:
    assert Authority.of(ARN) == ("aws-us-gov", "us-gov-west-1", "123456789012")
    with pytest.raises(ValueError, match="no ARN of a private CA"):
        Authority.of(f"{ARN}/certificate/1")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuing.awsPca": {"authorities": {"g1": "arn:aws:s3:::b"}}}, "write the ARN"),
        ({"issuing.awsPca": {"role": "arn:aws:iam::1:user/a"}}, "write the ARN of a role"),
        ({"issuing.awsPca": {"issuerRelease": "1.9.2"}}, "its minor release"),
    ],
)
def test_what_is_no_arn_is_a_mistake(changes: dict[str, object], words: str) -> None:
    with pytest.raises(Exception, match=words):
        load(changes)
