"""Live updates: who hears what, what a browser that was away hears, that a stream never grows."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

import pytest

from service_kit.identity.denials import Denials, SessionEnded
from service_kit.live.changes import TOPICS_MAX, announce
from service_kit.live.streams import SIGNED_OUT, LiveUpdates, Stream, _events
from service_kit.roles import CurrentUser, Role
from tests.support.running import eventually, in_background
from tests.support.services import Service


@pytest.fixture
def service(make_service: Callable[..., Service]) -> Service:
    return make_service("tracker")


@pytest.fixture
async def live(service: Service) -> AsyncIterator[LiveUpdates]:
    updates = LiveUpdates(lambda: service.database)
    async with in_background(updates.run()):
        await eventually(lambda: known(updates))
        yield updates


async def known(updates: LiveUpdates) -> str:
    return updates.mark()


async def tell(service: Service, *topics: str) -> None:
    async with service.transaction() as session:
        await announce(session, topics)


async def heard(stream: Stream) -> set[str]:
    async with asyncio.timeout(10):
        await stream.wake.wait()
    stream.wake.clear()
    told, stream.waiting = stream.waiting, set()
    return told


async def test_a_stream_hears_its_own_topics_under_its_pages_names(
    service: Service, live: LiveUpdates
) -> None:
    async with live.opened({"person:1": "mine", "tasks": "all"}) as mine, live.opened({"person:2": "mine"}):
        await tell(service, "person:2")
        await tell(service, "person:1")
        assert await heard(mine) == {"mine"}
        await tell(service, "tasks", "person:1")
        assert await heard(mine) == {"mine", "all"}


async def test_what_is_rolled_back_is_not_told(service: Service, live: LiveUpdates) -> None:
    async with live.opened({"person:1": "rolled back", "person:2": "committed"}) as stream:
        with pytest.raises(ZeroDivisionError):
            async with service.transaction() as session:
                await announce(session, ["person:1"])
                raise ZeroDivisionError
        await tell(service, "person:2")
        assert await heard(stream) == {"committed"}


async def test_a_change_for_very_many_is_one_row_that_everybody_of_the_kind_hears(
    service: Service, live: LiveUpdates
) -> None:
    async with live.opened({"person:someone": "mine"}) as stream, live.opened({"tasks": "all"}) as other:
        await tell(service, *(f"person:{number}" for number in range(TOPICS_MAX + 1)))
        assert await heard(stream) == {"mine"}
        assert other.waiting == set()
    assert await service.scalar("select string_agg(topic, ',') from live_changes") == "person:*"


async def test_a_slow_transaction_is_heard_though_a_later_one_was_read_before(
    service: Service, live: LiveUpdates
) -> None:
    async with live.opened({"a": "early", "b": "late"}) as stream:
        async with service.transaction() as slow:
            await announce(slow, ["a"])
            await tell(service, "b")
            assert await heard(stream) == {"late"}
        assert await heard(stream) == {"early"}


async def test_whoever_was_away_hears_what_was_missed_and_only_that(
    service: Service, live: LiveUpdates
) -> None:
    mark = live.mark()
    async with live.opened({"a": "first", "person:7": "second", "c": "third"}) as stream:
        assert await live.missed(stream, mark) == set()
        await tell(service, "a", "person:*")
        assert await live.missed(stream, mark) == {"first", "second"}


@pytest.mark.parametrize("mark", ["", "nonsense", "1.2.3", "99", "5.1000000000", "9" * 40 + ".1"])
async def test_a_mark_that_says_nothing_leads_to_looking_at_everything(live: LiveUpdates, mark: str) -> None:
    async with live.opened({"a": "first", "b": "second"}) as stream:
        assert await live.missed(stream, mark) == {"first", "second"}


async def test_another_process_tells_what_happened_after_a_mark_of_this_one(
    service: Service, live: LiveUpdates
) -> None:
    mark = live.mark()
    await tell(service, "a")
    other = LiveUpdates(lambda: service.database)
    async with in_background(other.run()):
        await eventually(lambda: known(other))
        async with other.opened({"a": "first"}) as stream:
            assert await other.missed(stream, mark) == {"first"}


async def test_a_burst_is_one_event_and_a_stream_that_is_not_read_stays_small(
    service: Service, live: LiveUpdates
) -> None:
    async with live.opened({"a": "first", "last": "last"}) as stream:
        for _number in range(20):
            await tell(service, "a")
        await tell(service, "last")
        await eventually(lambda: has(stream, "last"))
        assert stream.waiting == {"first", "last"}


async def has(stream: Stream, name: str) -> bool:
    return name in stream.waiting


async def test_an_event_carries_a_mark_to_go_on_from_and_closing_ends_the_stream(
    service: Service, live: LiveUpdates
) -> None:
    events = _events(live, {"a": "first"}, live.mark())
    assert b"retry:" in await anext(events)
    assert b"event: here" in await anext(events)
    await tell(service, "a")
    told = (await anext(events)).decode()
    assert "event: changed\ndata: first\n\n" in told
    mark = told.partition("id: ")[2].partition("\n")[0]
    live.close()
    assert [event async for event in events] == []
    assert live.streams == 0
    async with live.opened({"b": "second"}) as stream:
        assert await live.missed(stream, mark) == set()


async def test_who_is_signed_out_elsewhere_hears_it_as_the_last_word_and_nobody_else_does(
    live: LiveUpdates,
) -> None:
    ended, stays = Denials(), Denials()
    ended.on_hearing(live.end_refused)
    user = CurrentUser(guid=uuid4(), role=Role.WORKER, session_id=str(uuid4()))
    events = _events(live, {"a": "mine"}, live.mark(), partial(ended.refuses, user))
    others = _events(live, {"a": "mine"}, live.mark(), partial(stays.refuses, user))
    for begun in (events, others):
        assert b"retry:" in await anext(begun)
        assert b"event: here" in await anext(begun)
    assert live.streams == 2
    ended.hear(SessionEnded(session_id=UUID(user.session_id), ended_at=datetime.now(UTC)))
    assert [event async for event in events] == [SIGNED_OUT]
    assert live.streams == 1
    live.close()
    assert [event async for event in others] == []
