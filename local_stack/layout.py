"""Where each part of one exchange listens."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from local_stack.external import External
from local_stack.ports import LOOPBACK, PortChooser, is_free
from local_stack.services import SERVICES
from local_stack.troubles import Trouble

GATEWAY_PORT, REGISTRY_PORT, KAFKA_PORT = 8080, 8081, 9092

LINES_SETTING = "ATES_LINES"
"""Where `chaos` tells which lines it has put between the parts, see `Layout.lines`."""


@dataclass(frozen=True)
class Layout:
    """All ports. By default three are the ones people expect and the others free ones."""

    gateway: int
    kafka: int
    kafka_controller: int
    postgres: int
    web: dict[str, int] = field(default_factory=dict)
    """Port of each service's web process by the service's name; the registry's is among them."""

    worker: dict[str, int] = field(default_factory=dict)
    """Port of each worker's health and metrics."""

    together: int = 0
    """Port of the health of all services, where they share one process."""

    postgres_host: str = LOOPBACK
    kafka_host: str = LOOPBACK

    lines: dict[str, int] = field(default_factory=dict)
    """Ports of lines between two parts that can be broken, `tracker-postgres`; none but under chaos."""

    kafka_listeners: dict[str, int] = field(default_factory=dict)
    """Kafka's own port behind each line to it: it tells its clients at which port to come back."""

    @classmethod
    def choose(
        cls,
        gateway: int | None = None,
        external: External | None = None,
        lines: Mapping[str, int] | None = None,
    ) -> "Layout":
        """The usual ports, or with `gateway` named that one and all others free."""
        external = external or External()
        usual = gateway is None
        wanted = {"the gateway": gateway or GATEWAY_PORT}
        if usual:
            wanted |= {"the schema registry": REGISTRY_PORT}
            wanted |= {} if external.kafka else {"Kafka": KAFKA_PORT}
        for owner, port in wanted.items():
            if not is_free(port):
                raise Trouble(_taken(owner, port, usual=usual))
        free = PortChooser(set(wanted.values()))
        web = {service.name: free.draw() for service in SERVICES}
        if usual:
            web["registry"] = REGISTRY_PORT
        kafka = external.kafka_place or (LOOPBACK, KAFKA_PORT if usual else free.draw())
        postgres = external.database_place or (LOOPBACK, free.draw())
        return cls(
            gateway=gateway or GATEWAY_PORT,
            kafka=kafka[1],
            kafka_host=kafka[0],
            kafka_controller=free.draw(),
            postgres=postgres[1],
            postgres_host=postgres[0],
            web=web,
            worker={service.name: free.draw() for service in SERVICES if service.has_worker},
            together=free.draw(),
            lines=dict(lines or {}),
            kafka_listeners={line: free.draw() for line in lines or {} if line.endswith("-kafka")},
        )

    def behind(self, line: str) -> tuple[str, int]:
        """Where a line ends."""
        far = line.partition("-")[2]
        if far == "postgres":
            return self.postgres_host, self.postgres
        if far == "kafka":
            return self.kafka_host, self.kafka_listeners.get(line, self.kafka)
        return LOOPBACK, self.web[far]

    def way(self, near: str, far: str) -> str:
        """`host:port` at which one part finds another one: that of the line between them, if there is one."""
        line = f"{near}-{far}"
        host, port = (LOOPBACK, self.lines[line]) if line in self.lines else self.behind(line)
        return f"{host}:{port}"

    @property
    def kafka_lines(self) -> dict[int, int]:
        """Which listener of Kafka is behind which line, by their ports."""
        return {port: self.lines[line] for line, port in self.kafka_listeners.items()}

    @property
    def gateway_url(self) -> str:
        return f"http://localhost:{self.gateway}"

    @property
    def registry_url(self) -> str:
        return f"http://localhost:{self.web['registry']}"

    @property
    def kafka_address(self) -> str:
        return f"{self.kafka_host}:{self.kafka}"

    @property
    def issuer(self) -> str:
        return f"{self.gateway_url}/auth"

    def service_url(self, name: str) -> str:
        return f"{self.gateway_url}/{name}"


def _taken(owner: str, port: int, *, usual: bool) -> str:
    if usual and port != GATEWAY_PORT:
        return (
            f"Port {port}, meant for {owner}, is taken: stop the program that listens there, or run "
            f"./ates up --port {GATEWAY_PORT}, which picks free ports for everything but the gateway."
        )
    return (
        f"Port {port}, meant for {owner}, is taken: stop the program that listens there, or choose another "
        f"one with ./ates up --port {port + 100}."
    )


def lines_of_environment() -> dict[str, int]:
    told: dict[str, int] = json.loads(os.environ.get(LINES_SETTING, "{}"))
    return told
