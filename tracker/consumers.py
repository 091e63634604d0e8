"""Events the tracker hears, each leading to one command."""

from collections.abc import Sequence

from service_kit.consuming import EventRouter
from service_kit.database import Session
from service_kit.events import Received
from tracker import commands
from tracker.domain import AccountFact, Price
from tracker.events import AccountBlocked, AccountCreated, AccountRoleChanged, TaskPriced

router = EventRouter()

AccountEvent = AccountCreated | AccountRoleChanged | AccountBlocked


@router.on_batch(AccountCreated, AccountRoleChanged, AccountBlocked)
async def on_account_facts(session: Session, events: Sequence[Received[AccountEvent]]) -> None:
    await commands.record_accounts(session, [_fact(event.data) for event in events])


@router.on_batch(TaskPriced)
async def on_task_priced(session: Session, events: Sequence[Received[TaskPriced]]) -> None:
    prices = [Price(data.task_id, data.fee_cents, data.reward_cents) for data in (e.data for e in events)]
    await commands.record_prices(session, prices)


def _fact(event: AccountEvent) -> AccountFact:
    match event:
        case AccountCreated():
            return AccountFact(event.user_guid, event.created_at, role=event.role, active=event.active)
        case AccountRoleChanged():
            return AccountFact(event.user_guid, event.changed_at, role=event.role)
        case AccountBlocked():
            return AccountFact(event.user_guid, event.changed_at, active=not event.blocked)
