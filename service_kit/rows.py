"""Many rows in one statement: columns travel as arrays, however many rows there are.

Statement-level triggers then see all sides of an entry together, and a batch costs one round trip per table.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Table, Uuid, any_, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.sql.selectable import TableValuedAlias

Rows = Sequence[dict[str, Any]]


def given(table: Table, rows: Rows) -> TableValuedAlias:
    """Make the rows a relation inside a statement, with the types of the table's columns."""
    names = list(rows[0])
    arrays = [
        bindparam(f"given_{name}", [row[name] for row in rows], type_=ARRAY(table.c[name].type))
        for name in names
    ]
    return func.unnest(*arrays).table_valued(*names, name="given").render_derived()


def insert_rows(table: Table, rows: Rows) -> Insert:
    """Insert the rows in their order; every row has the same columns."""
    source = given(table, rows)
    names = list(rows[0])
    return insert(table).from_select(names, select(*(source.c[name] for name in names)))


def any_of(ids: Iterable[UUID]) -> ColumnElement[Any]:
    """Stand on the right of `=`: one of these ids. One array is one parameter and one prepared statement."""
    return any_(literal(list(ids), ARRAY(Uuid)))
