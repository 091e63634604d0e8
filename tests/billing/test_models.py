"""What the database itself refuses, whoever asks."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from service_kit import migrating
from service_kit.ids import new_id
from tests.billing.facts import NOON, a_working_day, close_all, next_night
from tests.support.databases import in_a_thread
from tests.support.services import Service

APPEND_ONLY = ("journal_entries", "postings", "task_prices", "payouts")
CHANGES = {
    "update": "update {table} set {column} = {column}",
    "delete": "delete from {table}",
    "truncate": "truncate {table} cascade",
}
COLUMNS = {
    "journal_entries": "kind",
    "postings": "amount_cents",
    "task_prices": "fee_cents",
    "payouts": "amount_cents",
}


@pytest.fixture
async def as_service(billing: Service) -> AsyncIterator[asyncpg.Connection]:
    await a_working_day(billing, [new_id() for _ in range(3)])
    next_night(billing)
    await close_all(billing)
    connection = await asyncpg.connect(billing.addresses.service)
    yield connection
    await connection.close()


class TestAppendOnly:
    @pytest.mark.parametrize("table", APPEND_ONLY)
    @pytest.mark.parametrize("change", CHANGES)
    async def test_for_the_service(self, as_service: asyncpg.Connection, table: str, change: str) -> None:
        """The service's role has no right to change or remove what is written."""
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_service.execute(CHANGES[change].format(table=table, column=COLUMNS[table]))

    @pytest.mark.parametrize("table", APPEND_ONLY)
    @pytest.mark.parametrize("change", CHANGES)
    async def test_for_the_owner(
        self, billing: Service, as_service: asyncpg.Connection, table: str, change: str
    ) -> None:
        """The owner has the right, and the triggers still refuse."""
        owner = await asyncpg.connect(billing.addresses.owner)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                await owner.execute(CHANGES[change].format(table=table, column=COLUMNS[table]))
        finally:
            await owner.close()

    async def test_triggers_stay_on(self, as_service: asyncpg.Connection) -> None:
        """The service can not switch them off."""
        for statement in (
            "alter table postings disable trigger all",
            "set session_replication_role = replica",
            "drop table postings",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_service.execute(statement)


class TestJournal:
    ENTRY = (
        "insert into journal_entries (id, event_id, kind, task_id, cycle, business_date, occurred_at,"
        " recorded_at, late) values ($1, $1, 'fee', $2, 1, $3, $4, $4, false)"
    )
    POSTINGS = (
        "insert into postings select account_id, version, $1, $2, amount, amount"
        " from unnest($3::uuid[], $4::bigint[], $5::bigint[]) as p(account_id, version, amount)"
    )

    @pytest.mark.parametrize("amounts", [[-100, 99], [100], [100, 100]])
    async def test_entries_balance(self, as_service: asyncpg.Connection, amounts: list[int]) -> None:
        """Postings that do not sum to zero, or stand alone, are refused."""
        accounts = await as_service.fetch("select id from ledger_accounts limit 2")
        entry, day = new_id(), NOON.date().replace(day=9)
        async with as_service.transaction():
            await as_service.execute(self.ENTRY, entry, new_id(), day, NOON)
            owners = [row["id"] for row in accounts][: len(amounts)]
            with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not balance"):
                async with as_service.transaction():
                    await as_service.execute(self.POSTINGS, entry, day, owners, [900] * len(amounts), amounts)

    async def test_postings_belong_to_an_entry_and_to_accounts(self, as_service: asyncpg.Connection) -> None:
        """Postings of an entry or an account that does not exist are refused, though they balance."""
        known = [row["id"] for row in await as_service.fetch("select id from ledger_accounts limit 2")]
        entry, day = new_id(), NOON.date().replace(day=9)
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="does not balance"):
            await as_service.execute(self.POSTINGS, entry, day, known, [900, 900], [-100, 100])
        async with as_service.transaction():
            await as_service.execute(self.ENTRY, entry, new_id(), day, NOON)
            with pytest.raises(asyncpg.ForeignKeyViolationError, match="does not exist"):
                async with as_service.transaction():
                    owners = [known[0], new_id()]
                    await as_service.execute(self.POSTINGS, entry, day, owners, [900, 900], [-100, 100])

    async def test_payouts_are_what_the_journal_says(self, as_service: asyncpg.Connection) -> None:
        """A payout without an entry, of another amount or account than its entry, is refused."""
        account, other = [
            row["id"] for row in await as_service.fetch("select id from ledger_accounts limit 2")
        ]
        entry, day = new_id(), NOON.date().replace(day=9)
        add = (
            "insert into payouts (id, account_id, amount_cents, business_date, paid_at)"
            " values ($1, $2, $3, $4, $5)"
        )
        async with as_service.transaction():
            await as_service.execute(
                self.ENTRY.replace("'fee', $2, 1", "'payout', null, $2"), *(entry, None, day, NOON)
            )
            await as_service.execute(self.POSTINGS, entry, day, [account, other], [900, 900], [-100, 100])
            for payout in ((new_id(), account, 100), (entry, account, 99), (entry, other, 100)):
                with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="the journal says"):
                    async with as_service.transaction():
                        await as_service.execute(add, *payout, day, NOON)
            with pytest.raises(asyncpg.ForeignKeyViolationError, match="not on record"):
                async with as_service.transaction():
                    await as_service.execute(add, entry, account, 100, day, NOON)
            await as_service.execute(
                "insert into days (business_date, zone, opened_at) values ($1, 'Europe/Moscow', $2)",
                day,
                NOON,
            )
            await as_service.execute(add, entry, account, 100, day, NOON)

    async def test_letters_are_of_payouts(self, as_service: asyncpg.Connection) -> None:
        add = "insert into letters (payout_id, message_id) values ($1, '<x@exchange.invalid>')"
        with pytest.raises(asyncpg.ForeignKeyViolationError, match="does not exist"):
            await as_service.execute(add, new_id())
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="stays the letter"):
            await as_service.execute("update letters set payout_id = $1", new_id())

    @pytest.mark.parametrize(
        "change",
        [
            "delete from ledger_accounts",
            "truncate ledger_accounts cascade",
            "update ledger_accounts set id = id",
        ],
    )
    async def test_accounts_stay(self, billing: Service, as_service: asyncpg.Connection, change: str) -> None:
        """An account that postings may belong to is never removed nor renamed, not even by the owner."""
        owner = await asyncpg.connect(billing.addresses.owner)
        try:
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match=r"stay|append-only"):
                await owner.execute(change)
        finally:
            await owner.close()

    async def test_closed_days_take_no_entries(self, as_service: asyncpg.Connection) -> None:
        """An entry that is dated on a closed day is refused."""
        with pytest.raises(asyncpg.IntegrityConstraintViolationError, match="closed day"):
            await as_service.execute(self.ENTRY, new_id(), new_id(), NOON.date(), NOON)

    async def test_closed_days_are_final(self, as_service: asyncpg.Connection) -> None:
        """A closed day keeps its figures, even from the role that closes days."""
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="on record"):
            await as_service.execute("update days set fees_cents = 0")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_service.execute("delete from days")


def test_models_and_migrations_agree(billing: Service) -> None:
    """Nothing is declared that the migrations do not make, and the reverse."""
    in_a_thread(lambda: migrating.check("billing", "billing", billing.addresses.owner))


async def test_the_reader_only_reads(billing: Service) -> None:
    """The reader's role sees the books and writes nothing."""
    reader = await asyncpg.connect(billing.addresses.reader)
    try:
        assert await reader.fetchval("select count(*) from journal_entries") == 0
        await reader.execute("set default_transaction_read_only = off")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("update ledger_accounts set balance_cents = 1")
    finally:
        await reader.close()
