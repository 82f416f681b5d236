"""Why an object is not Ready, in the words of the controller that works on it."""

from __future__ import annotations

from typing import Any

import pytest

from mtls_pki.backends.table import BACKENDS
from mtls_pki.clusters.connection import Cluster
from mtls_pki.clusters.diagnosis import UNANSWERED, explain_not_ready, object_path
from mtls_pki.settings.extensions import CERT_MANAGER, IssuerApi
from tests.unit.clusters import wire
from tests.unit.clusters.api_server import ApiServer

STEP = IssuerApi(
    group="certmanager.step.sm",
    version="v1beta1",
    issuer="StepIssuer",
    cluster_issuer="StepClusterIssuer",
)
V1 = "cert-manager.io/v1"
CERTIFICATE = f"/apis/{V1}/namespaces/app/certificates/web"
REQUESTS = f"/apis/{V1}/namespaces/app/certificaterequests"
ISSUER = f"/apis/{V1}/namespaces/app/issuers/mtls-ca"
CLUSTER_ISSUER = f"/apis/{V1}/clusterissuers/mtls-ca"
STEP_ISSUER = "/apis/certmanager.step.sm/v1beta1/namespaces/app/stepissuers/mtls-ca"
STEP_CLUSTER_ISSUER = "/apis/certmanager.step.sm/v1beta1/stepclusterissuers/mtls-ca"
BUNDLE = "/apis/trust.cert-manager.io/v1alpha1/bundles/mesh-trust"
READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": "up to date"}


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


def live(*conditions: dict[str, str], **reference: str | None) -> dict[str, Any]:
    """A Certificate with a reference to its issuer, or any object with these conditions."""
    reference = {"name": "mtls-ca", "kind": "Issuer"} | reference
    return {
        "metadata": {"namespace": "app", "uid": "u1"},
        "spec": {"issuerRef": {key: value for key, value in reference.items() if value}},
        "status": {"conditions": list(conditions)},
    }


def request(name: str, created: str, *conditions: dict[str, str], owner: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "creationTimestamp": created,
            "ownerReferences": [{"uid": owner}],
        },
        "spec": {"issuerRef": {"name": "mtls-ca", "kind": "StepIssuer"}},
        "status": {"conditions": list(conditions)},
    }


def explain(
    cluster: Cluster, kind: str = "Certificate", namespace: str | None = "app", name: str = "web"
) -> str | None:
    version = "trust.cert-manager.io/v1alpha1" if kind == "Bundle" else V1
    return explain_not_ready(
        cluster,
        api_version=version,
        kind=kind,
        namespace=namespace,
        name=name,
        issuers={row.issuer_spec: row.issuer_remedy for row in BACKENDS.values()},
        apis=(CERT_MANAGER, STEP),
    )


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ((V1, "Certificate", "app", "web"), CERTIFICATE),
        ((V1, "Issuer", "app", "mtls-ca"), ISSUER),
        ((V1, "ClusterIssuer", None, "mtls-ca"), CLUSTER_ISSUER),
        (("trust.cert-manager.io/v1alpha1", "Bundle", None, "mesh-trust"), BUNDLE),
        (("v1", "ConfigMap", "app", "mesh-trust"), None),
        ((STEP.api_version, "StepIssuer", "app", "mtls-ca"), STEP_ISSUER),
        ((STEP.api_version, "StepClusterIssuer", None, "mtls-ca"), STEP_CLUSTER_ISSUER),
        ((STEP.api_version, "Issuer", "app", "mtls-ca"), None),
    ],
)
def test_paths_of_the_objects_that_have_controllers(
    arguments: tuple[str, str, str | None, str], path: str | None
) -> None:
    assert object_path(*arguments, apis=(CERT_MANAGER, STEP)) == path


