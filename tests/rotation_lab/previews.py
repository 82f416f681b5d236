"""The previews that reviews are made of: one domain on two clusters, previewed at its changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab import ports
from mtls_pki.rotation.guard_report import MARK, read_report
from tests.rotation_lab.domain import Domain

NAME = "review"
SERVICES: dict[str, dict[str, Any]] = {
    "gateway": {"namespace": NAME},
    "ledger": {"namespace": NAME, "clusters": ["east"]},
}
_SHOW = ("preview", "--json", "--show-sames", "--stack", NAME)


DIGESTS = Path(__file__).parents[1] / "unit" / "review" / "digests"
"""Where the unit tests of the review have them."""

_USED = ("type", "inputs", "protect", "additionalSecretOutputs", "provider")


@dataclass(kw_only=True)
class Previews:
    """What ``pulumi preview --json`` printed, by the name of the change."""

    domain: Domain
    everything: bool
    printed: dict[str, str] = field(default_factory=dict)

    def look(
        self, name: str, edit: Callable[[Domain], None] | None = None, *, always: bool = False
    ) -> None:
        """Preview ``edit``, and take it back; left out unless ``always``, or all are wanted."""
        if not (always or self.everything):
            return
        with self.domain.edited():
            if edit is not None:
                edit(self.domain)
            self.domain.stack.write(self.domain.values)
            self.printed[name] = self.domain.stack.engine.run(*_SHOW).stdout


def walk(domain: Domain, *, everything: bool) -> Previews:
    """Take ``domain`` through a rotation and preview changes on the way.

    Args:
        domain: not applied yet, with ``SERVICES`` and a stable issuer on ``east`` and ``west``.
        everything: preview every change that a person can make, as for recording, and not only
            those of a rotation.
    """
    previews = Previews(domain=domain, everything=everything)
    previews.look("first-up", always=True)
    domain.apply()
    previews.look("no-change")
    previews.look("mistake", _mistake, always=True)
    previews.look("service", _new_service)
    previews.look("protected", _other_key)
    previews.look("issuing-ca-rotated", _issuing_ca(generation="i2"))
    previews.look("issuing-ca-renewed", _issuing_ca(validFor="9000h"))
    previews.look("skipped", _skip)
    previews.look("add", _add, always=True)
    domain.add("g2")
    domain.apply()
    previews.look("promote-too-early", _promote_too_early, always=True)
    previews.look("give-up", lambda d: d.anchors.pop("g2"))
    domain.hold_down()
    previews.look("canary", _canary)
    previews.look("promote", Domain.promote, always=True)
    previews.look("compromise-unacknowledged", _compromise())
    previews.look(
        "compromise", _compromise(fingerprint=domain.fingerprint("g1"), acceptOutage=True)
    )
    previews.look("unreachable", _unreachable)
    domain.promote()
    domain.apply()
    previews.look("retire-too-early", _retire_too_early)
    previews.look("go-back", _go_back)
    domain.hold_down()
    previews.look("retire", _retire, always=True)
    return previews


def record(previews: Previews) -> None:
    """Write the previews for the unit tests: what the review reads of them, a step a line."""
    for name, printed in previews.printed.items():
        (DIGESTS / f"{name}.json").write_text(_scrubbed(printed))


def _scrubbed(printed: str) -> str:
    digest = json.loads(re.sub(r"/tmp/[\w.-]+", "/tmp/lab", printed))  # noqa: S108 not written to
    del digest["duration"]
    # Of what stays as it is one state is enough, and the stack's own outputs are not read.
    for step in digest["steps"]:
        if step["op"] == "same":
            step.pop("newState", None)
        for state in ("oldState", "newState"):
            if state in step:
                step[state] = {key: step[state][key] for key in _USED if key in step[state]}
    steps = ",\n".join(json.dumps(step, sort_keys=True) for step in digest.pop("steps"))
    return f'{json.dumps(digest, sort_keys=True)[:-1]}, "steps": [\n{steps}\n]}}\n'


def outline(printed: str) -> tuple[list[tuple[Any, ...]], list[tuple[str, str]]]:
    """What two recordings of one change have in common: each step, and who said what of whom.

    The engine stops at the gate that refuses first, so which gates it came to is left to chance.
    Of the guard's report what it comes to is compared, and not the times that it read.
    """
    digest = json.loads(printed)
    steps = [
        (step["op"], step["urn"], tuple(sorted(step.get("detailedDiff") or ())))
        for step in digest["steps"]
        if "TrustGate" not in step["urn"]
    ]
    said = [
        (found["severity"], _compared(found["message"].splitlines()[0]))
        for found in digest.get("diagnostics", ())
        if "guard-" not in found["message"]
    ]
    return sorted(steps), sorted(said)


def _compared(line: str) -> str:
    if not line.startswith(MARK):
        return re.sub(r"[0-9a-f]{64}|\d+", "N", line)
    report = read_report(line)
    roles = {name: anchor.role.value for name, anchor in report.stage.anchors.items()}
    judged = [([reason.rule for reason in each.reasons], each.unread) for each in report.judgements]
    return str((judged, roles, report.issuers, report.stable_issuer, report.up_refuses))


def _mistake(domain: Domain) -> None:
    domain.values["trust"]["holdDown"] = "2d"
    domain.anchors["g1"]["rolle"] = "issuing"


def _new_service(domain: Domain) -> None:
    domain.values["services"]["audit"] = {"namespace": NAME}
    domain.values["services"]["gateway"] = {"namespace": NAME, "commonName": "gateway"}
    del domain.values["services"]["ledger"]


def _other_key(domain: Domain) -> None:
    domain.anchors["g1"]["keyAlgorithm"] = "P-384"


def _issuing_ca(**fields: Any) -> Callable[[Domain], None]:
    def edit(domain: Domain) -> None:
        domain.values["issuing"]["intermediate"] = fields

    return edit


def _skip(domain: Domain) -> None:
    domain.add("g2", "issuing")
    domain.anchors["g1"]["role"] = "outgoing"


def _add(domain: Domain) -> None:
    domain.add("g2")


def _promote_too_early(domain: Domain) -> None:
    domain.promote()
    domain.values["trust"]["holdDown"] = "10m"


def _canary(domain: Domain) -> None:
    domain.values["services"]["gateway"]["anchor"] = "g2"


def _compromise(**fields: Any) -> Callable[[Domain], None]:
    def edit(domain: Domain) -> None:
        domain.anchors["g2"]["role"] = "issuing"
        domain.anchors["g1"] |= {"role": "compromised", **fields}

    return edit


def _unreachable(domain: Domain) -> None:
    domain.promote()
    kubeconfig = domain.stack.project / "west-away"
    text = domain.planes["west"].kubeconfig.read_text()
    port = domain.planes["west"].server.rpartition(":")[2]
    kubeconfig.write_text(text.replace(port, str(ports.choose(None, avoid=()))))
    domain.values["clusters"]["west"]["kubeconfig"] = str(kubeconfig)


def _retire(domain: Domain) -> None:
    domain.retire()


def _retire_too_early(domain: Domain) -> None:
    domain.retire()
    domain.values["trust"]["holdDown"] = "10m"


def _go_back(domain: Domain) -> None:
    domain.anchors["g1"]["role"] = "issuing"
    domain.anchors["g2"]["role"] = "incoming"
