"""``mtls-pki``: one command, one file for each of its sub-commands, all of them in ``table``.

Imports point one way, from the right to the left::

    command <- status, check, ... (the sub-commands) <- table <- parser <- main
                                                                 parser <- completion

``command``, ``table`` and the top of each sub-command's file import nothing that takes time: the
whole command line is built at every start, for ``--help`` and for completion too. What a
sub-command works with is imported by its ``run``.
"""
