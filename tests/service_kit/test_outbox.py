"""The outbox: facts are written with the change they tell of, or not at all."""

from datetime import UTC, datetime
from uuid import uuid4

import orjson
import pytest
from sqlalchemy import ARRAY, Integer, Uuid, bindparam, text

from service_kit.outbox import SAID, publish, said, saying
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


class TestFactsOfAStatement:
    """A statement that makes rows says a fact of each, put together in the database."""

    STATEMENT = text(
        "with made as (select * from unnest(:tasks, :cycles) as made(task_id, cycle)) "  # noqa: S608  as written
        + saying("made", event_id="gen_random_uuid()", key="task_id", blanks="task_id, cycle")
    ).bindparams(bindparam("tasks", type_=ARRAY(Uuid)), bindparam("cycles", type_=ARRAY(Integer)), *SAID)

    async def test_they_are_what_their_class_would_say(self, sample: Service) -> None:
        worker = uuid4()
        facts = [completed(user_guid=worker, cycle=cycle) for cycle in (1, 2)]
        example = completed(user_guid=worker)
        made = {"tasks": [fact.task_id for fact in facts], "cycles": [fact.cycle for fact in facts]}
        async with sample.transaction() as session:
            form = said(session, example, ["task_id", "cycle"], occurred_at=NOW)
            await session.execute(self.STATEMENT, made | form)
        assert [row["data"] for row in await sample.said()] == [orjson.loads(f.to_json()) for f in facts]
        assert {row["key"] for row in await sample.said()} == {str(fact.task_id) for fact in facts}

    async def test_signs_that_fill_forms_stand_for_themselves(self, sample: Service) -> None:
        title = '100 % of it, %s, "%1$s"'
        example = TaskCreatedV2(task_id=uuid4(), user_guid=uuid4(), title=title, jira_id=None, created_at=NOW)
        one = text(
            "with made as (select gen_random_uuid() as task_id) "
            + saying("made", event_id="gen_random_uuid()", key="task_id", blanks="task_id")
        ).bindparams(*SAID)
        async with sample.transaction() as session:
            await session.execute(one, said(session, example, ["task_id"], occurred_at=NOW))
        (row,) = await sample.said()
        assert row["data"]["title"] == title
        assert row["data"]["taskId"] == row["key"]

    async def test_a_field_the_fact_does_not_have_is_refused(self, sample: Service) -> None:
        async with sample.transaction() as session:
            with pytest.raises(ValueError, match="TaskCompleted has no workerId"):
                said(session, completed(), ["task_id", "worker_id"], occurred_at=NOW)

    async def test_an_example_that_breaks_its_contract_is_refused(self, sample: Service) -> None:
        async with sample.transaction() as session:
            with pytest.raises(SchemaViolation, match="/cycle"):
                said(session, completed(cycle=0), [], occurred_at=NOW)


async def test_the_service_may_not_change_or_delete_what_it_said(sample: Service) -> None:
    privileges = [
        await sample.scalar("select has_table_privilege('outbox', :p)", p=privilege)
        for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
    ]
    assert privileges == [True, False, False, False]
