"""The trust of a stack, as its Pulumi.<stack>.yaml says it."""

from mtls_pki.program import run

run()
