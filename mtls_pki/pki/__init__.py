"""X.509 as pure functions over ``cryptography``: build, parse, follow chains, render bundles.

No clock, no randomness, no I/O: the same inputs give the same bytes. PEM is ``str``, instants are
aware UTC datetimes in whole seconds, and whatever cannot be used raises `errors.PkiError`.
"""
