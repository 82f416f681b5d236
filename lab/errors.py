"""The one exception of the lab."""

from __future__ import annotations


class LabError(Exception):
    """What the user can act on: names the cluster or file, what is wrong, and the way out."""
