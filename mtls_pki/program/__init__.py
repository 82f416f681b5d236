"""The only code that composes: settings -> arguments -> components.

``run`` declares the whole stack; a project's ``__main__.py`` calls it and needs nothing else.
"""

from __future__ import annotations

from mtls_pki.program.run import run

__all__ = ["run"]
