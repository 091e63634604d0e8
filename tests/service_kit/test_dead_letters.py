"""Dead letters in the hands of people: sent again, repaired, given up, put back; each act written down."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, text, update

from service_kit.database import Session
from service_kit.dead_letters import Undeliverable, dead_letters, put_aside
from service_kit.dead_letters.acting import (
    Actor,
    NotDiscarded,
    NothingToDo,
    NotWaiting,
    RedriveOver,
    Repair,
    TooLargeToSend,
    discard,
    discard_one,
    redrive_many,
    redrive_one,
    restore,
    restore_one,
    stop_redrive,
)
from service_kit.dead_letters.reading import (
    DeadLetterUnknown,
    Letter,
    Wanted,
    counts,
    groups,
    letter,
    letters,
    redrive,
)
from service_kit.dead_letters.sending import FAILURES_AT_FIRST, ON_THE_WAY_MAX, send_due_letters
from service_kit.dead_letters.tables import dead_letter_redrives
from service_kit.errors import Invalid
from service_kit.inbox import inbox
from service_kit.paging import PageRequest
from tests.support.sample.events import TaskCompleted
from tests.support.services import Service

ADMIN = Actor(guid=UUID(int=7))
EVERYTHING = Wanted()


@pytest.fixture
def sample(make_service: Callable[..., Service]) -> Service:
    return make_service("tests.support.sample")


def record(offset: int = 0, **changes: Any) -> Undeliverable:
    event_id = changes.pop("event_id", uuid4())
    headers = {
        "ce_type": TaskCompleted.type_name(),
        "ce_id": str(event_id),
        "correlationid": f"click-{offset}",
    }
    return Undeliverable(
        **{
            "topic": "tracker.tasks",
            "partition": 0,
            "offset": offset,
            "key": b"task",
            "value": b"{}",
            "headers": headers,
            "event_id": event_id,
            **changes,
        }
    )


async def aside(service: Service, *records: Undeliverable, reason: str = "invalid") -> list[UUID]:
    """Put them aside; their letters' ids in the same order."""
    async with service.transaction() as session:
        for one in records:
            await put_aside(session, one, reason=reason, detail=f"/x: {reason}")
    ids = "select id from dead_letters where event_id = :e"
    return [await service.scalar(ids, e=one.event_id) for one in records]


async def acted(service: Service, event_id: UUID | None) -> None:
    """What the consumer does when the event is handled after all."""
    async with service.transaction() as session:
        await _mark(session, event_id)


async def _mark(session: Session, event_id: UUID | None) -> None:
    known = {"version": 1, "fingerprint": b"", "name": "TaskCompleted", "topic": "t", "partition": 0}
    row = {**known, "event_id": event_id, "offset": 0, "key": "task"}
    await session.execute(insert(inbox).values(**row, sent_at=text("now()")))


async def shown(service: Service, letter_id: UUID) -> Letter:
    async with service.reading() as session:
        return await letter(session, letter_id)


async def failed_again(service: Service, letter_id: UUID) -> None:
    """What the consumer does when the letter it was sent again is of no use again."""
    said = await service.said()
    (sent,) = [row for row in said if (row["headers"] or {}).get("dl_id") == str(letter_id)][-1:]
    back = Undeliverable(
        topic=sent["topic"],
        partition=0,
        offset=sent["id"],
        key=sent["key"].encode(),
        value=sent["data"],
        headers=sent["headers"],
        event_id=UUID(sent["headers"]["ce_id"]),
    )
    async with service.transaction() as session:
        await put_aside(session, back, reason="again", detail="no better")


async def a_second_passes(service: Service) -> None:
    """For the redrives: the worker's next tick finds a second of letters due."""
    async with service.transaction() as session:
        earlier = dead_letter_redrives.c.moved_at - timedelta(seconds=1)
        await session.execute(update(dead_letter_redrives).values(moved_at=earlier))
    await send_due_letters(service.database)


