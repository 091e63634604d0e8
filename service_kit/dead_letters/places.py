"""Where dead letters travel: the topic that tells of them, and the one on which they come back."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from service_kit.ids import id_in

LETTER = "dl_id"
TOPIC = "dl_topic"
PARTITION = "dl_partition"
OFFSET = "dl_offset"
REASON = "dl_reason"
DETAIL = "dl_detail"
SHORTENED = "dl_shortened"
SENT_BYTES_MAX = 900_000
"""A larger record might not fit the broker's limit of a megabyte, and the relay would stand still at it."""
OURS = frozenset({LETTER, TOPIC, PARTITION, OFFSET, REASON, DETAIL, SHORTENED})
"""Headers that we add; the event's own stand beside them."""


class Place(NamedTuple):
    """Where a record stood on the broker."""

    topic: str
    partition: int
    offset: int


def dead_letter_topic(consumer: str) -> str:
    """Tells whoever wants to know; nobody has to read it."""
    return f"{consumer}.dead-letters"


def redrive_topic(consumer: str) -> str:
    """Read by the consumer of that name alone, beside the topics of the events it hears."""
    return f"{consumer}.redrive"


def original_place(here: Place, headers: Mapping[str, str]) -> Place:
    """Where the event stood first: for one that was sent again not where it was read now.

    Only on a redrive topic are the headers believed; elsewhere anybody could have written them.
    """
    if not here.topic.endswith(".redrive"):
        return here
    try:
        return Place(headers[TOPIC], int(headers[PARTITION]), int(headers[OFFSET]))
    except (KeyError, ValueError):
        return here


def letter_of(topic: str, headers: Mapping[str, str]) -> UUID | None:
    """The dead letter that this record is another try of."""
    if not topic.endswith(".redrive"):
        return None
    return id_in(headers.get(LETTER, ""))
