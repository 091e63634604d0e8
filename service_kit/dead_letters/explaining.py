"""What is wrong with a record, shown where it is wrong: payload and contract line by line, errors marked.

The checks are those of the consumer, in its order, but all of them are told and not only the first.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from service_kit.dead_letters.acting import Repair
from service_kit.dead_letters.keeping import shortened
from service_kit.errors import FieldError, Invalid, Unavailable
from service_kit.events import Event
from service_kit.schema_client import Schema, SchemaClient
from service_kit.settings import ServiceSettings
from service_kit.text import message as _

FRAME_BYTES = 5
FAULTS_MAX = 20
SHOWN_MAX = 20_000
"""Characters of a payload that are shown; the whole of it is in the download."""

Path = tuple[str, ...]
Heard = Mapping[str, type[Event]]
"""Events a service hears by the name of their type."""

HEADERS = ("ce_type", "ce_id", "ce_time")
"""Headers without which an event cannot be read."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, and where: `/taskId` of the value, or the name of a header."""

    where: str
    message: str


@dataclass(frozen=True, slots=True)
class Line:
    text: str
    wrong: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """A record beside its contract."""

    faults: Sequence[Fault]
    payload: Sequence[Line]
    schema: Sequence[Line]
    schema_id: int | None
    editable: str
    """The JSON of the value as text for a form, without its frame."""
    is_text: bool
    """Whether the value is text at all; bytes that are none are shown as hexadecimal."""
    cut: bool
    registry_away: bool


def unframed(value: bytes) -> tuple[int | None, bytes]:
    """Schema id and data of a value in Confluent framing; a value without it has no id."""
    if value[:1] == b"\x00" and len(value) > FRAME_BYTES:
        return int.from_bytes(value[1:FRAME_BYTES], "big"), value[FRAME_BYTES:]
    return None, value


async def explain(
    value: bytes, headers: Mapping[str, str], *, heard: Heard, schemas: SchemaClient
) -> Explanation:
    faults = [*_header_faults(headers, heard)]
    schema_id, data = unframed(value)
    event_type = heard.get(headers.get("ce_type", ""))
    schema, away = None, False
    try:
        if schema_id is not None:
            schema = await schemas.by_id(schema_id)
        elif event_type is not None:
            schema = await schemas.find(event_type)
    except Unavailable:
        away = True
    except Invalid as error:
        faults.append(Fault("/", error.detail))
        # The frame is wrong; the contract is still known by the type.
        schema = await schemas.find(event_type) if event_type is not None else None
    is_text, text = _text_of(data)
    marked: set[Path] = set()
    marked_in_schema: set[Path] = set()
    try:
        parsed = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        faults.append(Fault("/", str(error)))
        broken = error.lineno if is_text and data else 0
        payload = [Line(line, number == broken) for number, line in enumerate(text.split("\n"), start=1)]
    else:
        for fault, path, schema_path in _content_faults(parsed, data, schema, event_type):
            faults.append(fault)
            marked.add(path)
            marked_in_schema.add(schema_path)
        payload = list(_marked(parsed, marked))
        text = orjson.dumps(parsed, option=orjson.OPT_INDENT_2).decode()
    cut = len(text) > SHOWN_MAX
    return Explanation(
        faults=faults[:FAULTS_MAX],
        payload=payload if not cut else [Line(text[:SHOWN_MAX], wrong=False)],
        schema=list(_marked(orjson.loads(schema.text), marked_in_schema)) if schema is not None else [],
        schema_id=schema.id if schema is not None else schema_id,
        editable=text if is_text else "",
        is_text=is_text,
        cut=cut,
        registry_away=away,
    )


async def repaired(
    text: str,
    headers: Mapping[str, str],
    *,
    topic: str,
    heard: Heard,
    schemas: SchemaClient,
    settings: ServiceSettings,
) -> Repair:
    """The record to send instead, framed for its type. Raises `Invalid` with every fault that is left."""
    faults = [*_header_faults(headers, heard)]
    event_type = heard.get(headers.get("ce_type", ""))
    schema = await schemas.find(event_type) if event_type is not None else None
    data = text.encode()
    try:
        data = orjson.dumps(orjson.loads(data))
    except orjson.JSONDecodeError as error:
        faults.append(Fault("/", str(error)))
    else:
        faults += [fault for fault, *_ in _content_faults(orjson.loads(data), data, schema, event_type)]
    if faults:
        found = [FieldError(fault.where, fault.message) for fault in faults[:FAULTS_MAX]]
        raise Invalid(_("It would come back: not everything is right yet."), errors=found)
    if schema is not None and settings.topic_framing.get(topic) != "plain":
        data = b"\x00" + schema.id.to_bytes(4, "big") + data
    return Repair(data, dict(headers))


def _header_faults(headers: Mapping[str, str], heard: Heard) -> Iterator[Fault]:
    name = headers.get("ce_type")
    if not name:
        yield Fault("ce_type", _("The record does not say what it is."))
    elif name not in heard:
        yield Fault("ce_type", _("This service hears no event of this type."))
    for header, parse in (("ce_id", UUID), ("ce_time", datetime.fromisoformat)):
        try:
            parse(headers[header])
        except KeyError:
            yield Fault(header, _("This header is missing."))
        except ValueError as error:
            yield Fault(header, shortened(str(error)))


def _content_faults(
    parsed: Any, data: bytes, schema: Schema | None, event_type: type[Event] | None
) -> Iterator[tuple[Fault, Path, Path]]:
    """Each fault with its path in the value and, where the contract tells it, its path in the schema."""
    told: set[Path] = set()
    if schema is not None:
        errors: Iterable[Any] = schema.validator.iter_errors(parsed)
        for error in islice(errors, FAULTS_MAX):
            path = tuple(str(part) for part in error.instance_path)
            told.add(path)
            fault = Fault("/" + "/".join(path), shortened(error.message))
            yield fault, path, tuple(map(str, error.schema_path))
    if event_type is None:
        return
    try:
        event_type.model_validate_json(data)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False)[:FAULTS_MAX]:
            path = tuple(str(part) for part in found["loc"])
            # What the contract has told needs no second sentence; it tells a missing field of its object.
            if path not in told and path[:-1] not in told:
                yield Fault("/" + "/".join(path), found["msg"]), path, ("",)


def _text_of(data: bytes) -> tuple[bool, str]:
    try:
        return True, data.decode()
    except UnicodeDecodeError:
        return False, data[: SHOWN_MAX // 3].hex(" ")


def _marked(value: Any, wrong: set[Path]) -> Iterator[Line]:
    """JSON as indented lines; those whose path is among the wrong ones are marked."""
    yield from _lines(value, (), "", "", "", wrong)


def _lines(value: Any, path: Path, indent: str, before: str, after: str, wrong: set[Path]) -> Iterator[Line]:
    bad = path in wrong
    if not isinstance(value, dict | list) or not value:
        yield Line(f"{indent}{before}{orjson.dumps(value).decode()}{after}", bad)
        return
    opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
    yield Line(f"{indent}{before}{opening}", bad)
    children = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
    for number, (name, child) in enumerate(children, start=1):
        label = f"{orjson.dumps(name).decode()}: " if isinstance(value, dict) else ""
        comma = "," if number < len(children) else ""
        yield from _lines(child, (*path, str(name)), indent + "  ", label, comma, wrong)
    yield Line(f"{indent}{closing}{after}", wrong=False)
