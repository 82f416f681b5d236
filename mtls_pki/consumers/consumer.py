"""What the rest of the program may ask of a consumer.

A consumer takes trust and leaves besides the declared Certificates: a mesh, a server, a relay. It
is one folder beside this file, its ComponentResources in ``components/``, and one row of
``table.py``; docs/architecture.md lists the files. Nothing outside of its folder knows it by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtls_pki.clusters.sources.source import Source
from mtls_pki.settings.extensions import ConsumerSettings

if TYPE_CHECKING:
    from mtls_pki.consumers.declare import Declare


class Consumer:
    """One row of the table. A consumer overrides what it has.

    Attributes:
        settings: its name, section and rules.
    """

    settings: ConsumerSettings

    def declare(self) -> type[Declare]:
        """Return what declares its resources; imports pulumi, so only the program calls it."""
        from mtls_pki.consumers.declare import DeclareNothing

        return DeclareNothing

    def sources(self) -> tuple[Source, ...]:
        """Return where evidence of it comes from: its bundles, and leaves signed for it."""
        return ()
