"""Backup and restore of a stack's keys: ``mtls-pki backup``.

One encrypted file holds the stack's state with every key in it. With it, a stack can be restored
after the loss of its backend, its secrets provider and its clusters (docs/state.md).
"""
