"""Run by Alembic inside `service_kit.migrating`; the connection and the metadata come from there."""

from typing import Any

from alembic import context
from sqlalchemy import text

from service_kit.database import lock_key

config = context.config
connection = config.attributes["connection"]


def include(item: Any, name: str | None, kind: str, reflected: bool, other: Any) -> bool:  # noqa: FBT001  Alembic's signature
    """Partitions are made by their parents; they are no drift."""
    del item, reflected, other
    return not (kind == "table" and name is not None and name.startswith("partition_"))


context.configure(
    connection=connection,
    target_metadata=config.attributes["metadata"],
    include_object=include,
    compare_type=True,
    transaction_per_migration=False,
)
# Two processes that migrate at once wait for each other instead of failing on half a schema.
connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": lock_key("migrating")})
context.run_migrations()
