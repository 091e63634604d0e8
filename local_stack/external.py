"""Engines that run elsewhere and stand in for the embedded ones: named to `up`, never started or stopped."""

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from local_stack.ports import answers
from local_stack.troubles import Trouble

DATABASE_SETTING, KAFKA_SETTING = "ATES_EXTERNAL_DATABASE_URL", "ATES_EXTERNAL_KAFKA"

_POSTGRES_PORT, _KAFKA_PORT = 5432, 9092


@dataclass(frozen=True)
class External:
    """Both may be absent; then the exchange brings its own."""

    database_url: str | None = None
    """Of a role that may make databases and roles. Each service gets a database and roles of its own."""

    kafka: str | None = None
    """`host:port` of a broker."""

    @classmethod
    def of_environment(cls) -> "External":
        return cls(os.environ.get(DATABASE_SETTING) or None, os.environ.get(KAFKA_SETTING) or None)

    @property
    def environment(self) -> dict[str, str]:
        told = {DATABASE_SETTING: self.database_url, KAFKA_SETTING: self.kafka}
        return {name: value for name, value in told.items() if value}

    @property
    def database_place(self) -> tuple[str, int] | None:
        """Host and port of the server. Raises `Trouble` when the address is none of PostgreSQL."""
        if self.database_url is None:
            return None
        parts = urlsplit(self.database_url)
        if parts.scheme not in {"postgres", "postgresql"} or not parts.hostname:
            raise Trouble(
                f"{DATABASE_SETTING} is no address of PostgreSQL: postgresql://user:password@host:port/database."
            )
        return parts.hostname, parts.port or _POSTGRES_PORT

    @property
    def kafka_place(self) -> tuple[str, int] | None:
        """Host and port of the broker. Raises `Trouble` when the port is no number."""
        if self.kafka is None:
            return None
        host, _, port = self.kafka.rpartition(":")
        if not host:
            return port, _KAFKA_PORT
        if not port.isdigit():
            raise Trouble(f"{KAFKA_SETTING} is no address of a broker: host:port.")
        return host, int(port)

    def refuse_silent(self) -> None:
        """Raise `Trouble` when an engine that is named does not answer."""
        for name, place in (("PostgreSQL", self.database_place), ("Kafka", self.kafka_place)):
            if place is not None and not answers(place[1], place[0]):
                raise Trouble(f"{name} does not answer at {place[0]}:{place[1]}: is it running?")
