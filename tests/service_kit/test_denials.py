"""Tokens that are already out end with the fact that ends them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.structs import OffsetAndTimestamp

from local_stack.engines.kafka import Kafka
from service_kit.broker import declare_topics
from service_kit.identity.denials import (
    KEPT_S,
    AccountBlocked,
    AccountRoleChanged,
    Denials,
    SessionEnded,
)
from service_kit.identity.hearing import TOPICS, hear_denials, take_up
from service_kit.roles import CurrentUser, Role
from service_kit.settings import ServiceSettings
from tests.service_kit.test_identity import aviary, browser, issuer, sample, web
from tests.support.issuer import Issuer
from tests.support.running import eventually
from tests.support.sample_web import Web, sign_in
from tests.support.services import SHARED_SETTINGS

__all__ = ["aviary", "browser", "issuer", "sample", "web"]


def a_worker(**further: object) -> CurrentUser:
    values = {"guid": uuid4(), "role": Role.WORKER, "session_id": str(uuid4())} | further
    return CurrentUser(**values)  # type: ignore[arg-type]


def ended(user: CurrentUser) -> SessionEnded:
    return SessionEnded(session_id=UUID(user.session_id or ""), ended_at=datetime.now(UTC))


def blocked(user: CurrentUser, *, blocked: bool = True) -> AccountBlocked:
    return AccountBlocked(user_guid=user.guid, blocked=blocked, changed_at=datetime.now(UTC))


def promoted(user: CurrentUser, role: Role) -> AccountRoleChanged:
    return AccountRoleChanged(user_guid=user.guid, role=role, changed_at=datetime.now(UTC))


class TestMap:
    def test_nobody_is_refused_at_first(self) -> None:
        """Without a fact against somebody the token's word counts."""
        assert not Denials().refuses(a_worker())

    def test_a_session_that_ended(self) -> None:
        """Its tokens are refused; another session of the same person is not touched."""
        denials, user = Denials(), a_worker()
        denials.hear(ended(user))
        assert denials.refuses(user)
        assert not denials.refuses(a_worker(guid=user.guid))

    def test_a_block_until_it_is_lifted(self) -> None:
        """Every session of the person is refused, until the block is lifted."""
        denials, user = Denials(), a_worker()
        denials.hear(blocked(user))
        assert denials.refuses(user)
        assert denials.refuses(a_worker(guid=user.guid, session_id=None))
        denials.hear(blocked(user, blocked=False))
        assert not denials.refuses(user)

    def test_an_old_role(self) -> None:
        """A token with another role than the present one is refused, one with the present role is not."""
        denials, user = Denials(), a_worker()
        denials.hear(promoted(user, Role.MANAGER))
        assert denials.refuses(user)
        assert not denials.refuses(a_worker(guid=user.guid, role=Role.MANAGER))

    def test_it_forgets(self) -> None:
        """What is older than any token is forgotten, so that the map stays small."""
        now = 0.0
        denials = Denials(lambda: now)
        users = [a_worker() for _ in range(100)]
        for user in users:
            denials.hear(ended(user))
        now = KEPT_S + 1
        assert not denials.refuses(users[0])
        last = a_worker()
        denials.hear(ended(last))
        assert len(denials) == 1
        assert denials.refuses(last)


class TestDoors:
    async def test_a_bearer_token(self, web: Web, issuer: Issuer) -> None:
        """The API refuses a token whose session has ended, though its signature and time are good."""
        sid = str(uuid4())
        async with web.api(sid=sid) as client:
            assert (await client.get("/api/v1/me")).status_code == 200
            web.runtime.denials.hear(SessionEnded(session_id=UUID(sid), ended_at=datetime.now(UTC)))
            refused = await client.get("/api/v1/me")
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
        async with web.api(sid=str(uuid4()), sub=str(issuer.guid)) as another:
            assert (await another.get("/api/v1/me")).status_code == 200

    async def test_a_browser(self, web: Web, browser: httpx2.AsyncClient, issuer: Issuer) -> None:
        """A page of a blocked person leads to the sign-in, without waiting for the next renewal."""
        await sign_in(browser, issuer)
        assert (await browser.get("page")).status_code == 200
        user = CurrentUser(guid=issuer.guid, role=issuer.role)
        web.runtime.denials.hear(blocked(user))
        assert (await browser.get("page")).status_code == 303


