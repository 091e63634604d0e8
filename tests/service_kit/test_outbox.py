"""The outbox: facts are written with the change they tell of, or not at all."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from service_kit.outbox import publish
from service_kit.schema_client import SchemaViolation
from tests.support.sample.events import TaskCompleted, TaskCreatedV1, TaskCreatedV2
from tests.support.services import Service

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def completed(**changes: object) -> TaskCompleted:
    fields = {"task_id": uuid4(), "user_guid": uuid4(), "cycle": 1, "completed_at": NOW}
    return TaskCompleted(**{**fields, **changes})


async def test_a_published_fact_is_a_row_in_camel_case_with_its_schema(sample: Service) -> None:
    fact = completed()
    async with sample.transaction() as session:
        event_id = await publish(session, fact, key=fact.task_id, occurred_at=NOW)
    (row,) = await sample.said()
    assert row["event_id"] == event_id
    assert row["data"]["taskId"] == str(fact.task_id)
    assert row["schema_id"] > 0
    assert row["occurred_at"] == NOW


async def test_what_is_said_is_kept_byte_for_byte(sample: Service) -> None:
    title = 'Quotes "here", a \\ there, \\u0041, ещё слова 🐦\x01'
    fact = TaskCreatedV2(task_id=uuid4(), user_guid=uuid4(), title=title, jira_id=None, created_at=NOW)
    async with sample.transaction() as session:
        await publish(session, fact, key=fact.task_id, occurred_at=NOW)
    assert await sample.scalar("select data from outbox") == fact.to_json()


async def test_versions_of_one_fact_share_one_event_id(sample: Service) -> None:
    task, worker = uuid4(), uuid4()
    old = TaskCreatedV1(task_id=task, user_guid=worker, title="[POP-1] - Feed", created_at=NOW)
    new = TaskCreatedV2(task_id=task, user_guid=worker, title="Feed", jira_id="POP-1", created_at=NOW)
    async with sample.transaction() as session:
        await publish(session, old, new, key=task, occurred_at=NOW)
    first, second = await sample.said()
    assert first["event_id"] == second["event_id"]
    assert (first["version"], second["version"]) == (1, 2)


async def test_a_fact_that_breaks_its_contract_is_refused_and_nothing_is_written(sample: Service) -> None:
    task = uuid4()
    wrong = TaskCreatedV2(task_id=task, user_guid=uuid4(), title="[POP-1] x", jira_id=None, created_at=NOW)
    with pytest.raises(SchemaViolation, match="/title"):
        async with sample.transaction() as session:
            good = completed()
            await publish(session, good, key=good.task_id, occurred_at=NOW)
            await publish(session, wrong, key=task, occurred_at=NOW)
    assert await sample.said() == []


async def test_the_service_may_not_change_or_delete_what_it_said(sample: Service) -> None:
    privileges = [
        await sample.scalar("select has_table_privilege('outbox', :p)", p=privilege)
        for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
    ]
    assert privileges == [True, False, False, False]
