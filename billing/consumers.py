"""Events billing hears, each handed to one command."""

from collections.abc import Sequence

from billing import commands
from billing.events import (
    AccountCreated,
    AccountUpdated,
    TaskAssigned,
    TaskCompleted,
    TaskCreated,
    TaskFact,
    TaskUpdated,
)
from service_kit.consuming import EventRouter
from service_kit.database import Session
from service_kit.events import Received

router = EventRouter()

CLIENT = "client"


@router.on(AccountCreated)
async def on_account_created(session: Session, event: Received[AccountCreated]) -> None:
    # Clients order work and are no employees; who starts to work gets an account with the first assignment.
    if event.data.role != CLIENT:
        await commands.open_account(session, event.data.user_guid)


@router.on(AccountUpdated)
async def on_account_updated(session: Session, event: Received[AccountUpdated]) -> None:
    await commands.choose_language(session, event.data.user_guid, event.data.locale)


@router.on_batch(TaskCreated, TaskUpdated, TaskAssigned, TaskCompleted)
async def on_task_facts(session: Session, events: Sequence[Received[TaskFact]]) -> None:
    await commands.post_task_facts(session, events)
