"""Least rights for the service's role, said table by table in the migration that makes the table."""

from alembic import context, op


def service() -> str:
    """Short name of the service whose database is being migrated."""
    name: str = context.config.attributes["service"]
    return name


def grant(table: str, privileges: str) -> None:
    """Give the service's role `privileges` (for instance "SELECT, INSERT"), and the reader's role SELECT."""
    op.execute(f"GRANT {privileges} ON {table} TO {service()}_service")
    op.execute(f"GRANT SELECT ON {table} TO {service()}_reader")


def grant_sequence(sequence: str) -> None:
    op.execute(f"GRANT USAGE ON SEQUENCE {sequence} TO {service()}_service")
    op.execute(f"GRANT SELECT ON SEQUENCE {sequence} TO {service()}_reader")


def append_only(table: str) -> None:
    """Refuse UPDATE, DELETE and TRUNCATE even to the owner, by triggers beside the missing rights."""
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION refuse_change_of_{table}() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION '{table} is append-only' USING ERRCODE = 'insufficient_privilege'; END $$
        """
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_{table}()"
    )
