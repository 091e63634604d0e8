"""Events analytics hears: every one is kept in the raw log and applied to the views."""

from collections.abc import Sequence

from analytics.commands import record_events
from analytics.events import HEARD
from service_kit.consuming import EventRouter
from service_kit.database import Session
from service_kit.events import Event, Received

router = EventRouter()


@router.on_batch(*HEARD)
async def on_facts(session: Session, received: Sequence[Received[Event]]) -> None:
    await record_events(session, received)