class TestKeeping:
    async def test_the_same_event_read_again_is_one_letter_with_two_attempts(self, sample: Service) -> None:
        """Also at another place, where a broker that was set up anew has put it."""
        event = uuid4()
        await aside(sample, record(1, event_id=event), record(77, event_id=event))
        assert await sample.scalar("select array_agg(attempts) from dead_letters") == [2]

    async def test_another_record_at_the_same_place_is_another_letter(self, sample: Service) -> None:
        await aside(sample, record(1, value=b"one"), record(1, value=b"two"))
        assert await sample.scalar("select count(*) from dead_letters") == 2

    async def test_records_without_an_event_id_are_told_apart_by_their_place(self, sample: Service) -> None:
        async with sample.transaction() as session:
            for offset in (1, 2, 2):
                nameless = record(offset, event_id=None, headers={})
                await put_aside(session, nameless, reason="no_type", detail="")
        rows = await sample.scalar('select array_agg(attempts order by "offset") from dead_letters')
        assert rows == [1, 2]

    async def test_what_was_decided_stands_when_the_record_is_read_again(self, sample: Service) -> None:
        one = record(1)
        (letter_id,) = await aside(sample, one)
        async with sample.transaction() as session:
            await discard_one(session, letter_id, ADMIN, "of no use")
        await aside(sample, one, reason="other")
        found = await shown(sample, letter_id)
        assert (found.line.standing, found.line.reason, found.line.attempts) == ("discarded", "invalid", 2)

    async def test_a_record_full_of_nul_is_put_aside_and_sent_again(self, sample: Service) -> None:
        """PostgreSQL keeps no NUL in text: such a record would otherwise stop its partition for ever."""
        one = record(1, key=b"a\0b\xff", value=b"\0", headers={"ce_type": "a\0", "x\0": "\0"})
        (letter_id,) = await aside(sample, one, reason="bad\0")
        async with sample.transaction() as session:
            await redrive_one(session, letter_id, ADMIN)
        found = await shown(sample, letter_id)
        assert (found.value, found.line.standing) == (b"\0", "redriven")

    async def test_what_is_wrong_is_told_without_all_of_the_value(self, sample: Service) -> None:
        """A contract's complaint quotes the value; a page of letters would be as large as their records."""
        async with sample.transaction() as session:
            detail = f'/title: "{"x" * 700_000}" is longer than 200 characters'
            await put_aside(session, record(1), reason="schema_violation", detail=detail)
        told = await sample.scalar("select detail from dead_letters")
        assert len(told) < 600
        assert told.startswith('/title: "xxx')
        assert told.endswith("is longer than 200 characters")

    async def test_one_that_hardly_fits_the_broker_stops_no_relay(self, sample: Service) -> None:
        """With our headers the broker would refuse it, and all behind it in the outbox would wait."""
        (letter_id,) = await aside(sample, record(1, value=b"x" * 1_000_000))
        (told,) = await sample.said()
        assert (told["data"], told["headers"]["dl_offset"]) == (b"", "1")
        for send_again in (
            lambda session: redrive_one(session, letter_id, ADMIN),
            lambda session: redrive_many(session, EVERYTHING, ADMIN),
        ):
            with pytest.raises((TooLargeToSend, NothingToDo)):
                async with sample.transaction() as session:
                    await send_again(session)
        found = await shown(sample, letter_id)
        assert (len(found.value), found.line.standing) == (1_000_000, "waiting")


