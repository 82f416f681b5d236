"""The rotation of a trust anchor as data: stages, transitions, evidence, verdicts and reports.

Pure Python: no Pulumi types, no cluster access, no clock (``now`` is always a parameter), no I/O.
Arrows inside the package point one way, from the right to the left::

    roles <- stage <- rules <- transitions <- evidence <- request <- guards <- notices <- verdict
          <- position <- plan <- report

Ask ``verdict.judge`` whether a change may be applied, ``position.locate`` where the domain stands,
``plan.plan`` what remains; ``report`` tells the answers, and ``mtls_pki.pages`` shows them.

An anchor is identified everywhere by the lowercase hex SHA-256 of its SubjectPublicKeyInfo, the
*fingerprint*; never by its name, distinguished name or position. A name can be used again by
somebody else, a key cannot.
"""
