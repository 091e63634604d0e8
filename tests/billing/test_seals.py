"""The chain of hashes: sealed in the order of commits, whole from its first block, broken by any change."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from billing import commands, queries
from tests.billing.facts import NOON, a_working_day, close_all, hear, next_night, working_day
from tests.support.services import Service

WORKERS = [UUID(int=n) for n in range(1, 5)]


async def seal(billing: Service) -> int:
    total = 0
    while True:
        async with billing.transaction() as session:
            sealed = await commands.seal_entries(session)
        if not sealed:
            return total
        total += sealed


async def check(billing: Service, head: bytes | None = None) -> tuple[queries.Chain, list[str]]:
    chain = queries.Chain()
    async with billing.reading() as session:
        return chain, await queries.differences(session, chain, known_head=head)


@pytest.fixture
async def sealed(billing: Service) -> Service:
    """Two closed days and an open one, in several blocks."""
    billing.clock.set(NOON)
    for _ in range(2):
        await a_working_day(billing, WORKERS, billing.clock.now())
        await seal(billing)
        next_night(billing)
        await close_all(billing)
    await a_working_day(billing, WORKERS, billing.clock.now())
    await seal(billing)
    return billing


async def tamper(billing: Service, statement: str) -> None:
    connection = await asyncpg.connect(billing.addresses.superuser)
    try:
        await connection.execute("set session_replication_role = replica")
        await connection.execute(statement)
    finally:
        await connection.close()


async def test_every_entry_is_sealed_once(sealed: Service) -> None:
    """Fees, rewards and payouts, in blocks that follow each other."""
    chain, problems = await check(sealed)
    assert problems == []
    assert chain.blocks > 3
    assert chain.unsealed == 0
    assert sum(chain.sealed.values()) == await sealed.scalar("select count(*) from journal_entries")
    assert await seal(sealed) == 0


async def test_what_is_not_sealed_yet_is_counted(sealed: Service) -> None:
    """It is no difference: the sealer comes after the work."""
    facts = working_day(WORKERS, sealed.clock.now())
    await hear(sealed, *facts)
    chain, problems = await check(sealed)
    assert problems == []
    assert chain.unsealed == sum(fact.data.name != "TaskCreated" for fact in facts)


DAMAGE = {
    "a time": "update journal_entries set occurred_at = occurred_at + interval '1 microsecond'",
    "an event id": "update journal_entries set event_id = gen_random_uuid() where kind = 'reward'",
    "a cycle": "update journal_entries set cycle = 7 where kind = 'fee'",
    "an amount": "update postings set amount_cents = amount_cents * 2",
    "a payout": "update postings set balance_after_cents = 1 where business_date = '2026-03-02'",
    "a whole entry": "delete from postings where version = 3; delete from journal_entries where kind = 'fee'",
    "the last entries": (
        "delete from postings where version > 10 and account_id ="
        " (select id from ledger_accounts where kind = 'company')"
    ),
    "a block": "delete from ledger_seals where number = 2",
    "the content of a block": "update ledger_seals set leaves = decode(repeat('00', 32), 'hex')",
    "the hash of a block": "update ledger_seals set hash = sha256('') where number = 1",
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_change_is_found(sealed: Service, damage: str) -> None:
    """Whoever may do anything in the database can not do it unseen."""
    await tamper(sealed, DAMAGE[damage])
    _, problems = await check(sealed)
    assert any("sealed" in problem or "block" in problem for problem in problems), problems


async def test_a_changed_entry_is_named(sealed: Service) -> None:
    """Which one, and in which block it had been sealed."""
    entry = await sealed.scalar("select id from journal_entries where kind = 'fee' order by id limit 1")
    await tamper(
        sealed,
        f"update journal_entries set recorded_at = now() where id = '{entry}'",  # noqa: S608
    )
    _, problems = await check(sealed)
    assert [p for p in problems if f"entry {entry} was changed after it was sealed" in p] == problems


async def test_a_chain_written_anew_is_found_by_a_noted_head(sealed: Service) -> None:
    """Against somebody who changes history and seals all of it again, a head noted elsewhere helps."""
    noted = (await check(sealed))[0].head
    assert (await check(sealed, noted))[1] == []
    await tamper(
        sealed,
        "update journal_entries set occurred_at = occurred_at + interval '1 s'; delete from ledger_seals",
    )
    await seal(sealed)
    assert (await check(sealed))[1] == []
    (problem,) = (await check(sealed, noted))[1]
    assert noted.hex() in problem


async def test_the_service_cannot_change_a_seal(sealed: Service) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with sealed.transaction() as session:
            await session.execute(text("update ledger_seals set number = 1"))


async def test_sealers_and_posters_side_by_side(make_service: Callable[..., Service]) -> None:
    """However posting, closing and two sealers interleave, nothing is skipped and nothing is sealed twice."""
    billing = make_service("billing")
    billing.clock.set(NOON)
    working = True

    async def sealer() -> None:
        while working:
            async with billing.transaction() as session:
                await commands.seal_entries(session)

    sealers = [asyncio.create_task(sealer()) for _ in range(2)]
    for _ in range(3):
        posters = [hear(billing, *working_day([worker], billing.clock.now())) for worker in WORKERS * 2]
        await asyncio.gather(*posters)
        next_night(billing)
        await close_all(billing)
    working = False
    await asyncio.gather(*sealers)
    await seal(billing)
    chain, problems = await check(billing)
    assert problems == []
    assert chain.unsealed == 0
    assert sum(chain.sealed.values()) == await billing.scalar("select count(*) from journal_entries")
