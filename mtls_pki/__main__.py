"""``python -m mtls_pki``: the command ``mtls-pki`` of the package that stands here."""

from __future__ import annotations

import sys

from mtls_pki.commands.main import main

sys.exit(main())
