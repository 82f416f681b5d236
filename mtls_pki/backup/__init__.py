"""Backup and restore of a stack's keys: ``mtls-pki backup``.

One encrypted file holds the stack's state with every key in it, so that a lost backend, a lost
secrets provider and a lost cluster can be made good together (docs/state.md).
"""
