"""Many rows in one statement: they travel as one JSON text, however many they are.

Statement-level triggers then see all sides of an entry together, and a batch costs one round trip per table.
One text is cheaper to make than an array per column, as the driver looks at every element of an array
several times.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    ARRAY,
    JSON,
    ColumnElement,
    Table,
    Text,
    Uuid,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.sql.selectable import TableValuedAlias

Rows = Sequence[Mapping[str, Any]]
Parts = Mapping[str, Rows]
"""Rows of several tables for one statement, under the name of each table."""

GIVEN = "given"


def given(
    table: Table, *names: str, as_json: Collection[str] = (), in_parts: bool = False
) -> TableValuedAlias:
    """Rows as a relation inside a statement, with the types of the table's columns; `these` fills it.

    With `in_parts` they are what `these` was given for this table.
    """
    columns = [column(name, JSON if name in as_json else table.c[name].type) for name in names]
    rows: ColumnElement[Any] = cast(bindparam(GIVEN, type_=Text), JSON)
    if in_parts:
        rows = func.json_extract_path(rows, literal_column(f"'{table.name}'"))
    return func.json_to_recordset(rows).table_valued(*columns, name=GIVEN).render_derived(with_types=True)


def inserting(table: Table, *names: str, as_json: Collection[str] = (), in_parts: bool = False) -> Insert:
    """Insert given rows in their order. Without values in it, it is made once and run with `these(rows)`.

    With `in_parts` it may be one of several in a statement, which is run with rows for each table.
    Columns of bytes that hold JSON may be given `as_json`, each an `orjson.Fragment`: they travel as they
    are, byte for byte, and not twice as long.
    """
    source = given(table, *names, as_json=as_json, in_parts=in_parts)
    values = [
        func.convert_to(cast(source.c[name], Text), "UTF8") if name in as_json else source.c[name]
        for name in names
    ]
    return insert(table).from_select(names, select(*values))


def these(rows: Rows | Parts) -> dict[str, str]:
    """The parameter of a statement over given rows; every row of a table has the same columns."""
    return {GIVEN: orjson.dumps(rows, default=_plain).decode()}


def _plain(value: object) -> str:
    """What JSON has no form for: bytes as PostgreSQL writes them, ids of the driver's own class."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in a row")


def any_of(ids: Iterable[UUID]) -> ColumnElement[Any]:
    """Stand on the right of `=`: one of these ids. One array is one parameter and one prepared statement."""
    return any_(literal(list(ids), ARRAY(Uuid)))
