"""A second ledger in temporary tables, empty or as it stood before a day, and the order of the first one."""

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import text

from billing.domain import COMPANY
from service_kit.database import Session

TABLES = (
    *("ledger_accounts", "task_prices", "task_titles", "journal_entries", "postings"),
    *("days", "unsaid_days", "ledger_state", "payouts", "letters"),
    # Nothing of a replay is said: what the commands say lies here.
    *("outbox", "live_changes"),
)
MEMORY = "256MB"
"""Of the connection that replays, for pages of its tables."""


class NotShadowed(RuntimeError):
    """A table of the live ledger would be written to; the replay ends before that."""


class NoFirmGround(ValueError):
    """The day before the first one to replay is not closed, or the topics begin after it."""


@dataclass
class Progress:
    """How far a replay is."""

    begin: date | None
    """The first day that is replayed; None: all of them."""
    facts: int = 0
    """Read from the topics, each once."""
    position: int = 0
    """Facts up to this place in the order of the live ledger are posted."""
    end: int = 0
    """The place up to which the live ledger had come."""
    days: int = 0
    """Closed again."""


async def make_shadow(session: Session, begin: date | None) -> Progress:
    """Make empty tables beside the live ones; with `begin`, the ledger as it stood when that day could begin.

    Raises `NoFirmGround` when the day before `begin` is not closed: only a closed day is a firm floor.
    """
    # Before the first temporary table: pages of these are kept by the connection alone.
    await session.execute(text(f"set temp_buffers = '{MEMORY}'"))
    figures = await session.scalar(text("select pg_get_viewdef('public.day_figures'::regclass)"))
    for table in TABLES:
        await session.execute(text(f"create temporary table {table} (like public.{table} including all)"))
    # Numbers of the live outbox are not ours to draw: its relay would wait for rows that never come.
    await session.execute(text("create temporary sequence replay_outbox_id"))
    await session.execute(
        text("alter table pg_temp.outbox alter id set default nextval('pg_temp.replay_outbox_id')")
    )
    await session.execute(text(f"create temporary view day_figures as {figures}"))
    # One event may have been said with several contents: a record that was put aside came back repaired. The
    # inbox has the fingerprint of the one that acted.
    await session.execute(
        text(
            "create temporary table replay_facts (event_id uuid, type_name text not null,"
            " occurred_at timestamptz not null, raw bytea not null, moves_money boolean not null,"
            " fingerprint bytea generated always as (sha256(raw)) stored,"
            " primary key (event_id, fingerprint))"
        )
    )
    # Which of them have no place in the order of the live ledger and were replayed, each once.
    await session.execute(
        text(
            "create temporary table replay_rest (place bigint generated always as identity primary key,"
            " event_id uuid not null, fingerprint bytea not null, unique (event_id, fingerprint))"
        )
    )
    await session.execute(
        text(
            "create temporary table replay_closes (business_date date, position bigint, through uuid,"
            " closed_at timestamptz not null, unread bigint not null, primary key (business_date, position))"
        )
    )
    await _refuse_live(session)
    progress = Progress(begin)
    if begin is None:
        await session.execute(
            text(
                "insert into pg_temp.ledger_accounts (id, kind, opened_at)"
                " select id, kind, opened_at from public.ledger_accounts where kind <> 'worker'"
            )
        )
        await session.execute(text("insert into pg_temp.ledger_state (id) values (1)"))
        # The ledger begins with the first day on record, which may have been put there before any work.
        await session.execute(
            text(
                "insert into pg_temp.days (business_date, zone, opened_at)"
                " select business_date, zone, opened_at from public.days order by business_date limit 1"
            )
        )
    else:
        await _stand_before(session, progress, begin)
    return progress


async def _refuse_live(session: Session) -> None:
    temporary = await session.scalar(
        text(
            "select count(*) from unnest(cast(:names as text[])) n"
            " join pg_class c on c.oid = to_regclass(n) and c.relpersistence = 't'"
        ),
        {"names": [*TABLES, "day_figures"]},
    )
    if temporary != len(TABLES) + 1:
        raise NotShadowed(f"only {temporary} of {len(TABLES) + 1} tables lie beside the live ones")


