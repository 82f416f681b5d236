"""What the rest of the program may ask of a backend.

A backend is who holds the issuing CA below an anchor. It is one folder beside this file, its
ComponentResources in ``components/``, and one row of ``table.py``; docs/architecture.md lists the
files. Nothing outside of its folder knows it by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import RenderableType

from mtls_pki.clusters.sources.source import Source
from mtls_pki.rotation.evidence import Evidence
from mtls_pki.settings.extensions import BackendSettings
from mtls_pki.settings.model import Settings

if TYPE_CHECKING:
    from mtls_pki.backends.declare import Declare


class Health(Protocol):
    """What ``status`` shows of an authority."""

    def to_json(self) -> dict[str, Any]:
        """Return it for ``status --json``."""
        ...

    def view(self) -> RenderableType:
        """Return it as lines for a terminal."""
        ...


class JobIdentity(Protocol):
    """The identity that a forge gives a running job."""

    def token(self, audience: str) -> str:
        """Return a signed JWT for one audience; raises where the job may not have one."""
        ...

    def described(self, token: str) -> str:
        """Return what the token says of the job, for a message; never the token."""
        ...


class Backend(ABC):
    """One row of the table. A backend overrides what it has; the defaults have nothing.

    Attributes:
        settings: its name, section and rules.
        signer: who signs in place of cert-manager itself, for names of hooks; empty for nobody.
        takes_login: what a pipeline's job logs in to, such as ``Vault``; empty for nothing.
        issuer_spec: the field of an issuer object's ``spec`` that is there for this backend only.
    """

    settings: BackendSettings
    signer: str = ""
    takes_login: str = ""
    issuer_spec: str

    @abstractmethod
    def declare(self) -> type[Declare]:
        """Return what declares its resources; imports pulumi, so only the program calls it."""

    def explain(self, message: str) -> str | None:
        """Return what a message means in which the authority speaks; None for other messages."""
        del message
        return None

    def issuer_remedy(self, kind: str) -> str:
        """Return what to do where an issuer of this kind (such as ``ClusterIssuer``) fails."""
        del kind
        return "correct what it says and run `pulumi up` again"

    def health(self, settings: Settings, directory: Path, evidence: Evidence) -> Health | None:
        """Read how the authority does; None where there is nothing beyond the issuers.

        Args:
            settings: of the stack.
            directory: of the stack file.
            evidence: what was read from the clusters.
        """
        del settings, directory, evidence
        return None

    def login(
        self,
        stack: str,
        settings: Settings,
        directory: Path,
        environment: MutableMapping[str, str],
        identity: JobIdentity,
    ) -> AbstractContextManager[None]:
        """Let a pipeline's job reach the authority inside of the block, by the job's identity.

        Only asked of a backend with :attr:`takes_login`, for a stack whose issuing CAs it holds.

        Args:
            stack: its name, for messages.
            settings: of the stack.
            directory: of the stack file.
            environment: of this process and of what it starts; it gets the credential.
            identity: of the job.
        """
        del stack, settings, directory, environment, identity
        return nullcontext()

    def sources(self) -> tuple[Source, ...]:
        """Return where evidence comes from besides cert-manager's own objects."""
        return ()
