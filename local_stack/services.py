"""The services of the exchange, as programs: what `up` starts and the container description repeats."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """One service. Its name is that of its database, its OAuth client and its path behind the gateway."""

    package: str
    name: str
    has_worker: bool = True
    signs_in: bool = True
    """Whether its pages sign people in, as an OAuth client of its own."""

    @property
    def processes(self) -> tuple[str, ...]:
        return (f"{self.name}-web", f"{self.name}-worker") if self.has_worker else (f"{self.name}-web",)


REGISTRY = Service("schema_registry", "registry", has_worker=False)
AUTH = Service("auth_service", "auth")
TRACKER = Service("tracker", "tracker")
BILLING = Service("billing", "billing")
ANALYTICS = Service("analytics", "analytics")

SERVICES = (REGISTRY, AUTH, TRACKER, BILLING, ANALYTICS)
