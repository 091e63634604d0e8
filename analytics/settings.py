"""What analytics is told by its environment: nothing beside what every service is told."""

from typing import ClassVar

from service_kit.settings import ServiceSettings


class AnalyticsSettings(ServiceSettings):
    name: ClassVar[str] = "analytics"
