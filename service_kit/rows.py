"""Many rows in one statement: columns travel as arrays, however many rows there are.

Statement-level triggers then see all sides of an entry together, and a batch costs one round trip per table.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Table, Uuid, any_, bindparam, func, literal, select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.sql.selectable import TableValuedAlias

Rows = Sequence[Mapping[str, Any]]


def given(table: Table, *names: str) -> TableValuedAlias:
    """Rows as a relation inside a statement, with the types of the table's columns; `arrays` fills it."""
    columns = [bindparam(f"given_{name}", type_=ARRAY(table.c[name].type)) for name in names]
    return func.unnest(*columns).table_valued(*names, name="given").render_derived()


def inserting(table: Table, *names: str) -> Insert:
    """Insert given rows in their order. Without values in it, it is made once and run with `arrays(rows)`."""
    source = given(table, *names)
    return insert(table).from_select(names, select(*(source.c[name] for name in names)))


def arrays(rows: Rows) -> dict[str, list[Any]]:
    """The parameters of a statement over given rows; every row has the same columns."""
    return {f"given_{name}": [row[name] for row in rows] for name in rows[0]}


def any_of(ids: Iterable[UUID]) -> ColumnElement[Any]:
    """Stand on the right of `=`: one of these ids. One array is one parameter and one prepared statement."""
    return any_(literal(list(ids), ARRAY(Uuid)))
