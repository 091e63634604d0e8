"""The replayed ledger against the live one, row by row; and what of the live one may be written anew."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from billing.commands.replaying.shadow import Progress
from service_kit.database import Session


@dataclass(frozen=True, slots=True)
class Difference:
    """A row that is not the same in both ledgers; None where it is missing."""

    table: str
    live: dict[str, Any] | None
    replayed: dict[str, Any] | None

    @property
    def subject(self) -> str:
        """Whom and what it is about: account, task or day."""
        known = self.live or self.replayed or {}
        names = {"account_id": "account", "task_id": "task", "business_date": "day", "id": "id"}
        told = [f"{word} {known[name]}" for name, word in names.items() if known.get(name)]
        return ", ".join(told[:3])


@dataclass
class Comparison:
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of the live ledger by table."""
    counts: dict[str, int] = field(default_factory=dict)
    """Differences by table."""
    differences: list[Difference] = field(default_factory=list)
    """The first of them."""

    @property
    def agree(self) -> bool:
        return not any(self.counts.values())

    @property
    def repairable(self) -> bool:
        """Whether only kept sums differ, which may be written anew; history may not."""
        return not any(count for table, count in self.counts.items() if table != "ledger_accounts")


@dataclass(frozen=True)
class _Compared:
    table: str
    key: str
    columns: str
    source: str = "{schema}.{table} t"
    """Relations to read, with the schema left open; `t` is the table itself."""
    where: str = "true"
    dated: str | None = None
    """Column of the business day, where rows before the first replayed day are left out."""

    def side(self, schema: str, *, dated: bool) -> str:
        source = self.source.format(schema=schema, table=self.table)
        since = f"{self.dated} >= cast(:begin as date)" if dated else "true"
        return f"select {self.columns} from {source} where {self.where} and {since}"  # noqa: S608  our own names


COMPARED = (
    _Compared(
        "journal_entries",
        "id",
        "id, event_id, kind, task_id, cycle, business_date, occurred_at, late",
        dated="business_date",
    ),
    _Compared(
        "postings",
        "entry_id, account_id",
        (
            "t.entry_id, t.account_id, e.task_id, t.version, t.business_date, t.amount_cents,"
            " t.balance_after_cents"
        ),
        "{schema}.{table} t left join {schema}.journal_entries e on e.id = t.entry_id",
        dated="t.business_date",
    ),
    _Compared(
        "payouts",
        "id",
        "id, account_id, business_date, amount_cents, paid_at",
        dated="business_date",
    ),
    _Compared(
        "letters",
        "payout_id",
        "t.payout_id, p.account_id, p.business_date, t.message_id",
        "{schema}.{table} t join {schema}.payouts p on p.id = t.payout_id",
        dated="p.business_date",
    ),
    _Compared("days", "business_date", "t.*", where="t.state = 'closed'"),
    _Compared("task_prices", "task_id", "task_id, fee_cents, reward_cents"),
    _Compared("ledger_accounts", "id", "id, kind, balance_cents, carried_cents, version"),
)


async def compare(session: Session, progress: Progress, *, differences_max: int = 100) -> Comparison:
    """Row by row and column by column; times of recording aside."""
    found = Comparison()
    begin = progress.begin
    if begin is not None:
        # Tasks of which nothing was replayed keep the price they have.
        await session.execute(
            text("insert into pg_temp.task_prices select * from public.task_prices on conflict do nothing")
        )
    for spec in COMPARED:
        parameters = {"begin": begin} if begin is not None and spec.dated else {}
        live, replayed = (spec.side(schema, dated=bool(parameters)) for schema in ("public", "pg_temp"))
        most = max(1, differences_max - len(found.differences))
        differing = text(
            "select to_jsonb(l) as live, to_jsonb(r) as replayed, count(*) over () as total"  # noqa: S608
            f" from ({live}) l full join ({replayed}) r using ({spec.key})"
            f" where l is distinct from r order by {spec.key} limit :most"
        )
        rows = (await session.execute(differing, {**parameters, "most": most})).all()
        counting = text(f"select count(*) from ({live}) l")  # noqa: S608  names of our own tables
        found.rows[spec.table] = await session.scalar(counting, parameters) or 0
        found.counts[spec.table] = rows[0].total if rows else 0
        found.differences += [Difference(spec.table, row.live, row.replayed) for row in rows]
    return found


async def repair_sums(session: Session) -> None:
    """Put the replayed sums of the accounts in the place of the kept ones. History is never touched."""
    await session.execute(
        text(
            "update public.ledger_accounts a set balance_cents = r.balance_cents,"
            " carried_cents = r.carried_cents, version = r.version"
            " from pg_temp.ledger_accounts r where r.id = a.id and (a.balance_cents, a.carried_cents,"
            " a.version) is distinct from (r.balance_cents, r.carried_cents, r.version)"
        )
    )
