"""Settings of the schema registry."""

from pathlib import Path
from typing import ClassVar

from service_kit.settings import ServiceSettings

OWN_SCHEMAS = Path(__file__).parent / "schemas"


class RegistrySettings(ServiceSettings):
    """What the registry is told beside the settings every service has."""

    name: ClassVar[str] = "registry"

    schemas_folder: Path = OWN_SCHEMAS
    """The contract files that are registered at start."""