def test_an_object_that_is_ready_needs_no_word(api: ApiServer, cluster: Cluster) -> None:
    api.answers[CERTIFICATE] = (200, live(READY))
    assert explain(cluster) is None
    assert api.requests == [CERTIFICATE]


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        ({"ca": {"secretName": "mtls-ca"}}, "correct the CA Secret it names"),
        ({"vault": {"server": "https://vault"}}, "correct what its Vault says and run `pulumi up`"),
    ],
)
def test_what_to_do_depends_on_who_signs_for_an_issuer(
    api: ApiServer, cluster: Cluster, spec: dict[str, Any], remedy: str
) -> None:
    sealed = condition("Ready", "False", "VaultError", "Vault is sealed")
    api.answers[ISSUER] = (200, {**live(sealed), "spec": spec})
    message = explain(cluster, kind="Issuer", name="mtls-ca")
    assert message is not None
    assert f"VaultError: Vault is sealed. What to do: {remedy}" in message


def test_other_kinds_are_not_looked_up(api: ApiServer, cluster: Cluster) -> None:
    assert explain(cluster, kind="ConfigMap") is None
    assert api.requests == []


def test_a_missing_object_is_said(cluster: Cluster) -> None:
    assert explain(cluster) == "cluster dev: Certificate app/web does not exist in the cluster"


def test_an_object_without_conditions_points_to_its_controller(
    api: ApiServer, cluster: Cluster
) -> None:
    api.answers[ISSUER] = (200, {"metadata": {}, "spec": {}})
    assert explain(cluster, "Issuer", "app", "mtls-ca") == (
        "cluster dev: Issuer app/mtls-ca is not Ready: its controller has not looked at it yet "
        "(is cert-manager running?). What to do: correct the CA Secret it names and run "
        "`pulumi up` again"
    )


def test_an_issuer_speaks_with_cert_managers_own_words(api: ApiServer, cluster: Cluster) -> None:
    said = "Error getting keypair for CA issuer: certificate is not a CA"
    api.answers[CLUSTER_ISSUER] = (200, live(condition("Ready", "False", "ErrInvalidKey", said)))
    message = explain(cluster, "ClusterIssuer", None, "mtls-ca")
    assert message is not None
    assert message.startswith(
        f"cluster dev: ClusterIssuer mtls-ca is not Ready: ErrInvalidKey: {said}. What to do: "
    )
    assert "issuing.clusterResourceNamespace" in message


def test_a_bundle_is_asked_whether_it_is_synced(api: ApiServer, cluster: Cluster) -> None:
    api.answers[BUNDLE] = (200, live(READY, condition("Synced", "False", "Denied", "no rights")))
    message = explain(cluster, "Bundle", None, "mesh-trust")
    assert message is not None
    assert message.startswith("cluster dev: Bundle mesh-trust is not Synced: Denied: no rights. ")


def test_a_certificate_whose_issuance_failed_has_to_be_tried_again_by_hand(
    api: ApiServer, cluster: Cluster
) -> None:
    failed = live(condition("Issuing", "False", "Failed", "Vault failed to sign certificate"))
    failed["status"]["lastFailureTime"] = "2026-11-01T00:00:00Z"
    api.answers[CERTIFICATE] = (200, failed)
    message = explain(cluster)
    assert message is not None
    assert "issuing: Failed: Vault failed to sign certificate" in message
    assert "`cmctl renew --namespace app web`" in message
    del failed["status"]["lastFailureTime"]
    api.answers[CERTIFICATE] = (200, failed)
    assert "cmctl renew" not in (explain(cluster) or "cmctl renew")


def test_a_certificate_adds_its_newest_request_and_its_issuer(
    api: ApiServer, cluster: Cluster
) -> None:
    api.answers[CERTIFICATE] = (
        200,
        live(
            condition("Ready", "False", "DoesNotExist", "Secret does not exist"),
            condition("Issuing", "True", "DoesNotExist", "Issuing as Secret does not exist"),
        ),
    )
    pending = condition("Ready", "False", "Pending", 'issuer "mtls-ca" not ready')
    other = condition("Ready", "False", "Failed", "not ours")
    api.answers[REQUESTS] = (
        200,
        wire.page(
            REQUESTS,
            [
                request("web-1", "2026-11-01T00:00:00Z", other, owner="u1"),
                request(
                    "web-2",
                    "2026-11-02T00:00:00Z",
                    condition("Approved", "True", "cert-manager.io", "approved"),
                    pending,
                    owner="u1",
                ),
                request("foreign-9", "2026-11-03T00:00:00Z", other, owner="u2"),
            ],
        ),
    )
    api.answers[ISSUER] = (200, live(condition("Ready", "False", "SecretMissing", "no Secret")))
    assert explain(cluster) == (
        "cluster dev: Certificate app/web is not Ready: DoesNotExist: Secret does not exist; "
        "issuing: DoesNotExist: Issuing as Secret does not exist; "
        'CertificateRequest web-2: Pending: issuer "mtls-ca" not ready; '
        "its Issuer mtls-ca: SecretMissing: no Secret. What to do: correct what it says and run "
        "`pulumi up` again; `cmctl status certificate` shows the whole path"
    )


