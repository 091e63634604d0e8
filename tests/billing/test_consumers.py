"""Facts about accounts, as the consumer hands them over."""

from itertools import permutations
from uuid import UUID

import pytest
from sqlalchemy import select

from billing.consumers import router
from billing.domain import price_task
from billing.events import AccountCreated, AccountUpdated
from billing.models import entries, postings, titles
from service_kit.events import Event, Received
from service_kit.ids import new_id
from tests.billing import facts
from tests.billing.facts import NOON
from tests.support.services import Service

ANNA = UUID(int=1)


async def hear(billing: Service, *heard: Event) -> None:
    received = [
        Received(
            data=fact,
            event_id=new_id(),
            occurred_at=NOON,
            key=str(ANNA),
            correlation_id=None,
            topic=fact.topic,
            partition=0,
            offset=0,
            sent_at=NOON,
            raw=fact.to_json(),
        )
        for fact in heard
    ]
    async with billing.transaction() as session:
        await router.handle(session, received)


@pytest.mark.parametrize(
    ("role", "accounts"), [("worker", 1), ("manager", 1), ("accountant", 1), ("admin", 1), ("client", 0)]
)
async def test_every_employee_has_an_account(billing: Service, role: str, accounts: int) -> None:
    """An account is opened at registration (A3), once; clients are no employees."""
    fact = AccountCreated(user_guid=ANNA, role=role, created_at=NOON)
    await hear(billing, fact, fact)
    assert await billing.scalar("select count(*) from ledger_accounts where kind = 'worker'") == accounts


async def test_letters_follow_the_chosen_language(billing: Service) -> None:
    """What somebody chooses in the profile is the language of the letters."""
    await hear(
        billing,
        AccountCreated(user_guid=ANNA, role="worker", created_at=NOON),
        AccountUpdated(user_guid=ANNA, locale="en"),
    )
    assert await billing.scalar("select locale from ledger_accounts where id = :id", id=ANNA) == "en"


async def test_no_fact_of_a_task_waits_for_another(billing: Service) -> None:
    """The price follows from the task's id, an account from its owner's; the title is filled in later."""
    key = billing.settings.price_key.get_secret_value().encode()  # type: ignore[attr-defined]
    for order in permutations(range(3)):
        task, worker = new_id(), new_id()
        told = [facts.created(task), facts.assigned(task, worker), facts.completed(task, worker)]
        for number in order:
            await facts.hear(billing, told[number])
        async with billing.reading() as session:
            rows = await session.execute(
                select(entries.c.kind, postings.c.amount_cents, titles.c.title)
                .join(postings, postings.c.entry_id == entries.c.id)
                .join(titles, titles.c.task_id == entries.c.task_id)
                .where(postings.c.account_id == worker)
            )
            posted = {row.kind: (row.amount_cents, row.title) for row in rows}
        price = price_task(task, key)
        assert posted == {
            "fee": (-price.fee_cents, "Mend the roof"),
            "reward": (price.reward_cents, "Mend the roof"),
        }
