"""Facts about tasks become prices and postings, each once."""

from datetime import date, timedelta
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from billing.domain import COMPANY, ContradictingFact, entry_id, fact_id, price_task
from billing.events import EntryPosted, TaskCompleted, TaskPriced
from service_kit.context import context
from service_kit.ids import new_id
from tests.billing.facts import NOON, assigned, close_all, completed, created, hear, next_night, received
from tests.support.services import Service


async def balance(billing: Service, account: object) -> Any:
    return await billing.scalar("select balance_cents from ledger_accounts where id = :id", id=account)


class TestPostTaskFacts:
    async def test_it_works(self, billing: Service) -> None:
        """An assignment charges the fee, the completion credits the reward, the company mirrors both."""
        task, worker = new_id(), new_id()
        price = price_task(task, billing.settings.price_key.get_secret_value().encode())  # type: ignore[attr-defined]
        await hear(billing, created(task), assigned(task, worker))
        assert await balance(billing, worker) == -price.fee_cents
        await hear(billing, completed(task, worker))
        assert await balance(billing, worker) == price.reward_cents - price.fee_cents
        assert await balance(billing, COMPANY) == price.fee_cents - price.reward_cents

    async def test_what_is_said(self, billing: Service) -> None:
        """A price is told once; each entry from the worker's view, with the balance it left."""
        task, worker = new_id(), new_id()
        await hear(billing, created(task), assigned(task, worker), completed(task, worker))
        priced, fee, reward = await billing.said()
        assert (priced["name"], priced["key"]) == ("TaskPriced", str(task))
        assert priced["data"]["feeCents"] == -fee["data"]["amountCents"]
        assert priced["data"]["rewardCents"] == reward["data"]["amountCents"]
        assert {fee["name"], reward["name"]} == {"EntryPosted"}
        assert {fee["key"], reward["key"]} == {str(worker)}
        assert (fee["data"]["kind"], reward["data"]["kind"]) == ("fee", "reward")
        assert fee["data"]["amountCents"] < 0 < reward["data"]["amountCents"]
        assert fee["data"]["balanceAfterCents"] == fee["data"]["amountCents"]
        assert (
            reward["data"]["balanceAfterCents"] == fee["data"]["amountCents"] + reward["data"]["amountCents"]
        )
        assert fee["data"]["businessDate"] == "2026-03-02"
        assert fee["data"]["late"] is False

    async def test_facts_made_in_the_database_are_those_of_their_classes(self, billing: Service) -> None:
        """Each entry and each price is said as its class would say it, under its contract, for its reason."""
        task, worker = new_id(), new_id()
        odd = NOON + timedelta(microseconds=70_001)
        await hear(billing, created(task), assigned(task, worker))
        next_night(billing)
        await close_all(billing)
        late = received(TaskCompleted(task_id=task, user_guid=worker, cycle=1, completed_at=odd), odd)
        late = late._replace(correlation_id='it\'s "odd" %s \\', traceparent="00-1-2-01")
        await hear(billing, late)
        said = [row for row in await billing.said() if row["name"] in ("TaskPriced", "EntryPosted")]
        async with billing.reading() as session:
            schemas = context(session).schemas
        for row in said:
            kind = TaskPriced if row["name"] == "TaskPriced" else EntryPosted
            schemas.of(kind).refuse_invalid(row["data"])
            assert row["data"].keys() == orjson.loads(kind.model_validate(row["data"]).to_json()).keys()
        price = price_task(task, billing.settings.price_key.get_secret_value().encode())  # type: ignore[attr-defined]
        assert TaskPriced.model_validate(said[0]["data"]) == TaskPriced(
            task_id=task, fee_cents=price.fee_cents, reward_cents=price.reward_cents, priced_at=NOON
        )
        assert EntryPosted.model_validate(said[-1]["data"]) == EntryPosted(
            entry_id=entry_id(late.event_id),
            user_guid=worker,
            task_id=task,
            kind="reward",
            amount_cents=price.reward_cents,
            balance_after_cents=price.reward_cents - price.fee_cents,
            business_date=date(2026, 3, 3),
            late=True,
            occurred_at=odd,
        )
        assert said[-1]["event_id"] == fact_id("EntryPosted", entry_id(late.event_id))
        assert said[-1]["occurred_at"] == odd
        assert said[-1]["correlation_id"] == late.correlation_id
        assert said[-1]["causation_id"] == str(late.event_id)
        assert said[-1]["traceparent"] == late.traceparent

    async def test_every_assignment_charges(self, billing: Service) -> None:
        """A new assignee pays too, the old one gets nothing back; the same worker pays again (R1, R2)."""
        task, one, two = new_id(), new_id(), new_id()
        await hear(
            billing,
            created(task),
            assigned(task, one, cycle=1),
            assigned(task, two, cycle=2),
            assigned(task, two, cycle=3),
        )
        fee = -await balance(billing, one)
        assert fee >= 1000
        assert await balance(billing, two) == -2 * fee

    async def test_priced_by_whichever_fact_comes_first(self, billing: Service) -> None:
        """An assignment that overtakes the creation prices the task; the creation changes nothing (R4)."""
        task, worker = new_id(), new_id()
        await hear(billing, assigned(task, worker))
        before = await billing.scalar("select row(fee_cents, reward_cents, priced_at)::text from task_prices")
        billing.clock.advance(timedelta(hours=1))
        await hear(billing, created(task))
        after = await billing.scalar("select row(fee_cents, reward_cents, priced_at)::text from task_prices")
        assert before == after

    async def test_a_price_on_record_outlives_its_key(self, make_service: Any, billing: Service) -> None:
        """After the key was changed, known tasks keep their price."""
        task, worker = new_id(), new_id()
        await hear(billing, created(task), assigned(task, worker))
        object.__setattr__(billing.settings, "price_key", SecretStr("another-price-key"))
        await hear(billing, assigned(task, worker, cycle=2))
        amounts = await billing.scalar(
            "select count(distinct amount_cents) from postings where account_id = :id", id=worker
        )
        assert amounts == 1

    async def test_the_same_event_again_is_silence(self, billing: Service) -> None:
        """However often an event comes, alone or among others, it acts once."""
        task, worker = new_id(), new_id()
        facts = [created(task), assigned(task, worker)]
        await hear(billing, *facts)
        await hear(billing, *facts, completed(task, worker), *facts)
        await hear(billing, *facts)
        assert await billing.scalar("select count(*) from journal_entries") == 2

    async def test_a_second_fee_of_a_cycle_is_refused(self, billing: Service) -> None:
        """Another event for a cycle that was charged is a contradiction, and nothing is posted."""
        task, worker = new_id(), new_id()
        await hear(billing, assigned(task, worker))
        with pytest.raises(ContradictingFact):
            await hear(billing, assigned(task, new_id()))
        assert await billing.scalar("select count(*) from journal_entries") == 1

    async def test_a_second_reward_is_refused(self, billing: Service) -> None:
        """A task is rewarded once in its life (R3), within a batch as between batches."""
        task, worker = new_id(), new_id()
        with pytest.raises(ContradictingFact):
            await hear(billing, completed(task, worker), completed(task, worker, cycle=2))
        await hear(billing, completed(task, worker))
        with pytest.raises(ContradictingFact):
            await hear(billing, completed(task, worker, cycle=2))

    async def test_a_late_fact_counts_on_the_first_open_day(self, billing: Service) -> None:
        """A fact about a closed day is posted to the first open day and keeps its own time (R8)."""
        task, worker = new_id(), new_id()
        await hear(billing, assigned(task, worker))
        next_night(billing, nights=3)
        assert await close_all(billing) == ["2026-03-02", "2026-03-03", "2026-03-04"]
        await hear(billing, completed(task, worker, NOON + timedelta(minutes=1)))
        row = await billing.scalar(
            "select row(business_date, late, occurred_at = :moment)::text from journal_entries"
            " where kind = 'reward'",
            moment=NOON + timedelta(minutes=1),
        )
        assert row == "(2026-03-05,t,t)"

    async def test_a_replay_writes_the_same_journal(self, make_service: Any) -> None:
        """The same events into an empty ledger give the same prices, entries and postings (R4)."""
        task, worker, other = new_id(), new_id(), new_id()
        facts = [
            created(task),
            assigned(task, worker),
            assigned(task, other, cycle=2),
            completed(task, other, cycle=2),
        ]
        journals = []
        for batches in ([facts], [[fact] for fact in facts]):
            fresh = make_service("billing")
            for batch in batches:
                await hear(fresh, *batch)
            said = [(row["event_id"], row["data"]) for row in await fresh.said()]
            journal = await fresh.scalar(
                "select string_agg(p::text, ';' order by account_id, version) from postings p"
            )
            journals.append((said, journal))
        assert journals[0] == journals[1]
