"""The release, in this one place: the package's metadata and ``mtls-pki --version`` read it."""

VERSION = "0.1.0"