class TestOneLetter:
    async def test_it_is_sent_to_its_consumer_alone_with_its_own_bytes(self, sample: Service) -> None:
        one = record(5, value=b'\x00\x00\x00\x00\x01{"a":1}')
        (letter_id,) = await aside(sample, one)
        async with sample.transaction() as session:
            await redrive_one(session, letter_id, ADMIN)
        sent = (await sample.said())[-1]
        assert (sent["topic"], sent["key"], sent["data"]) == ("sample.redrive", "task", one.value)
        assert sent["headers"] == {
            **one.headers,
            "dl_id": str(letter_id),
            "dl_topic": "tracker.tasks",
            "dl_partition": "0",
            "dl_offset": "5",
        }
        assert (await shown(sample, letter_id)).line.standing == "redriven"

    async def test_the_inbox_tells_that_it_was_handled(self, sample: Service) -> None:
        one = record()
        (letter_id,) = await aside(sample, one)
        async with sample.transaction() as session:
            await redrive_one(session, letter_id, ADMIN)
        await acted(sample, one.event_id)
        found = await shown(sample, letter_id)
        assert found.line.standing == "handled"
        assert found.handled_at is not None
        async with sample.reading() as session:
            assert [n for n in (await counts(session)).items() if n[1]] == [("handled", 1)]

    async def test_one_that_fails_again_waits_again_with_the_new_reason(self, sample: Service) -> None:
        (letter_id,) = await aside(sample, record())
        async with sample.transaction() as session:
            await redrive_one(session, letter_id, ADMIN)
        await failed_again(sample, letter_id)
        found = await shown(sample, letter_id)
        assert (found.line.standing, found.line.reason, found.line.attempts) == ("waiting", "again", 2)
        assert [act.action for act in found.acts] == ["redrive", "failed"]
        assert await sample.scalar("select count(*) from dead_letters") == 1

    async def test_a_repaired_one_is_sent_with_what_stands_in_its_place(self, sample: Service) -> None:
        """The original stays beside it, and the act names who sent what."""
        one = record()
        (letter_id,) = await aside(sample, one)
        repair = Repair(b'{"taskId": 1}', {**one.headers, "ce_time": "2026-03-02T12:00:00Z"})
        async with sample.transaction() as session:
            await redrive_one(session, letter_id, ADMIN, repair)
        sent = (await sample.said())[-1]
        assert sent["data"] == repair.value
        assert sent["headers"]["ce_time"] == "2026-03-02T12:00:00Z"
        found = await shown(sample, letter_id)
        assert (found.value, found.sent_value) == (one.value, repair.value)
        (act,) = found.acts
        assert (act.action, act.actor_guid) == ("repair", ADMIN.guid)
        assert await sample.scalar("select value from dead_letter_actions") == repair.value

    async def test_two_people_at_once_send_it_once(self, sample: Service) -> None:
        (letter_id,) = await aside(sample, record())
        async with sample.transaction() as session:
            await redrive_one(session, letter_id, ADMIN)
        with pytest.raises(NotWaiting):
            async with sample.transaction() as session:
                await redrive_one(session, letter_id, ADMIN)

    async def test_given_up_and_put_back(self, sample: Service) -> None:
        (letter_id,) = await aside(sample, record())
        async with sample.transaction() as session:
            await discard_one(session, letter_id, ADMIN, "a test of ours")
        assert (await shown(sample, letter_id)).line.standing == "discarded"
        async with sample.transaction() as session:
            await restore_one(session, letter_id, Actor(operator="ann@host"))
        found = await shown(sample, letter_id)
        assert found.line.standing == "waiting"
        assert [(act.action, act.actor_guid, act.operator, act.note) for act in found.acts] == [
            ("discard", ADMIN.guid, None, "a test of ours"),
            ("restore", None, "ann@host", None),
        ]

    @pytest.mark.parametrize("because", ["", "   ", "x" * 501], ids=["nothing", "blanks", "too long"])
    async def test_nothing_is_given_up_without_a_reason(self, sample: Service, because: str) -> None:
        (letter_id,) = await aside(sample, record())
        with pytest.raises(Invalid):
            async with sample.transaction() as session:
                await discard_one(session, letter_id, ADMIN, because)
        assert (await shown(sample, letter_id)).line.standing == "waiting"

    async def test_what_does_not_fit_is_refused(self, sample: Service) -> None:
        (letter_id,) = await aside(sample, record())
        async with sample.transaction() as session:
            with pytest.raises(NotDiscarded):
                await restore_one(session, letter_id, ADMIN)
            with pytest.raises(DeadLetterUnknown):
                await discard_one(session, uuid4(), ADMIN, "why")
            with pytest.raises(DeadLetterUnknown):
                await letter(session, uuid4())

    async def test_nobody_changes_what_was_written_down(self, sample: Service) -> None:
        (letter_id,) = await aside(sample, record())
        async with sample.transaction() as session:
            await redrive_one(session, letter_id, ADMIN)
        with pytest.raises(Exception, match="permission denied"):
            async with sample.transaction() as session:
                await session.execute(text("delete from dead_letter_actions"))


