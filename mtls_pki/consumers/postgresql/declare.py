"""Nothing is declared for PostgreSQL: its servers are the users' own."""

from __future__ import annotations

from mtls_pki.consumers.declare import Declare


class PostgresqlDeclare(Declare):
    """Its leaves are services of the stack."""

    def declare(self) -> None:
        """Declare nothing."""
