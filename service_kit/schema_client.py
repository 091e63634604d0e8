"""The event schemas a service knows: asked of the registry once, kept for ever, as they never change.

Kept in memory and, where the settings name a folder, on disk: a process that starts without the registry
goes by what it knew before, says so, and asks again until the registry has confirmed it.
"""

import asyncio
import hashlib
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import httpx2
import jsonschema_rs
import orjson
import structlog

from service_kit.errors import Invalid, Unavailable
from service_kit.events import Event
from service_kit.settings import ServiceSettings
from service_kit.trust import trusted

log = structlog.get_logger(__name__)

CONFIRM_EVERY_S = 5
STEP_S, ANSWER_S = 5, 15
"""The registry is given up when a single step of an answer takes so long, and the whole of it."""


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


class UnknownSchema(SchemaViolation):
    """Data says that it keeps to a contract which the registry does not have."""

    code = "unknown_schema"


class RegistryUnavailable(Unavailable):
    """The registry does not answer, and the schema asked for is not known yet."""

    code = "registry_unavailable"


def compiled(schema_id: int, text: str) -> Schema:
    validator = jsonschema_rs.validator_for(orjson.loads(text), validate_formats=True)
    return Schema(schema_id, text, validator)


class SchemaClient:
    """Schemas by event class for what the service says, by id for what it hears."""

    def __init__(
        self,
        registry_url: str,
        transport: httpx2.AsyncBaseTransport | None = None,
        folder: Path | None = None,
        confirm_every_s: float = CONFIRM_EVERY_S,
    ) -> None:
        self._registry_url = registry_url.rstrip("/")
        self._transport = transport
        self._confirm_every_s = confirm_every_s
        self._disk = _Disk(folder, self._registry_url) if folder is not None else None
        self._by_id: dict[int, Schema] = {}
        self._by_type: dict[str, Schema] = {}
        self.missing: set[str] = set()
        """Event versions the service says and does not know the schema of; ready means none."""
        self.unconfirmed: set[str] = set()
        """Those it knows from its disk alone, because the registry was away when it started."""

    @classmethod
    def configured(cls, settings: ServiceSettings) -> Self:
        return cls(settings.registry_url, folder=settings.schema_cache_folder)

    async def keep(self, says: Iterable[type[Event]]) -> None:
        """Load, and then ask on until the registry has confirmed whatever came from the disk."""
        wanted = list(says)
        await self.load(wanted)
        while self.unconfirmed:
            await asyncio.sleep(self._confirm_every_s)
            for event in wanted:
                if event.type_name() in self.unconfirmed:
                    await self._load_one(event)

    async def load(self, says: Iterable[type[Event]]) -> None:
        """Ask for every version the service says, again and again until all are known."""
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
        name = event.type_name()
        path = f"/subjects/{event.subject()}/versions/{event.version}"
        try:
            found = await self._get(path)
        except RegistryUnavailable as error:
            found = self._disk.read(path) if self._disk is not None else None
            if found is not None and name not in self.unconfirmed:
                log.warning("schema_from_disk", event_type=name, reason=error.detail)
                self.unconfirmed.add(name)
        else:
            if found is not None:
                self.unconfirmed.discard(name)
                self._note(path, found)
        if found is None:
            return
        schema = compiled(found["id"], found["schema"])
        self._by_id[schema.id] = self._by_type[name] = schema
        self.missing.discard(name)

    def _note(self, path: str, found: dict[str, Any]) -> None:
        if self._disk is not None:
            self._disk.write(path, found)

    def of(self, event: type[Event]) -> Schema:
        """The schema of an event the service says; raises `RegistryUnavailable` before it is loaded."""
        try:
            return self._by_type[event.type_name()]
        except KeyError:
            raise RegistryUnavailable(f"The schema of {event.type_name()} is not known yet.") from None

    async def find(self, event: type[Event]) -> Schema | None:
        """The schema of any declared event, also of one the service only hears; None when nobody knows it.

        Raises `RegistryUnavailable`.
        """
        if event.type_name() not in self._by_type:
            found = await self._get(f"/subjects/{event.subject()}/versions/{event.version}")
            if found is None:
                return None
            schema = compiled(found["id"], found["schema"])
            self._by_id[schema.id] = self._by_type[event.type_name()] = schema
        return self._by_type[event.type_name()]

    def known(self, schema_id: int) -> Schema | None:
        """The schema of this id if it was asked for before."""
        return self._by_id.get(schema_id)

    async def by_id(self, schema_id: int) -> Schema:
        """The schema of a received event. Raises `Invalid` for an id the registry does not know."""
        if schema_id not in self._by_id:
            path = f"/schemas/ids/{schema_id}"
            try:
                found = await self._get(path)
            except RegistryUnavailable:
                found = self._disk.read(path) if self._disk is not None else None
                if found is None:
                    raise
                log.warning("schema_from_disk", schema_id=schema_id)
            else:
                if found is None:
                    raise UnknownSchema(f"The registry knows no schema with id {schema_id}.")
                self._note(path, found)
            self._by_id[schema_id] = compiled(schema_id, found["schema"])
        return self._by_id[schema_id]

    async def _get(self, path: str) -> dict[str, Any] | None:
        """The answer, or None when the registry knows nothing of it."""
        try:
            async with (
                asyncio.timeout(ANSWER_S),
                httpx2.AsyncClient(transport=self._transport, timeout=STEP_S, verify=trusted()) as client,
            ):
                answer = await client.get(self._registry_url + path)
        except (httpx2.HTTPError, OSError) as error:
            raise RegistryUnavailable(
                f"The schema registry does not answer ({type(error).__name__})."
            ) from error
        if answer.status_code == httpx2.codes.NOT_FOUND:
            return None
        if answer.is_error:
            raise RegistryUnavailable(f"The schema registry answers {answer.status_code}.")
        body: dict[str, Any] = answer.json()
        return body


class _Disk:
    """Answers of one registry as files. A folder that cannot be written is said once and then left alone."""

    def __init__(self, folder: Path, registry_url: str) -> None:
        # Ids mean nothing in another registry.
        self._folder = folder / hashlib.sha256(registry_url.encode()).hexdigest()[:16]
        self._writable = True

    def read(self, path: str) -> dict[str, Any] | None:
        try:
            found = orjson.loads(self._file(path).read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("schema"), str) else None

    def write(self, path: str, found: dict[str, Any]) -> None:
        if not self._writable:
            return
        file = self._file(path)
        beside = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(orjson.dumps(found))
            # Many processes and threads share the folder; a reader finds the old file or the new one whole.
            beside.replace(file)
        except OSError as error:
            self._writable = False
            log.warning("schemas_not_kept", folder=str(self._folder), error=type(error).__name__)

    def _file(self, path: str) -> Path:
        return self._folder / (hashlib.sha256(path.encode()).hexdigest()[:32] + ".json")
