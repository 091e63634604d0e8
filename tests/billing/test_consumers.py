"""Facts about accounts, as the consumer hands them over."""

from uuid import UUID

import pytest

from billing.consumers import router
from billing.events import AccountCreated, AccountUpdated
from service_kit.events import Event, Received
from service_kit.ids import new_id
from tests.billing.facts import NOON
from tests.support.services import Service

ANNA = UUID(int=1)


async def hear(billing: Service, *facts: Event) -> None:
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
        for fact in facts
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
