"""The event schemas a service knows: asked of the registry once, kept for ever, as they never change."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import jsonschema_rs
import orjson
import structlog

from service_kit.errors import Invalid, Unavailable
from service_kit.events import Event

log = structlog.get_logger()


class _Validator(Protocol):
    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Iterable[Any]: ...


@dataclass(frozen=True, slots=True)
class Schema:
    """One registered version of one event's contract."""

    id: int
    text: str
    validator: _Validator

    def refuse_invalid(self, instance: Any) -> None:
        """Raise `Invalid` naming the path and the reason when `instance` breaks the contract."""
        if self.validator.is_valid(instance):
            return
        error = next(iter(self.validator.iter_errors(instance)))
        path = "/".join(str(part) for part in error.instance_path)
        raise SchemaViolation(f"/{path}: {error.message}")


class SchemaViolation(Invalid):
    """Data breaks the contract of its event."""

    code = "schema_violation"


class RegistryUnavailable(Unavailable):
    """The registry does not answer, and the schema asked for is not known yet."""

    code = "registry_unavailable"


def compiled(schema_id: int, text: str) -> Schema:
    validator = jsonschema_rs.validator_for(orjson.loads(text), validate_formats=True)
    return Schema(schema_id, text, validator)


class SchemaClient:
    """Schemas by event class for what the service says, by id for what it hears."""

    def __init__(self, registry_url: str, transport: httpx2.AsyncBaseTransport | None = None) -> None:
        self._registry_url = registry_url.rstrip("/")
        self._transport = transport
        self._by_id: dict[int, Schema] = {}
        self._by_type: dict[str, Schema] = {}
        self.missing: set[str] = set()
        """Event versions the service says and the registry has not confirmed; ready means none."""

    async def load(self, says: Iterable[type[Event]]) -> None:
        """Ask for every version the service says, again and again until the registry knows them all."""
        wanted = list(says)
        self.missing = {event.type_name() for event in wanted}
        delay_s = 0.1
        while self.missing:
            for event in wanted:
                if event.type_name() in self.missing:
                    await self._load_one(event)
            if self.missing:
                log.info("schemas_missing", missing=sorted(self.missing))
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, 5)

    async def _load_one(self, event: type[Event]) -> None:
        try:
            found = await self._get(f"/subjects/{event.subject()}/versions/{event.version}")
        except RegistryUnavailable:
            return
        if found is None:
            return
        schema = compiled(found["id"], found["schema"])
        self._by_id[schema.id] = self._by_type[event.type_name()] = schema
        self.missing.discard(event.type_name())

    def of(self, event: type[Event]) -> Schema:
        """The schema of an event the service says; raises `RegistryUnavailable` before it is loaded."""
        try:
            return self._by_type[event.type_name()]
        except KeyError:
            raise RegistryUnavailable(f"The schema of {event.type_name()} is not known yet.") from None

    async def by_id(self, schema_id: int) -> Schema:
        """The schema of a received event. Raises `Invalid` for an id the registry does not know."""
        if schema_id not in self._by_id:
            found = await self._get(f"/schemas/ids/{schema_id}")
            if found is None:
                raise SchemaViolation(f"The registry knows no schema with id {schema_id}.")
            self._by_id[schema_id] = compiled(schema_id, found["schema"])
        return self._by_id[schema_id]

    async def _get(self, path: str) -> dict[str, Any] | None:
        """The answer, or None when the registry knows nothing of it."""
        try:
            async with httpx2.AsyncClient(transport=self._transport, timeout=5) as client:
                answer = await client.get(self._registry_url + path)
        except httpx2.HTTPError as error:
            raise RegistryUnavailable(
                f"The schema registry does not answer ({type(error).__name__})."
            ) from error
        if answer.status_code == httpx2.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise RegistryUnavailable(f"The schema registry answers {answer.status_code}.")
        body: dict[str, Any] = answer.json()
        return body
