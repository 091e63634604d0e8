"""Settings of the schema registry."""

from pathlib import Path
from typing import ClassVar

from service_kit.roles import Role
from service_kit.settings import ServiceSettings

OWN_SCHEMAS = Path(__file__).parent / "schemas"


class RegistrySettings(ServiceSettings):
    """What the registry is told beside the settings every service has."""

    name: ClassVar[str] = "registry"

    schemas_folder: Path = OWN_SCHEMAS
    """The contract files that are registered at start."""

    writing_clients: tuple[str, ...] = ()
    """OAuth clients that may change the registry with their own id and secret, beside administrators."""

    reading_closed: bool = False
    """Whether even reading through the gateway needs a sign-in or a token. The own port stays open."""

    tail_roles: tuple[Role, ...] = (Role.ADMIN,)
    """Who may look into the topics in the catalogue. Events carry ids and amounts, never names."""
