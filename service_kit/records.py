"""A record of the broker read as an event: headers, frame, data."""

from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from aiokafka import ConsumerRecord
from pydantic import ValidationError

from service_kit.dead_letters import Place, original_place
from service_kit.events import Event, Received

E = TypeVar("E", bound=Event)

FRAME_BYTES = 5


class Unreadable(Exception):
    """No event can be made of the record: `reason` is a short code, the text says what and where."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def headers_of(record: ConsumerRecord) -> dict[str, str]:
    return {name: value.decode(errors="replace") for name, value in record.headers}


def framed(value: bytes) -> tuple[int | None, bytes]:
    """The schema's id and the data; no id where the value has no frame."""
    if value[:1] == b"\x00" and len(value) > FRAME_BYTES:
        return int.from_bytes(value[1:FRAME_BYTES], "big"), value[FRAME_BYTES:]
    return None, value


def event_of(record: ConsumerRecord, kind: type[E], headers: dict[str, str], data: bytes) -> Received[E]:
    """The event. Raises `Unreadable` when headers or data are not what the event's class declares."""
    try:
        place = original_place(Place(record.topic, record.partition, record.offset), headers)
        return Received(
            data=kind.model_validate_json(data),
            event_id=UUID(headers["ce_id"]),
            occurred_at=datetime.fromisoformat(headers["ce_time"]),
            key=(record.key or b"").decode(),
            correlation_id=headers.get("correlationid"),
            topic=place.topic,
            partition=place.partition,
            offset=place.offset,
            sent_at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
            traceparent=headers.get("traceparent"),
            raw=data,
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = "/".join(str(part) for part in first["loc"])
        reason = "not_json" if first["type"] == "json_invalid" else "unreadable"
        raise Unreadable(reason, f"/{path}: {first['msg']}") from None
    except (KeyError, ValueError, UnicodeDecodeError) as error:
        raise Unreadable("bad_headers", f"{type(error).__name__}: {error}") from None