@asynccontextmanager
async def hearing(settings: ServiceSettings) -> AsyncIterator[Denials]:
    denials = Denials()
    task = asyncio.create_task(hear_denials(settings, denials))
    try:
        yield denials
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def say(kafka: Kafka, *facts: SessionEnded | AccountBlocked, said_at: datetime | None = None) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
    await producer.start()
    try:
        for fact in facts:
            headers = [
                ("ce_type", fact.type_name().encode()),
                ("ce_time", (said_at or datetime.now(UTC)).isoformat().encode()),
            ]
            key = str(fact.session_id if isinstance(fact, SessionEnded) else fact.user_guid).encode()
            value = b"\x00\x00\x00\x00\x01" + fact.to_json()
            await producer.send_and_wait(fact.topic, value, key, headers=headers)
    finally:
        await producer.stop()


@pytest.fixture
async def settings(kafka: Kafka) -> ServiceSettings:
    class Listening(ServiceSettings):
        name = "listening"

    values = SHARED_SETTINGS | {
        "database_url": "postgresql://nobody@localhost/none",
        "kafka_servers": kafka.address,
        "topic_partitions": 3,
    }
    found = Listening(**values)
    await declare_topics(found, TOPICS)
    return found


class TestHearing:
    async def test_while_it_runs(self, settings: ServiceSettings, kafka: Kafka) -> None:
        """A fact said at the broker is known in the process a moment later."""
        user = a_worker()
        async with hearing(settings) as denials:
            await say(kafka, ended(user))

            async def known() -> bool:
                return denials.refuses(user)

            await eventually(known)

    async def test_what_is_said_while_it_starts(self) -> None:
        """A fact that comes between two questions about an empty topic is not passed over."""
        place = TopicPartition("auth.sessions", 0)

        class Filling:
            """Its topic gets one record after the first question, whichever that is."""

            def __init__(self) -> None:
                self.end = 0
                self.sought: dict[TopicPartition, int] = {}

            def assignment(self) -> set[TopicPartition]:
                return {place}

            async def offsets_for_times(self, asked: dict[TopicPartition, int]) -> dict[TopicPartition, Any]:
                end, self.end = self.end, 1
                return {p: OffsetAndTimestamp(0, 0) if end else None for p in asked}

            async def end_offsets(self, asked: list[TopicPartition]) -> dict[TopicPartition, int]:
                end, self.end = self.end, 1
                return dict.fromkeys(asked, end)

            def seek(self, partition: TopicPartition, offset: int) -> None:
                self.sought[partition] = offset

        consumer = Filling()
        await take_up(consumer, {})
        assert consumer.sought == {place: 0}

    async def test_what_was_said_before_the_start(self, settings: ServiceSettings, kafka: Kafka) -> None:
        """A process that starts knows who was stopped in the last minutes."""
        gone, bad, good = a_worker(), a_worker(), a_worker()
        await say(kafka, ended(gone), blocked(bad), blocked(good), blocked(good, blocked=False))
        async with hearing(settings) as denials:

            async def known() -> bool:
                return denials.refuses(gone) and denials.refuses(bad)

            await eventually(known)
            assert not denials.refuses(good)

    async def test_what_is_no_fact_for_us(self, settings: ServiceSettings, kafka: Kafka) -> None:
        """Unreadable and old records are passed over; the next good one counts."""
        old, user = a_worker(), a_worker()
        producer = AIOKafkaProducer(bootstrap_servers=kafka.address)
        await producer.start()
        kind = SessionEnded.type_name().encode()
        bad = [(b"", []), (b"{", [("ce_type", kind)]), (b"\x00", [("ce_type", kind), ("ce_time", b"x")])]
        for value, headers in bad:
            await producer.send_and_wait("auth.sessions", value, headers=headers, partition=0)
        await producer.stop()
        await say(kafka, ended(old), said_at=datetime.now(UTC) - timedelta(days=3))
        await say(kafka, ended(user))
        async with hearing(settings) as denials:

            async def known() -> bool:
                return denials.refuses(user)

            await eventually(known)
            assert not denials.refuses(old)

    async def test_without_a_broker(self) -> None:
        """A process without a broker starts, refuses nobody and goes on trying."""

        class Alone(ServiceSettings):
            name = "alone"

        found = Alone(**SHARED_SETTINGS | {"database_url": "postgresql://nobody@localhost/none"})
        async with hearing(found) as denials:
            assert not denials.refuses(a_worker())
