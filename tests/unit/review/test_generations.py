"""Which generation an issuer belongs to is read, and not guessed from what it is called."""

from __future__ import annotations

import json
from typing import Any

from mtls_pki.rotation.guard_report import MARK
from tests.unit.review.previews import digest as made
from tests.unit.review.previews import markdown, recorded, reviewed, step


def renamed(names: dict[str, str]) -> dict[str, Any]:
    """The recorded promotion with other names of its issuers, everywhere."""
    text = json.dumps(recorded("promote"))
    for old, new in names.items():
        text = text.replace(old, new)
    digest: dict[str, Any] = json.loads(text)
    return digest


def test_an_issuer_that_is_called_like_another_generation_is_not_misread() -> None:
    swapped = renamed({"review-ca-g1-i1": "mesh-g2-ca", "review-ca-g2-i1": "mesh-ca-g1-i1"})
    page = markdown(swapped)
    # Before, g1 is the first anchor and issues; after, g2 is the second one and does.
    assert 'beforeA0I0["mesh-g2-ca"]' in page
    assert 'beforeA0I0C(["3 Certificates"])' in page
    assert 'afterA1I0["mesh-ca-g1-i1"]' in page
    assert 'afterA1I0C(["3 Certificates"])' in page
    assert "beforeA1 -->|signs|" not in page


def test_an_issuer_of_which_nothing_is_known_hangs_below_no_anchor() -> None:
    unknown = recorded("promote")
    for each in unknown["diagnostics"]:
        head, _, report = each["message"].partition(MARK)
        each["message"] = MARK + json.dumps({**json.loads(report), "issuers": {}})
        assert head == ""
    page = markdown(unknown)
    assert "|signs|" not in page
    assert "3 Certificates are reissued, by `review-ca-g2-i1`" in page


def test_the_ca_secret_is_the_one_that_the_issuer_names() -> None:
    inner = "mtls-pki:index:CaIssuer$kubernetes:"

    def changed(kind: str, secret: str, namespace: str | None) -> dict[str, Any]:
        place = {"namespace": namespace} if namespace else {}
        issuer = {"metadata": {"name": "mesh", **place}, "spec": {"ca": {"secretName": secret}}}
        # Its resource is called as if it were the Secret of the issuer above.
        values = {"metadata": {"name": "mesh-pair", "namespace": "shop"}}
        return made(
            step("same", f"{inner}cert-manager.io/v1:{kind}", "i", old=issuer, new=issuer),
            step("update", f"{inner}core/v1:Secret", "i-ca", old=values, new=values,
                 detailedDiff={"stringData": {"kind": "update"}}),
        )  # fmt: skip

    said = "The CA of `mesh` gets another key"
    assert said in markdown(changed("Issuer", "mesh-pair", "shop"))
    assert said in markdown(changed("ClusterIssuer", "mesh-pair", None))
    assert said not in markdown(changed("Issuer", "other", "shop"))
    assert said not in markdown(changed("Issuer", "mesh-pair", "elsewhere"))


def test_roles_that_the_preview_does_not_know_are_those_that_were_judged() -> None:
    (stage,) = reviewed("add").trust.stages
    assert {name: each.fingerprint is None for name, each in stage.new.anchors.items()} == {
        "g1": False,
        "g2": True,
    }
