"""``mtls-pki``: the rotation of trust anchors from the command line.

Imports point one way, from the right to the left::

    errors <- stack_file <- layout <- edits    (the stack file; no cluster is asked)
    errors <- standing <- status_view          (what the clusters record and show)
    errors <- certificates <- reissue          (the only code that writes to a cluster)
    errors <- review                           (a preview as one page; runs pulumi, or reads)
                                     ... <- commands <- main
"""