class TestLists:
    async def test_groups_tell_what_waits_and_for_what_reason(self, sample: Service) -> None:
        await aside(sample, record(1), record(2), record(3))
        await aside(sample, record(4), reason="not_json")
        async with sample.reading() as session:
            found = await groups(session)
        assert [(g.reason, g.type_name, g.count, g.example) for g in found] == [
            ("invalid", TaskCompleted.type_name(), 3, "/x: invalid"),
            ("not_json", TaskCompleted.type_name(), 1, "/x: not_json"),
        ]

    async def test_every_letter_is_on_one_page_of_the_list(self, sample: Service) -> None:
        ids = await aside(sample, *(record(number) for number in range(5)))
        seen: list[UUID] = []
        cursor = None
        async with sample.reading() as session:
            while True:
                page = await letters(session, EVERYTHING, PageRequest(2, cursor))
                seen += [line.id for line in page.items]
                cursor = page.next
                if cursor is None:
                    break
        assert seen == ids[::-1]

    @pytest.mark.parametrize(
        ("wanted", "offsets"),
        [
            (Wanted(reason="not_json"), [3]),
            (Wanted(type_name="nobody.says.This.v1"), []),
            (Wanted(standing="discarded"), [1]),
            (Wanted(standing="waiting"), [3, 2]),
            (Wanted(search=" click-2 "), [2]),
            (Wanted(search="task"), [3, 2, 1]),
            (Wanted(search="% or 1=1"), []),
        ],
        ids=["reason", "type", "discarded", "waiting", "click", "key", "nonsense"],
    )
    async def test_filters(self, sample: Service, wanted: Wanted, offsets: list[int]) -> None:
        first, _ = await aside(sample, record(1), record(2))
        await aside(sample, record(3), reason="not_json")
        async with sample.transaction() as session:
            await discard_one(session, first, ADMIN, "why not")
        async with sample.reading() as session:
            page = await letters(session, wanted, PageRequest())
        assert [line.offset for line in page.items] == offsets


