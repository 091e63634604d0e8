"""The outbox in parts that are dropped whole, and what every consumer has confirmed of it (decision 0022).

A part holds a range of ids, so that the relay's cursor stays a single number. Its name ends with the first id
that is no longer its own. What no part is ready for goes into one that takes everything.
"""

import sqlalchemy as sa
from alembic import op

from service_kit.migrating.grants import grant, service

revision = "kit_0006"
down_revision = "kit_0005"
branch_labels = None
depends_on = None

GROW = """
CREATE FUNCTION grow_outbox() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    size CONSTANT bigint := 1000000;
    upto bigint;
    made integer := 0;
BEGIN
    -- Two workers that look at the same moment make no part twice.
    IF NOT pg_try_advisory_xact_lock(hashtext('outbox parts')) THEN
        RETURN 0;
    END IF;
    FOR ahead IN 1..3 LOOP
        SELECT (last_value / size + ahead) * size INTO upto FROM outbox_id_seq;
        CONTINUE WHEN to_regclass(format('partition_outbox_%s', upto)) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE partition_outbox_%s (LIKE outbox INCLUDING DEFAULTS)', upto);
            EXECUTE format(
                'ALTER TABLE outbox ATTACH PARTITION partition_outbox_%s FOR VALUES FROM (%s) TO (%s)',
                upto, upto - size, upto);
            made := made + 1;
        EXCEPTION WHEN check_violation THEN
            -- Ids came faster than parts: these rows stay where everything else goes.
            NULL;
        END;
    END LOOP;
    RETURN made;
END $$
"""

DROP = """
CREATE FUNCTION drop_outbox(keep_days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    confirmed bigint;
    part record;
    dropped integer := 0;
BEGIN
    SELECT max(position) INTO confirmed FROM relay_days
    WHERE day <= (clock_timestamp() AT TIME ZONE 'UTC')::date - greatest(keep_days, 1);
    IF confirmed IS NULL THEN
        RETURN 0;
    END IF;
    FOR part IN
        SELECT c.relname AS name, substring(c.relname FROM '[0-9]+$')::bigint AS upto
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'outbox'::regclass AND c.relname ~ '^partition_outbox_[0-9]+$'
        ORDER BY upto
    LOOP
        EXIT WHEN part.upto > confirmed + 1;
        EXECUTE format('DROP TABLE %I', part.name);
        dropped := dropped + 1;
    END LOOP;
    DELETE FROM partition_outbox_rest WHERE id <= confirmed;
    RETURN dropped;
END $$
"""

# Rows from before keep their table: it becomes the first part, whatever its ids.
INTO_PARTS = """
DO $$
DECLARE
    upto bigint;
BEGIN
    SELECT (coalesce(max(id), 0) / 1000000 + 1) * 1000000 INTO upto FROM partition_outbox_before;
    EXECUTE format('ALTER TABLE partition_outbox_before RENAME TO partition_outbox_%s', upto);
    EXECUTE format(
        'ALTER TABLE outbox ATTACH PARTITION partition_outbox_%s FOR VALUES FROM (MINVALUE) TO (%s)',
        upto, upto);
END $$
"""


def upgrade() -> None:
    op.execute("ALTER TABLE outbox RENAME TO partition_outbox_before")
    op.execute("ALTER INDEX pk_outbox RENAME TO partition_outbox_before_pkey")
    columns = ("event_id", "key", "correlation_id")
    for column in columns:
        op.execute(f"ALTER INDEX ix_outbox_{column} RENAME TO ix_partition_outbox_before_{column}")
    op.execute(
        "CREATE TABLE outbox (LIKE partition_outbox_before INCLUDING DEFAULTS INCLUDING COMMENTS)"
        " PARTITION BY RANGE (id)"
    )
    op.execute("ALTER TABLE outbox ADD CONSTRAINT pk_outbox PRIMARY KEY (id)")
    for column in columns:
        op.create_index(f"ix_outbox_{column}", "outbox", [column])
    op.execute("ALTER SEQUENCE outbox_id_seq OWNED BY outbox.id")
    op.execute(INTO_PARTS)
    op.execute("CREATE TABLE partition_outbox_rest PARTITION OF outbox DEFAULT")
    grant("outbox", "SELECT, INSERT")

    op.create_table(
        "relay_mark",
        sa.Column("id", sa.SmallInteger, autoincrement=False),
        sa.Column("position", sa.BigInteger, nullable=False, comment="the broker had all up to this id"),
        sa.Column("cluster_id", sa.Text, nullable=False),
        sa.Column(
            "ends", sa.dialects.postgresql.JSONB, nullable=False, comment="of the topics then, by place"
        ),
        sa.Column(
            "marked_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("clock_timestamp()"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_relay_mark"),
        sa.CheckConstraint("id = 1", name="ck_relay_mark_one"),
    )
    grant("relay_mark", "SELECT, INSERT, UPDATE, DELETE")
    op.create_table(
        "relay_days",
        sa.Column("day", sa.Date, comment="UTC"),
        sa.Column(
            "position", sa.BigInteger, nullable=False, comment="every consumer had all up to it that day"
        ),
        sa.PrimaryKeyConstraint("day", name="pk_relay_days"),
    )
    grant("relay_days", "SELECT, INSERT, UPDATE")
    for function, made in (("grow_outbox()", GROW), ("drop_outbox(integer)", DROP)):
        op.execute(made)
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {service()}_service")
    op.execute("SELECT grow_outbox()")