@pytest.mark.parametrize(
    ("kind", "path"),
    [("Issuer", ISSUER), ("ClusterIssuer", CLUSTER_ISSUER), (None, ISSUER)],
)
def test_the_issuer_of_a_certificate_is_looked_for_where_it_stands(
    api: ApiServer, cluster: Cluster, kind: str | None, path: str
) -> None:
    waiting = condition("Ready", "False", "DoesNotExist", "Secret does not exist")
    api.answers[CERTIFICATE] = (200, live(waiting, kind=kind))
    message = explain(cluster)
    assert message is not None
    assert f"its {kind or 'Issuer'} mtls-ca does not exist" in message
    assert path in api.requests


def test_a_ready_issuer_is_not_blamed(api: ApiServer, cluster: Cluster) -> None:
    waiting = condition("Ready", "False", "DoesNotExist", "Secret does not exist")
    api.answers[CERTIFICATE] = (200, live(waiting))
    api.answers[ISSUER] = (200, live(READY))
    assert "its Issuer" not in str(explain(cluster))


def test_an_issuer_of_another_api_is_looked_for_where_it_stands(
    api: ApiServer, cluster: Cluster
) -> None:
    waiting = condition("Ready", "False", "Pending", "waiting")
    api.answers[CERTIFICATE] = (200, live(waiting, kind="StepIssuer", group=STEP.group))
    api.answers[STEP_ISSUER] = (200, live(condition("Ready", "False", "Error", "no CA")))
    assert "its StepIssuer mtls-ca: Error: no CA" in str(explain(cluster))


def test_foreign_issuers_are_left_alone(api: ApiServer, cluster: Cluster) -> None:
    waiting = condition("Ready", "False", "Pending", "waiting")
    api.answers[CERTIFICATE] = (200, live(waiting, kind="PcaIssuer", group="pca.example.org"))
    assert "PcaIssuer" not in str(explain(cluster))


def test_a_cluster_that_cannot_be_read_says_so_in_place_of_the_conditions(
    api: ApiServer, cluster: Cluster
) -> None:
    api.answers[CERTIFICATE] = (403, {})
    assert explain(cluster) == (
        f"cluster dev: Certificate app/web: reading {CERTIFICATE} is forbidden; grant what "
        "deploy/rbac-evidence.yaml grants"
    )


@pytest.mark.parametrize(
    ("conditions", "said"),
    [
        ((), "was not approved: nothing may approve what asks for StepIssuer mtls-ca"),
        (
            (condition("Approved", "True", "cert-manager.io", "approved"),),
            f"is approved, and whoever signs for StepIssuer mtls-ca {UNANSWERED}",
        ),
    ],
)
def test_a_request_of_which_nobody_says_anything(
    cluster: Cluster, api: ApiServer, conditions: tuple[dict[str, str], ...], said: str
) -> None:
    api.answers[CERTIFICATE] = (200, live(condition("Ready", "False", "DoesNotExist", "no Secret")))
    api.answers[REQUESTS] = (
        200,
        wire.page(REQUESTS, [request("web-1", "2026-11-01T00:00:00Z", *conditions, owner="u1")]),
    )
    api.answers[ISSUER] = (200, live(READY))
    assert f"CertificateRequest web-1 {said}" in (explain(cluster) or "")
