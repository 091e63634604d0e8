"""People and tasks for the tracker's tests."""

from datetime import UTC, datetime
from random import Random
from uuid import UUID

from service_kit.identity import CurrentUser, Role
from service_kit.ids import new_id
from tests.support.services import Service
from tracker import commands
from tracker.domain import AccountFact
from tracker.models import Distribution, Task

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def a_person(tracker: Service, role: Role = Role.WORKER, *, active: bool = True) -> CurrentUser:
    """Somebody the tracker has heard of."""
    guid = new_id()
    async with tracker.transaction() as session:
        fact = AccountFact(guid, LONG_AGO, role=role.value, active=active)
        await commands.record_accounts(session, [fact])
    return CurrentUser(guid=guid, role=role)


async def people(tracker: Service, count: int) -> list[CurrentUser]:
    return [await a_person(tracker) for _ in range(count)]


async def a_task(
    tracker: Service, creator: CurrentUser, title: str = "Feed the parrot", **fields: object
) -> Task:
    """A new task, drawn for whoever is eligible."""
    async with tracker.transaction() as session:
        values = {"title": title, "random": Random(1), **fields}
        return await commands.create_task(session, creator, **values)  # type: ignore[arg-type]


async def complete(tracker: Service, actor: CurrentUser, task_id: UUID) -> Task:
    async with tracker.transaction() as session:
        return await commands.complete_task(session, actor, task_id)


async def request_distribution(tracker: Service, manager: CurrentUser) -> Distribution:
    async with tracker.transaction() as session:
        return await commands.request_distribution(session, manager)


async def cut(tracker: Service, *, size: int = 500) -> None:
    """Cut the run into parts, as a worker does before it deals."""
    async with tracker.transaction() as session:
        await commands.cut_distribution(session, size=size)


async def deal_part(tracker: Service, *, seed: int = 1) -> int | None:
    async with tracker.transaction() as session:
        return await commands.deal_distribution_part(session, random=Random(seed))


async def run_to_the_end(tracker: Service, *, size: int = 500, seed: int = 1) -> None:
    """What one hand of a worker does."""
    await cut(tracker, size=size)
    while await deal_part(tracker, seed=seed) is not None:
        seed += 1
    async with tracker.transaction() as session:
        await commands.finish_distribution(session)
