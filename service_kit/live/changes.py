"""What changed, noted in the transaction of the change itself: rows that every web process reads.

A row names a topic, such as `person:<guid>` or `tasks`, and nothing else. Rows live for some minutes: long
enough for a browser that was away to hear that it missed something.
"""

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import BigInteger, Column, DateTime, Identity, Table, Text, text

from service_kit.database import Session, kit_metadata, notify_after_commit
from service_kit.rows import inserting, these

CHANNEL = "live"
KEPT_FOR = timedelta(minutes=15)
TOPICS_MAX = 200
"""Of one change and one kind. Beyond it everybody of that kind is asked to look: `person:*`."""

CURRENT = "pg_current_xact_id()::text::bigint"
"""The number of the running transaction; the 64-bit one, which never comes again."""

live_changes = Table(
    "live_changes",
    kit_metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("transaction_id", BigInteger, nullable=False, index=True, server_default=text(CURRENT)),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
)

ADD = inserting(live_changes, "topic")


async def announce(session: Session, topics: Iterable[str]) -> None:
    """Tell open pages that what they show under these topics has changed, once the caller has committed.

    Call it last in the transaction. More than `TOPICS_MAX` topics of one kind become one for the whole kind.
    """
    kinds: dict[str, set[str]] = {}
    for topic in topics:
        kinds.setdefault(topic.partition(":")[0], set()).add(topic)
    rows = []
    for kind, named in sorted(kinds.items()):
        told = sorted(named) if len(named) <= TOPICS_MAX else [f"{kind}:*"]
        rows += [{"topic": topic} for topic in told]
    if not rows:
        return
    await session.execute(ADD, these(rows))
    notify_after_commit(session, CHANNEL)
