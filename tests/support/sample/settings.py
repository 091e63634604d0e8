from typing import ClassVar

from service_kit.settings import ServiceSettings


class SampleSettings(ServiceSettings):
    name: ClassVar[str] = "sample"
