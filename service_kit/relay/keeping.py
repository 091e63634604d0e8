"""How long the outbox is kept: until every consumer has confirmed a day, and some days longer.

Now and then it is marked how far the relay had come and where the topics ended at that moment. Once every
group that reads a topic has committed its offsets up to that end, everything up to the mark has had its
effect everywhere: the day is confirmed so far. From there a broker that was lost is filled again, and what
lies some days behind it is dropped.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog
from aiokafka import TopicPartition
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    SmallInteger,
    Table,
    Text,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from service_kit.broker import Cluster
from service_kit.database import Database, Session, kit_metadata
from service_kit.relay.slots import relay_slots
from service_kit.settings import ServiceSettings
from service_kit.telemetry import OUTBOX_UNCONFIRMED

log = structlog.get_logger(__name__)

KEEP_S = 15.0

relay_mark = Table(
    "relay_mark",
    kit_metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False, comment="the broker had all up to this id"),
    Column("cluster_id", Text, nullable=False),
    Column("ends", JSONB, nullable=False, comment="of the topics then, by place"),
    Column("marked_at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    CheckConstraint("id = 1", name="one"),
)

relay_days = Table(
    "relay_days",
    kit_metadata,
    Column("day", Date, primary_key=True, comment="UTC"),
    Column("position", BigInteger, nullable=False, comment="every consumer had all up to it that day"),
)

CONFIRMED = text(
    "insert into relay_days (day, position) values ((clock_timestamp() at time zone 'utc')::date, :position)"
    " on conflict (day) do update set position = greatest(relay_days.position, excluded.position)"
)


@dataclass(frozen=True)
class Standing:
    """Where topics end and how far each group of consumers has come, at one moment of one cluster."""

    cluster_id: str
    ends: Mapping[TopicPartition, int]
    committed: Mapping[str, Mapping[TopicPartition, int]]

    def all_have(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Whether every group has all up to these ends, of the topics that it reads.

        A group that has committed nothing of a topic does not read it. One that is no longer there counts
        until the broker forgets its offsets (`offsets.retention.minutes` after its last member left).
        """
        for committed in self.committed.values():
            read = {place.topic for place in committed}
            if any(end > committed.get(place, 0) for place, end in ends.items() if place.topic in read):
                return False
        return True

    def emptied(self, ends: Mapping[TopicPartition, int]) -> list[str]:
        """The topics that end before an end they had already: somebody made them anew."""
        return sorted({place.topic for place, end in ends.items() if self.ends.get(place, 0) < end})


async def keep_outbox(settings: ServiceSettings, database: Database, topics: Sequence[str]) -> None:
    """Note what is confirmed, make room for what comes, drop what is old. Several processes may do so."""
    async with database.transaction() as session:
        # Asked before the ends of the topics: whatever the relays had sent by now lies before them.
        slots = (await session.execute(select(relay_slots.c.position, relay_slots.c.cluster_id))).all()
    standing = await _look(settings, topics)
    async with database.transaction() as session:
        settled = await _judge(session, standing)
        # A relay that has not begun on this cluster has sent it nothing of what its cursor says.
        if settled and all(slot.cluster_id == standing.cluster_id for slot in slots):
            await _mark(session, standing, min(slot.position for slot in slots))
    async with database.transaction() as session:
        await session.execute(text("select grow_outbox()"))
        dropped = await session.scalar(text("select drop_outbox(:days)"), {"days": settings.outbox_keep_days})
    if dropped:
        log.info("outbox_parts_dropped", parts=dropped)


async def _look(settings: ServiceSettings, topics: Sequence[str]) -> Standing:
    cluster = Cluster(settings)
    try:
        await cluster.start()
        ends = await cluster.ends(topics)
        return Standing(await cluster.id(), ends, await cluster.committed(topics))
    finally:
        await cluster.stop()


async def _judge(session: Session, standing: Standing) -> bool:
    """See what has become of the last mark; answers whether the next one may be set."""
    age_s = func.extract("epoch", func.clock_timestamp() - relay_mark.c.marked_at).label("age_s")
    mark = (await session.execute(select(relay_mark, age_s).with_for_update())).one_or_none()
    if mark is None:
        return True
    ends = _ends_of(mark.ends)
    same_cluster = mark.cluster_id == standing.cluster_id
    emptied = standing.emptied(ends) if same_cluster else []
    if emptied:
        log.error("topics_were_emptied", topics=emptied)
        # As if it were another broker: the owners lose their slots and begin again.
        await session.execute(relay_slots.update().values(owner=None, leased_until=None, cluster_id=""))
    elif same_cluster and standing.all_have(ends):
        await session.execute(CONFIRMED, {"position": mark.position})
        OUTBOX_UNCONFIRMED.set(0)
    elif same_cluster:
        OUTBOX_UNCONFIRMED.set(float(mark.age_s))
        return False
    await session.execute(relay_mark.delete())
    return not emptied


async def _mark(session: Session, standing: Standing, position: int) -> None:
    ends = {f"{place.topic}/{place.partition}": end for place, end in standing.ends.items()}
    await session.execute(
        insert(relay_mark)
        .values(id=1, position=position, cluster_id=standing.cluster_id, ends=ends)
        .on_conflict_do_nothing()
    )


def _ends_of(kept: Mapping[str, int]) -> dict[TopicPartition, int]:
    return {
        TopicPartition(topic, int(partition)): end
        for place, end in kept.items()
        for topic, _, partition in [place.rpartition("/")]
    }
