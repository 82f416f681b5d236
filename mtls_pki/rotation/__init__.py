"""The rotation of a trust anchor as data: stages, transitions, evidence, verdicts and reports.

Pure Python: no Pulumi types, no cluster access, no clock (``now`` is always a parameter), no I/O.
Arrows inside the package point one way, from the right to the left::

    roles <- stage <- rules <- transitions <- evidence <- request <- guards <- notices <- verdict
          <- position <- plan <- report <- page, terminal

The review of a preview stands beside that, and reads what the guard said in ``report``'s words::

    review_text <- review_digest <- review_kinds <- review_stages <- review_trust, review_verdict
          <- review <- review_answer
    review_document <- review_advice, review_places, review_scene, review_resources, review_diff
          <- review_page
    review_document <- review_picture <- review_html; review_document <- review_markdown

Ask ``verdict.judge`` whether a change may be applied, ``position.locate`` where the domain stands,
``plan.plan`` what remains; ``report``, ``page`` and ``terminal`` tell the answers.

An anchor is identified everywhere by the lowercase hex SHA-256 of its SubjectPublicKeyInfo, the
*fingerprint*; never by its name, distinguished name or position (reference/rotation.md I4).
"""
