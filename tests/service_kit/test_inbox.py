"""The inbox: each event acts once, whatever is delivered how often."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from structlog.testing import capture_logs

from service_kit.events import Event, Received
from service_kit.inbox import first_time
from tests.support.sample.events import TaskCompleted, TaskCreatedV1, TaskCreatedV2
from tests.support.services import Service

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def received(fact: Event, event_id: UUID | None = None) -> Received[Event]:
    return Received(
        data=fact,
        event_id=event_id or uuid4(),
        occurred_at=NOW,
        key="k",
        correlation_id=None,
        topic=fact.topic,
        partition=0,
        offset=0,
        sent_at=NOW,
        raw=fact.to_json(),
    )


def completed() -> Received[Event]:
    return received(TaskCompleted(task_id=uuid4(), user_guid=uuid4(), cycle=1, completed_at=NOW))


async def test_a_repeated_event_is_silence(sample: Service) -> None:
    event = completed()
    async with sample.transaction() as session:
        assert await first_time(session, [event, event]) == [event]
    with capture_logs() as logs:
        async with sample.transaction() as session:
            assert await first_time(session, [event]) == []
    assert logs == []


async def test_order_is_kept_though_ids_are_not_sorted(sample: Service) -> None:
    events = sorted((completed() for _ in range(20)), key=lambda event: event.event_id, reverse=True)
    async with sample.transaction() as session:
        assert await first_time(session, events) == events


async def test_the_same_id_with_other_content_is_an_alarm_and_has_no_effect(sample: Service) -> None:
    event = completed()
    other = completed()._replace(event_id=event.event_id)
    async with sample.transaction() as session:
        await first_time(session, [event])
    with capture_logs() as logs:
        async with sample.transaction() as session:
            assert await first_time(session, [other]) == []
    assert [line["event"] for line in logs] == ["duplicate_with_other_content"]


async def test_the_other_version_of_a_handled_fact_is_silence(sample: Service) -> None:
    task, worker, event_id = uuid4(), uuid4(), uuid4()
    old = TaskCreatedV1(task_id=task, user_guid=worker, title="Feed", created_at=NOW)
    new = TaskCreatedV2(task_id=task, user_guid=worker, title="Feed", jira_id=None, created_at=NOW)
    with capture_logs() as logs:
        async with sample.transaction() as session:
            fresh = await first_time(session, [received(old, event_id), received(new, event_id)])
    assert [event.data.version for event in fresh] == [1]
    assert logs == []


async def test_proof_and_effect_are_one_transaction(sample: Service) -> None:
    event = completed()
    try:
        async with sample.transaction() as session:
            await first_time(session, [event])
            raise RuntimeError("the effect failed")
    except RuntimeError:
        pass
    async with sample.transaction() as session:
        assert await first_time(session, [event]) == [event]
