"""The one error of this package."""

from __future__ import annotations


class PkiError(ValueError):
    """Something given cannot be used; the message names it and says what to give instead.

    The message never holds key material, and the error is never chained to one of ``cryptography``,
    whose text and frames could hold some.
    """
