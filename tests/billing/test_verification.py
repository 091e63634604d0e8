"""`verify` finds every way in which the books may disagree with the journal."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from billing import queries
from service_kit.ids import new_id
from tests.billing.facts import NOON, a_working_day, close_all, next_night
from tests.support.services import Service

DAMAGE = {
    "a cached balance": (
        "update ledger_accounts set balance_cents = balance_cents + 1 where kind = 'payouts'",
        "balance is",
    ),
    "a carried balance": (
        "update ledger_accounts set carried_cents = -1 where kind = 'company'",
        "carried balance is -1",
    ),
    "a count of postings": ("update ledger_accounts set version = version + 1", "version is"),
    "an amount": (
        (
            "update postings set amount_cents = amount_cents + 1 where version = 1 and account_id ="
            " (select id from ledger_accounts where kind = 'company')"
        ),
        "sum to",
    ),
    "a balance on the way": (
        "update postings set balance_after_cents = 0 where version = 2",
        "balance after it is 0",
    ),
    "a missing posting": (
        (
            "delete from postings where version = 2 and account_id ="
            " (select id from ledger_accounts where kind = 'company')"
        ),
        "is missing",
    ),
    "an entry without postings": (
        (
            "insert into journal_entries values (gen_random_uuid(), gen_random_uuid(), 'payout', null, null,"
            " '2026-03-09', now(), now(), false)"
        ),
        "has 0 postings",
    ),
    "a price": ("update task_prices set fee_cents = fee_cents + 100", "is not the price"),
    "a figure of a day": (
        "update days set fees_cents = fees_cents + 1 where business_date = '2026-03-02'",
        "fees_cents is",
    ),
    "a debt of a day": (
        "update days set carried_debt_cents = 0, closing_cents = 0 where state = 'closed'",
        "carried_debt_cents is 0",
    ),
    "a missing letter": ("delete from letters", "gets no letter"),
    "a missing payout": ("delete from letters; delete from payouts", "the list of payouts differs"),
    "a missing day": (
        "delete from letters; delete from payouts; delete from days where business_date = '2026-03-02'",
        "was not due",
    ),
    "the last closed day": ("update ledger_state set last_closed_date = '2026-03-01'", "the last closed day"),
    "an entry on another day": (
        "update postings set business_date = '2026-03-09' where version = 1",
        "postings of another day",
    ),
}


@pytest.fixture
async def books(billing: Service) -> AsyncIterator[asyncpg.Connection]:
    """Two closed days and an open one, and a connection that nothing is refused."""
    workers = [new_id() for _ in range(4)]
    for _ in range(2):
        await a_working_day(billing, workers, billing.clock.now())
        next_night(billing)
        await close_all(billing)
    await a_working_day(billing, workers, billing.clock.now())
    connection = await asyncpg.connect(billing.addresses.superuser)
    await connection.execute("set session_replication_role = replica")
    yield connection
    await connection.close()


async def differences(billing: Service) -> list[str]:
    async with billing.reading() as session:
        return await queries.differences(session)


async def test_sound_books(billing: Service, books: asyncpg.Connection) -> None:
    """Books that nobody touched agree with their journal."""
    assert billing.clock.now() > NOON
    assert await differences(billing) == []


@pytest.mark.parametrize("damage", DAMAGE)
async def test_damage_is_found(billing: Service, books: asyncpg.Connection, damage: str) -> None:
    """Each kind of damage is named."""
    statement, sentence = DAMAGE[damage]
    await books.execute(statement)
    found = await differences(billing)
    assert any(sentence in problem for problem in found), found
