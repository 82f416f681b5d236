"""The stack that the Pulumi engine runs: all of it is declared by ``mtls_pki.program``.

settings -> clusters, authorities -> anchors, gates, bundles, issuers, Certificates, consumers ->
exports; ``mtls_pki/program/run.py`` is the picture of it.
"""

from mtls_pki.program import run

run()
