"""A database that is full, slow, or behind a bad line: work waits, and each event acts once and in order."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from local_stack.chaos.lines import Line, open_line
from local_stack.engines.kafka import Kafka
from service_kit.broker import declare_topics
from service_kit.database import own_connection, will_pass
from service_kit.web import Reading, ServiceRouter
from tests.service_kit.test_delivery import TOPIC, consumer, effects, forget, relay, say
from tests.support.issuer import Issuer
from tests.support.running import eventually, in_background
from tests.support.sample.consumers import recording
from tests.support.sample_web import PAGE, running_web
from tests.support.services import SHARED_SETTINGS, Service

MakeService = Callable[..., Service]

SAMPLE = "http://exchange.test/sample"

FULL = """
create function refuse_as_full() returns trigger language plpgsql as
$$ begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
create trigger full_disk before insert on {table} for each statement execute function refuse_as_full();
"""
SLOW = """
create function sleep_a_while() returns trigger language plpgsql as
$$ begin perform pg_sleep(0.2); return null; end $$;
create constraint trigger slow_disk after insert on effects deferrable initially deferred
for each row execute function sleep_a_while();
"""


@pytest.fixture
async def sample(make_service: MakeService, kafka: Kafka) -> Service:
    service = make_service("tests.support.sample", kafka_servers=kafka.address, topic_partitions=2)
    await forget(kafka)
    await declare_topics(service.settings, [TOPIC, "sample.dead-letters"])
    return service


@pytest.fixture
async def superuser(sample: Service) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(sample.addresses.superuser)
    yield connection
    await connection.close()


async def all_of(service: Service, count: int, within_s: float = 30) -> list[tuple[UUID, str]]:
    async def there() -> bool:
        return len(await effects(service)) >= count

    await eventually(there, within_s)
    return await effects(service)


async def test_a_full_disk_is_waited_for(sample: Service, superuser: asyncpg.Connection) -> None:
    """What was read acts when there is room again; nothing is put aside for it."""
    task = uuid4()
    await superuser.execute(FULL.format(table="effects"))
    watched = consumer(sample, recording())
    async with in_background(relay(sample).run(), watched.run()):
        await say(sample, task, 1)

        async def refused() -> bool:
            return watched.lag() == 1 and await superuser.fetchval(
                "select xact_rollback > 0 from pg_stat_database where datname = current_database()"
            )

        await eventually(refused)
        assert await effects(sample) == []
        await superuser.execute("drop trigger full_disk on effects")
        assert await all_of(sample, 1) == [(task, "1")]
    assert await sample.scalar("select count(*) from dead_letters") == 0


async def test_a_change_that_finds_no_room_leaves_nothing(
    sample: Service, superuser: asyncpg.Connection
) -> None:
    """Whoever asked for it is told to try again later, as nothing of it was kept."""
    await superuser.execute(FULL.format(table="outbox"))
    with pytest.raises(DBAPIError) as refused:
        await say(sample, uuid4(), 1)
    assert will_pass(refused.value)
    await superuser.execute("drop trigger full_disk on outbox")
    assert await sample.said() == []


async def test_slow_commits_slow_things_down_and_nothing_else(
    sample: Service, superuser: asyncpg.Connection
) -> None:
    task = uuid4()
    await superuser.execute(SLOW)
    async with in_background(relay(sample).run(), consumer(sample, recording(), batch=2).run()):
        for cycle in range(1, 9):
            await say(sample, task, cycle)
        assert await all_of(sample, 8) == [(task, str(cycle)) for cycle in range(1, 9)]


def server_of(service: Service) -> Callable[[], tuple[str, int]]:
    address = urlsplit(service.addresses.service)
    return lambda: (address.hostname or "", address.port or 0)


def over(line: Line, service: Service, folder: Path, **settings: object) -> Service:
    """The same service, which reaches its database over the line."""
    address = urlsplit(service.addresses.service)
    netloc = f"{address.username}:{address.password}@127.0.0.1:{line.port}"
    addresses = replace(service.addresses, service=address._replace(netloc=netloc).geturl())
    kept = {name: getattr(service.settings, name) for name in ("kafka_servers", "topic_partitions")}
    return Service.on(addresses, service.package, service.clock, folder, **kept, **settings)


@pytest.mark.parametrize("trouble", ["pause", "reset"])
async def test_a_bad_line_loses_and_doubles_nothing(sample: Service, tmp_path: Path, trouble: str) -> None:
    """It breaks again and again between the service and its database, wherever the work is just then."""
    tasks, cycles = [uuid4() for _ in range(4)], range(1, 13)
    async with open_line(server_of(sample)) as line:
        far = over(line, sample, tmp_path)
        async with in_background(relay(far).run(), consumer(far, recording(), batch=3).run()):
            for cycle in cycles:
                for task in tasks:
                    await say(sample, task, cycle)
                await broken(sample, line, trouble, at_least=2 * cycle)
            found = await all_of(sample, len(tasks) * len(cycles))
        await far.close()
    for task in tasks:
        assert [what for who, what in found if who == task] == [str(cycle) for cycle in cycles]
    assert len(found) == len(tasks) * len(cycles)


async def broken(service: Service, line: Line, trouble: str, at_least: int) -> None:
    """Break the line once so many events have acted; a pause ends when others were said meanwhile."""
    await all_of(service, at_least)
    if trouble == "pause":
        line.pause()
        asyncio.get_running_loop().call_later(0.3, line.go_on)
    else:
        line.reset()


async def test_nobody_waits_for_ever_for_a_database_that_is_still(sample: Service, tmp_path: Path) -> None:
    """Programs and people are told to come back, and find everything as it was when it answers again."""
    router = ServiceRouter()

    @router.get("/api/v1/effects")
    @router.get("/effects")
    async def count(session: Reading) -> int:
        found: int = await session.scalar(text("select count(*) from effects"))
        return found

    async with open_line(server_of(sample)) as line:
        far = over(line, sample, tmp_path, public_urls=SHARED_SETTINGS["public_urls"] | {"sample": SAMPLE})
        ways = {"signs_in": False, "answer_within_s": 0.3}
        async with running_web(far, [router], Issuer(SAMPLE, []), **ways) as web, web.client() as client:
            assert (await client.get("api/v1/effects")).status_code == 200
            line.pause()
            told = await client.get("api/v1/effects")
            assert (told.status_code, told.json()["code"]) == (503, "database_unavailable")
            assert told.headers["Retry-After"] == "5"
            shown = await client.get("effects", headers=PAGE)
            assert shown.status_code == 503
            assert shown.headers["Content-Type"].startswith("text/html")
            line.go_on()
            assert (await client.get("api/v1/effects")).text == "0"
        await far.close()


async def test_both_ends_notice_that_the_other_is_gone(sample: Service) -> None:
    """Within half a minute: locks of a lost process are released, and nobody waits for a lost answer."""
    async with sample.transaction() as session, own_connection(sample.addresses.service) as listening:
        pooled = (await (await session.connection()).get_raw_connection()).driver_connection
        assert isinstance(pooled, asyncpg.Connection)
        for connection in (pooled, listening):
            line: socket.socket = connection._transport.get_extra_info("socket")
            asked = [
                line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
            ]
            assert asked == [1, 10, 5, 3]
            names = ("keepalives_idle", "keepalives_interval", "keepalives_count", "user_timeout")
            said = [await connection.fetchval(f"show tcp_{name}") for name in names]
            assert said == ["10", "5", "3", "25000"]
