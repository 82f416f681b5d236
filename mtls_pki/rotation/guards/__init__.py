"""The guards that live evidence decides, one module for each question.

They judge facts, not names of steps, so promotion, canary, rollback and abandoning are covered by
the same questions. ``mtls_pki.rotation.verdict`` asks all of them.
"""
