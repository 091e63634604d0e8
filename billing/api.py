"""JSON API of billing, `/api/v1`: the own account for everybody, the books for accountants."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from billing import queries
from billing.domain import AccountKind, DayState, EntryKind, business_date
from service_kit.identity import Actor, Role, require
from service_kit.paging import Page, Paging
from service_kit.web import ClockDep, Reading, ServiceRouter, SettingsDep

router = ServiceRouter(prefix="/api/v1", tags=["billing"])

ACCOUNTANTS = require(Role.ACCOUNTANT, Role.ADMIN)
Day = Annotated[date | None, Query(description="Only entries of this business date")]


class View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class BalanceView(View):
    account_id: UUID
    balance_cents: int = Field(description="What the company owes; below zero what is owed to it")
    earned_today_cents: int = Field(description="Rewards less fees of the business day")


class EntryView(View):
    id: UUID
    task_id: UUID | None
    title: str | None
    jira_id: str | None
    kind: EntryKind
    amount_cents: int = Field(description="Signed, from the account's view")
    balance_after_cents: int
    business_date: date
    occurred_at: datetime
    late: bool = Field(description="It happened on a day that was closed when the news came")


class AccountView(View):
    id: UUID
    kind: AccountKind
    balance_cents: int
    entry_count: int
    opened_at: datetime


class DayView(View):
    business_date: date
    state: DayState
    time_zone: str = Field(validation_alias="zone")
    income_cents: int
    fees_cents: int
    rewards_cents: int
    payouts_cents: int
    payout_count: int
    carried_debt_cents: int
    accounts_negative: int
    late_count: int
    task_count_profit: int
    task_count_deficit: int
    max_cost_cents: int | None
    max_cost_task_id: UUID | None
    opening_cents: int
    closing_cents: int
    unread_at_close: int
    closed_at: datetime | None


class PayoutView(View):
    id: UUID
    account_id: UUID
    business_date: date
    amount_cents: int
    paid_at: datetime
    letter: str = Field(description="queued or written")


@router.get("/accounts/me")
async def my_account(session: Reading, actor: Actor, clock: ClockDep, settings: SettingsDep) -> BalanceView:
    """Tell the own balance and what today brought."""
    today = business_date(clock.now(), settings.zone)
    return BalanceView.model_validate(await queries.balance_of(session, actor.guid, today))


@router.get("/accounts/me/entries")
async def my_entries(session: Reading, actor: Actor, page: Paging, day: Day = None) -> Page[EntryView]:
    """List the own entries, newest first."""
    found = await queries.entries_of(session, actor.guid, page, day=day)
    return found.of(EntryView.model_validate)


@router.get("/accounts", dependencies=[ACCOUNTANTS])
async def list_accounts(
    session: Reading,
    page: Paging,
    kind: AccountKind | None = None,
    *,
    below_zero: Annotated[bool, Query(description="Only accounts in debt")] = False,
) -> Page[AccountView]:
    """List accounts, the deepest debt first."""
    found = await queries.accounts_by_balance(session, page, below_zero=below_zero, kind=kind)
    return found.of(AccountView.model_validate)


@router.get("/accounts/{account_id}/entries", dependencies=[ACCOUNTANTS])
async def list_entries(session: Reading, account_id: UUID, page: Paging, day: Day = None) -> Page[EntryView]:
    """List an account's entries, newest first. 404 `account_unknown`."""
    await queries.account(session, account_id)
    found = await queries.entries_of(session, account_id, page, day=day)
    return found.of(EntryView.model_validate)


@router.get("/days", dependencies=[ACCOUNTANTS])
async def list_days(session: Reading, page: Paging) -> Page[DayView]:
    """List business days, today first; open days as they stand this moment."""
    return (await queries.days_backwards(session, page)).of(DayView.model_validate)


@router.get("/days/{business_date}", dependencies=[ACCOUNTANTS])
async def get_day(session: Reading, business_date: date) -> DayView:
    """404 `day_unknown`."""
    return DayView.model_validate(await queries.day_of(session, business_date))


@router.get("/days/{business_date}/payouts", dependencies=[ACCOUNTANTS])
async def list_payouts(session: Reading, business_date: date, page: Paging) -> Page[PayoutView]:
    """List a day's payouts, the largest first. 404 `day_unknown`."""
    return (await queries.payouts_of(session, business_date, page)).of(PayoutView.model_validate)
