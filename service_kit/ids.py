"""Identifiers: new ones are UUIDv7, so that they sort by the time they were drawn."""

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """Draw a UUIDv7 as the standard library's type, which drivers and Pydantic expect."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


def id_in(text: str) -> UUID | None:
    """The id that a text from outside is; None when it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
