"""What the engine starts for ``--policy-pack policy``."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Serve the pack to the engine; returns when the engine ends it.

    The engine runs this directory, not a package, so Python looks for modules in it. The rules
    share ``pki`` and ``rotation`` with the program, so that both mean the same by "root" and by
    "24h". Therefore the repository replaces this directory on the path.
    """
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

    from pulumi_policy import PolicyPack

    from policy.pack import policies
    from policy.rules import RULES

    PolicyPack("mtls-pki", policies(RULES))


main()
