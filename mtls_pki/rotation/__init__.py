"""The rotation of a trust anchor as data: stages, transitions, evidence, verdicts and reports.

Pure Python: no Pulumi types, no cluster access, no clock (``now`` is always a parameter), no I/O.
Imports inside the package point one way, from the right to the left::

    roles <- stage <- domain <- rules <- transitions <- evidence <- request
      <- clocks, moved, tracing <- guards <- notices <- verdict <- position <- plan <- report

``verdict.judge`` says whether a change may be applied, ``position.locate`` how far a rotation has
come, and ``plan.plan`` which steps remain. ``report`` turns the answers into text and JSON.

An anchor is identified everywhere by its *fingerprint*, the lowercase hex SHA-256 of its
SubjectPublicKeyInfo; never by its name, distinguished name or position (docs/decisions, 0002).
"""