async def _stand_before(session: Session, progress: Progress, begin: date) -> None:
    """Accounts, open postings and closed days as they were when the day before `begin` had been closed."""
    before = begin - timedelta(days=1)
    await settle_order(session)
    floor = await session.scalar(
        text("select position from replay_closes where business_date = :before and through is null"),
        {"before": before},
    )
    if floor is None:
        raise NoFirmGround(f"{before} is not a closed day, so nothing firm stands before {begin}")
    progress.position = floor
    parameters = {"begin": begin, "floor": floor, "company": COMPANY, "before": before}
    for statement in (
        # What was posted for later days before the close.
        """
        insert into pg_temp.journal_entries select e.* from public.journal_entries e
        join public.postings c on c.entry_id = e.id and c.account_id = :company
        where e.business_date >= :begin and c.version <= :floor
        """,
        """
        insert into pg_temp.postings select p.* from public.postings p
        join pg_temp.journal_entries e on e.id = p.entry_id
        """,
        """
        insert into pg_temp.ledger_accounts
            (id, kind, balance_cents, carried_cents, version, locale, opened_at)
        select a.id, a.kind, coalesce(sum(p.amount_cents), 0),
               coalesce(sum(p.amount_cents) filter (where p.business_date < :begin), 0),
               coalesce(max(p.version), 0), a.locale, a.opened_at
        from public.ledger_accounts a
        left join (
            public.postings p join public.journal_entries e on e.id = p.entry_id
            left join public.postings c on c.entry_id = e.id and c.account_id = :company
        ) on p.account_id = a.id and (p.business_date < :begin or c.version <= :floor)
        group by a.id
        """,
        "insert into pg_temp.days select * from public.days where business_date < :begin",
        "insert into pg_temp.ledger_state (id, last_closed_date) values (1, :before)",
        "delete from replay_closes where business_date < :begin",
    ):
        used = {name: value for name, value in parameters.items() if f":{name}" in statement}
        await session.execute(text(statement), used)


async def note_end(session: Session, progress: Progress) -> None:
    """Note how far the live ledger is. What it has posted is in the topics if they are read after this."""
    newest = text("select max(version) from public.postings where account_id = :company")
    progress.end = await session.scalar(newest, {"company": COMPANY}) or 0


async def refuse_missing_beginning(session: Session, progress: Progress) -> None:
    """Raise `NoFirmGround` when the topics no longer hold what the ledger has posted first.

    Topics keep their events for some weeks. A fact that is missing further on is a difference, and shown.
    """
    missing = (
        await session.execute(
            text(
                """
                select count(*) as facts, max(e.business_date) as last, min(c.version) = (
                    select min(version) from public.postings
                    where account_id = :company and version > :floor) as first_too
                from public.journal_entries e
                join public.postings c on c.entry_id = e.id and c.account_id = :company
                where c.version > :floor and c.version <= :end
                  and not exists (select from replay_facts f where f.event_id = e.event_id)
                """
            ),
            {"company": COMPANY, "floor": progress.position, "end": progress.end},
        )
    ).one()
    if missing.first_too:
        raise NoFirmGround(
            f"The topics no longer hold {missing.facts} of the facts, the last of them of {missing.last}:"
            f" replay --from {missing.last + timedelta(days=1)} or later."
        )


async def settle_order(session: Session) -> None:
    """Note where in the order of the live ledger the days were closed, and how far they are settled.

    The company takes part in every entry but payouts, so that its postings count them in the order of their
    commits. A day was cut off behind everything that counts on it. Its accounts were settled in the order of
    their ids, each behind whatever its payout follows and behind the ones before it. The places found here
    are the earliest ones that a payout may have had, and nothing of its account lies between such a place
    and the real one. A step is to settle accounts `through` that one; where it is null, all of them, and the
    figures.
    """
    await session.execute(text("delete from replay_closes"))
    await session.execute(
        text(
            """
            insert into replay_closes
            with ended as (
                select * from public.days where state <> 'open' and business_date > coalesce(
                    (select max(business_date) from pg_temp.days where state = 'closed'), '-infinity')
            ),
            known as (
                select d.business_date, null::uuid as account_id, max(c.version) as position
                from ended d
                left join (
                    public.journal_entries e
                    join public.postings c on c.entry_id = e.id and c.account_id = :company
                ) on e.business_date = d.business_date
                group by 1
                union all
                select p.business_date, p.account_id, c.version
                from ended d
                join public.payouts p on p.business_date = d.business_date
                join public.postings paid on paid.entry_id = p.id and paid.account_id = p.account_id
                left join public.postings last on last.account_id = p.account_id
                    and last.version = paid.version - 1
                left join public.postings c on c.entry_id = last.entry_id and c.account_id = :company
            ),
            steps as (
                select business_date, position, max(account_id::text collate "C")::uuid as through,
                       lead(position) over (partition by business_date order by position) is null as is_last
                from (
                    select business_date, account_id, coalesce(max(position) over (
                        order by business_date, account_id nulls first), 0) as position
                    from known
                ) in_order
                group by 1, 2
            )
            select d.business_date, s.position,
                   case when not s.is_last then coalesce(s.through, :nobody)
                        when d.state = 'closing' then coalesce(d.settled_through, :nobody) end,
                   d.closed_at, d.unread_at_close
            from steps s join ended d using (business_date)
            """
        ),
        {"company": COMPANY, "nobody": UUID(int=0)},
    )


async def hold_live(session: Session) -> None:
    """Let nobody post, cut off or settle until the end of this transaction."""
    await session.execute(text("select 1 from public.ledger_state for update"))
