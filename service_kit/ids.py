"""New identifiers: UUIDv7, so that ids sort by the time they were drawn."""

from uuid import UUID

import uuid_utils


def new_id() -> UUID:
    """Draw a UUIDv7 as the standard library's type, which drivers and Pydantic expect."""
    return UUID(bytes=uuid_utils.uuid7().bytes)