class TestMany:
    async def test_they_are_sent_at_the_rate_that_was_asked(self, sample: Service) -> None:
        records = [record(number) for number in range(5)]
        await aside(sample, *records)
        async with sample.transaction() as session:
            redrive_id = await redrive_many(session, Wanted(reason="invalid"), ADMIN, rate_per_s=2)
        await a_second_passes(sample)
        async with sample.reading() as session:
            found = await redrive(session, redrive_id)
        assert (found.total, found.sent, found.queued, found.state) == (5, 2, 3, "running")
        assert found.actor_guid == ADMIN.guid
        await a_second_passes(sample)
        await a_second_passes(sample)
        for one in records:
            await acted(sample, one.event_id)
        await a_second_passes(sample)
        async with sample.reading() as session:
            found = await redrive(session, redrive_id)
        assert (found.handled, found.queued, found.state) == (5, 0, "done")
        sent = [
            row["headers"]["dl_offset"] for row in await sample.said() if row["topic"] == "sample.redrive"
        ]
        assert sent == ["0", "1", "2", "3", "4"]

    async def test_a_tick_that_comes_too_early_sends_nothing(self, sample: Service) -> None:
        await aside(sample, record())
        async with sample.transaction() as session:
            await redrive_many(session, EVERYTHING, ADMIN, rate_per_s=1)
        await send_due_letters(sample.database)
        assert await sample.scalar("select state from dead_letters") == "queued"

    async def test_a_redrive_whose_letters_all_come_back_stops_itself(self, sample: Service) -> None:
        """Before the consumer has met so many in a row that it stops for its part."""
        ids = await aside(sample, *(record(number) for number in range(90)))
        async with sample.transaction() as session:
            redrive_id = await redrive_many(session, EVERYTHING, ADMIN, rate_per_s=1000)
        await a_second_passes(sample)
        assert (
            await sample.scalar("select count(*) from dead_letters where state = 'redriven'")
            == ON_THE_WAY_MAX
        )
        for letter_id in ids[:FAILURES_AT_FIRST]:
            await failed_again(sample, letter_id)
        await a_second_passes(sample)
        async with sample.reading() as session:
            found = await redrive(session, redrive_id)
        assert (found.state, found.stopped_because) == ("stopped", "20 came back, none acted")
        assert await sample.scalar("select count(*) from dead_letters where state = 'queued'") == 0

    async def test_one_that_runs_can_be_taken_back(self, sample: Service) -> None:
        await aside(sample, *(record(number) for number in range(4)))
        async with sample.transaction() as session:
            redrive_id = await redrive_many(session, EVERYTHING, ADMIN, rate_per_s=1)
        await a_second_passes(sample)
        async with sample.transaction() as session:
            assert await stop_redrive(session, redrive_id, ADMIN) == 3
        async with sample.transaction() as session:
            with pytest.raises(RedriveOver):
                await stop_redrive(session, redrive_id, ADMIN)
        await a_second_passes(sample)
        async with sample.reading() as session:
            assert (await counts(session))["waiting"] == 3

    async def test_two_workers_send_each_letter_once(self, sample: Service) -> None:
        """The tick of the second finds the redrive in the hands of the first."""
        await aside(sample, *(record(number) for number in range(6)))
        async with sample.transaction() as session:
            redrive_id = await redrive_many(session, EVERYTHING, ADMIN, rate_per_s=3)
        async with sample.transaction() as holder:
            held = text("select 1 from dead_letter_redrives where id = :i for update")
            await holder.execute(held, {"i": redrive_id})
            await send_due_letters(sample.database)
            assert await sample.scalar("select count(*) from dead_letters where state = 'redriven'") == 0

    async def test_a_letter_without_news_holds_up_the_others_for_a_minute_only(self, sample: Service) -> None:
        await aside(sample, *(record(number) for number in range(ON_THE_WAY_MAX + 1)))
        async with sample.transaction() as session:
            redrive_id = await redrive_many(session, EVERYTHING, ADMIN, rate_per_s=1000)
        await a_second_passes(sample)
        await a_second_passes(sample)
        queued = "select count(*) from dead_letters where state = 'queued'"
        assert await sample.scalar(queued) == 1
        async with sample.transaction() as session:
            earlier = dead_letters.c.sent_at - timedelta(seconds=61)
            await session.execute(update(dead_letters).values(sent_at=earlier))
        await a_second_passes(sample)
        assert await sample.scalar(queued) == 0
        async with sample.reading() as session:
            assert (await redrive(session, redrive_id)).sent == ON_THE_WAY_MAX + 1

    async def test_a_group_is_given_up_and_put_back(self, sample: Service) -> None:
        await aside(sample, record(1), record(2))
        await aside(sample, record(3), reason="not_json")
        async with sample.transaction() as session:
            assert await discard(session, Wanted(reason="invalid"), ADMIN, "known and harmless") == 2
        async with sample.transaction() as session:
            assert await restore(session, Wanted(reason="invalid"), ADMIN) == 2
        assert await sample.scalar("select count(*) from dead_letter_actions") == 4

    @pytest.mark.parametrize("rate", [0, 1001])
    async def test_a_rate_out_of_bounds_is_refused(self, sample: Service, rate: int) -> None:
        await aside(sample, record())
        with pytest.raises(Invalid):
            async with sample.transaction() as session:
                await redrive_many(session, EVERYTHING, ADMIN, rate_per_s=rate)

    async def test_nothing_to_do_is_said(self, sample: Service) -> None:
        async with sample.transaction() as session:
            with pytest.raises(NothingToDo):
                await discard(session, EVERYTHING, ADMIN, "why")
            with pytest.raises(NothingToDo):
                await restore(session, EVERYTHING, ADMIN)
        with pytest.raises(NothingToDo):
            async with sample.transaction() as session:
                await redrive_many(session, EVERYTHING, ADMIN)
        assert await sample.scalar("select count(*) from dead_letter_redrives") == 0
