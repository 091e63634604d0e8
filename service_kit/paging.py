"""Long lists in pages: keyset cursors that stay right while rows are added.

A cursor names the last row that was shown, by the values of the order the list has. It is opaque to callers.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import orjson
from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from service_kit.errors import Invalid
from service_kit.text import message as _

T = TypeVar("T")
R = TypeVar("R")
LIMIT_MAX = 200
LIMIT_DEFAULT = 50
CURSOR_LENGTH_MAX = 1000

Key = str | int | float | bool | UUID | datetime | date | None


class Page(BaseModel, Generic[T]):
    """A stretch of a list; `next` is the cursor of what follows, null at the end."""

    # Queries page over rows of tables; `of` turns them into what an API shows.
    model_config = ConfigDict(arbitrary_types_allowed=True)

    items: list[T]
    next: str | None = None

    def of(self, convert: Callable[[T], R]) -> "Page[R]":
        """Carry the page over to another type of item."""
        return Page(items=[convert(item) for item in self.items], next=self.next)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What part of a list is asked for."""

    limit: int = LIMIT_DEFAULT
    cursor: str | None = None

    def after(self, *kinds: Any) -> tuple[Any, ...] | None:
        """Read the cursor as values of these types, or None at the beginning of the list."""
        return None if self.cursor is None else decode_cursor(self.cursor, *kinds)

    def page(self, rows: Sequence[T], key: Callable[[T], Sequence[Key]]) -> Page[T]:
        """Make a page of rows read with `limit + 1`; the surplus row only tells that more follow."""
        shown = list(rows[: self.limit])
        more = len(rows) > self.limit
        return Page(items=shown, next=encode_cursor(*key(shown[-1])) if more else None)


def encode_cursor(*key: Key) -> str:
    """Make an opaque cursor of the values by which a list is ordered."""
    # The driver's ids are a subclass of UUID, which orjson hands to `default`.
    return base64.urlsafe_b64encode(orjson.dumps(key, default=str)).rstrip(b"=").decode()


def decode_cursor(cursor: str, *kinds: Any) -> tuple[Any, ...]:
    """Read a cursor back as values of these types; anything else is refused."""
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        values = TypeAdapter(list[Any]).validate_python(orjson.loads(packed))
        # A cursor of another list has another number of values, which `strict` refuses as a ValueError.
        return tuple(
            TypeAdapter(kind).validate_python(value) for kind, value in zip(kinds, values, strict=True)
        )
    except (ValueError, binascii.Error, ValidationError) as error:
        raise Invalid.of("cursor", _("This cursor does not belong to this list.")) from error


async def _page_request(
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many items at most")] = LIMIT_DEFAULT,
    cursor: Annotated[
        str | None,
        Query(
            max_length=CURSOR_LENGTH_MAX,
            description="`next` of the page before",
            json_schema_extra={"format": "cursor"},
        ),
    ] = None,
) -> PageRequest:
    return PageRequest(limit=limit, cursor=cursor or None)


Paging = Annotated[PageRequest, Depends(_page_request)]
"""Dependency of list routes: `?limit=&cursor=`."""
