"""From facts to rows of the views: the one fold that both the live consumer and the rebuild go through."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import CTE, ColumnElement, case, func, literal, select

from analytics import events, models
from analytics.domain import Changes, ClosedDay, stamp
from service_kit.database import Session
from service_kit.rows import Parts, inserting, these

LIVE = "public"
"""The database schema of the views that people see."""

Excluded = Any
"""The row that wanted to be inserted, in ON CONFLICT."""


def changes_of(facts: Iterable[events.Fact]) -> Changes:
    """Sum up what the facts change; the same for every order of them."""
    changes = Changes()
    for fact in facts:
        _hear(changes, fact)
    return changes


def _hear(changes: Changes, fact: events.Fact) -> None:
    said = stamp(fact.occurred_at, fact.event_id)
    match fact.data:
        case events.EntryPosted() as entry:
            changes.entry_posted(
                user_guid=entry.user_guid,
                task_id=entry.task_id,
                kind=entry.kind,
                amount_cents=entry.amount_cents,
                business_date=entry.business_date,
                late=entry.late,
            )
        case events.TaskCreated() | events.TaskUpdated() as task:
            changes.task_has_title(task.task_id, task.title, task.jira_id, said)
        case events.DayResult() as result:
            changes.day_closed(_closed_day(result, said))
        case events.AccountCreated() as account:
            changes.account_has_role(account.user_guid, account.role, said)
            changes.account_is_active(account.user_guid, account.active, said)
        case events.AccountRoleChanged() as account:
            changes.account_has_role(account.user_guid, account.role, said)
        case events.AccountBlocked() as account:
            changes.account_is_active(account.user_guid, not account.blocked, said)
        case _:
            # Kept in the log for questions that have no view yet.
            pass


def _closed_day(result: events.DayResult, said: str) -> ClosedDay:
    return ClosedDay(
        business_date=result.business_date,
        time_zone=result.time_zone,
        income_cents=result.income,
        max_cost_task_cents=result.max_cost_task,
        max_cost_task_id=result.max_cost_task_id,
        task_count_profit=result.task_count_profit,
        task_count_deficit=result.task_count_deficit,
        fees_cents=result.fees_cents,
        rewards_cents=result.rewards_cents,
        payouts_cents=result.payouts_cents,
        payout_count=result.payout_count,
        carried_debt_cents=result.carried_debt_cents,
        accounts_negative=result.accounts_negative,
        late_count=result.late_count,
        closed_at=result.closed_at,
        result_stamp=said,
    )


async def apply(session: Session, changes: Changes, *, schema: str = LIVE) -> None:
    """Write the changes with one statement for all views, into the views of this database schema.

    Views and rows are always written in the same order, so that two consumers can not lock each other out.
    """
    parts: Parts = {
        "day_figures": [
            {"business_date": day, **asdict(change)} for day, change in sorted(changes.days.items())
        ],
        "task_days": [
            {"business_date": day, "task_id": task_id, **asdict(change)}
            for (day, task_id), change in sorted(changes.task_days.items())
        ],
        "tasks": [
            {"task_id": task_id, **asdict(change)} for task_id, change in sorted(changes.tasks.items())
        ],
        "accounts": [
            {"user_guid": guid, **asdict(change)} for guid, change in sorted(changes.accounts.items())
        ],
        "day_results": [asdict(result) for _, result in sorted(changes.results.items())],
    }
    if not any(parts.values()):
        return
    options = {} if schema == LIVE else {"schema_translate_map": {None: schema}}
    await session.execute(MERGE, these(parts), execution_options=options)


def _merging(
    model: type[models.Base],
    *,
    added: Sequence[str] = (),
    latest: Mapping[str, Sequence[str]] = {},
) -> CTE:
    """Insert the rows; where one is there already, add to `added` and take over what is said later.

    `latest` names, for each stamp column, the columns that hold with it.
    """
    table = models.TABLES[model.__tablename__]
    statement = inserting(table, *table.c.keys(), in_parts=True)
    new: Excluded = statement.excluded
    changed: dict[str, ColumnElement[Any]] = {name: table.c[name] + new[name] for name in added}
    for stamp_name, names in latest.items():
        later = new[stamp_name] > table.c[stamp_name]
        changed |= {name: case((later, new[name]), else_=table.c[name]) for name in names}
        changed[stamp_name] = func.greatest(table.c[stamp_name], new[stamp_name])
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed).cte(
        f"merged_{table.name}"
    )


def _columns(model: type[models.Base], *, besides: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(column.key for column in model.__table__.columns if column.key not in besides)


# The database runs the parts of a statement that nobody reads in the same order each time.
MERGE = select(literal(1)).add_cte(
    _merging(models.DayFigures, added=_columns(models.DayFigures, besides=("business_date",))),
    _merging(models.TaskDay, added=("fees_cents", "reward_cents")),
    _merging(models.Task, latest={"title_stamp": ("title", "jira_id")}),
    _merging(
        models.Account,
        added=("balance_cents", "entry_count"),
        latest={"role_stamp": ("role",), "active_stamp": ("active",)},
    ),
    _merging(
        models.DayResult,
        latest={"result_stamp": _columns(models.DayResult, besides=("business_date", "result_stamp"))},
    ),
)
