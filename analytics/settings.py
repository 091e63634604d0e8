"""What analytics is told by its environment."""

from typing import ClassVar

from pydantic import Field

from service_kit.settings import ServiceSettings


class AnalyticsSettings(ServiceSettings):
    name: ClassVar[str] = "analytics"

    consumer_linger_s: float = Field(default=0.1, ge=0)
    """Nobody looks at a chart ten times a second; gathering saves most of the work."""
