"""The judge of paths, against verifiers that know nothing of it.

What every verifier accepts must be what the judge says of every verifier, and what it says of none
must be what none accepts. In between it says "some", and may be careful: the order in which a
verifier tries issuers cannot be foretold, so it never counts on it.

GnuTLS skips checks that the others make (URIs and addresses of the other family under permitted
subtrees, the extended key usage of anchors). So it has a say in what all accept only.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings

from mtls_pki.pki.ca_facts import CaFacts
from mtls_pki.pki.leaf_facts import LeafFacts
from mtls_pki.pki.path import Verification, verify_leaf
from tests.chains.verifiers import VERIFIERS, Verdict
from tests.unit.pki.chain_strategies import Example, examples
from tests.unit.pki.material import NOW, parsed
from tests.unit.pki.test_path import CASES

HOST = "gateway.monoskope.svc.cluster.local"
# Their leaves are not for HOST.
_OTHER_HOSTS = {"a name within the constraints": "a.svc.cluster.local"}
_NO_HOST = {"a common name outside the constraints"}


def _verdicts(chain: list[str], bundle: list[str], host: str) -> dict[str, Verdict]:
    with ThreadPoolExecutor() as pool:
        asked = {
            name: pool.submit(verifier, "".join(chain), "".join(bundle), host, NOW)
            for name, verifier in VERIFIERS.items()
        }
        return {name: verdict.result() for name, verdict in asked.items()}


def _judged(chain: list[str], bundle: list[str]) -> Verification:
    anchors = tuple(map(parsed, bundle))
    leaf = LeafFacts.of(tuple(map(parsed, chain)), anchors)
    return verify_leaf(leaf, frozenset(CaFacts.of(each, anchors) for each in anchors), NOW)


def _assert_agreed(found: Verification, verdicts: dict[str, Verdict]) -> None:
    for name, verdict in verdicts.items():
        if found.everywhere:
            assert verdict.accepted, f"{name}: {verdict.reason}"
        elif not found.anywhere and name != "gnutls":
            assert not verdict.accepted, f"{name}, but: {found.reason}"


@pytest.mark.parametrize("name", sorted(CASES.keys() - _NO_HOST - {"an empty bundle"}))
def test_verifiers_agree_with_the_table(name: str) -> None:
    case = CASES[name]()
    verdicts = _verdicts(case.chain, case.bundle, _OTHER_HOSTS.get(name, HOST))
    _assert_agreed(_judged(case.chain, case.bundle), verdicts)


@given(examples())
@settings(max_examples=20)
def test_verifiers_agree_on_chains_with_random_faults(example: Example) -> None:
    chain, bundle = example.pems()
    verdicts = _verdicts(chain, bundle, example.host)
    if any(ca.above is None and ca not in example.bundle for ca in example.presented):
        # GnuTLS leaves out a presented root that is not trusted, but not if something useless is
        # presented too. The judge does not go into that.
        del verdicts["gnutls"]
    _assert_agreed(_judged(chain, bundle), verdicts)
