"""An administrator follows an event: what billing heard, booked, said and put aside because of it."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from billing.settings import BillingSettings
from service_kit.dead_letters import Undeliverable, put_aside
from service_kit.identity import CurrentUser, Role
from service_kit.ids import new_id
from tests.billing.facts import assigned, close_all, completed, created, hear, next_night
from tests.support.services import Service
from tests.support.web import Web, web_process

ADMIN = CurrentUser(UUID(int=1), Role.ADMIN)


@pytest.fixture
async def web(billing: Service) -> AsyncIterator[Web]:
    assert isinstance(billing.settings, BillingSettings)
    async with web_process(billing) as running:
        yield running


async def page(web: Web, wanted: object, path: str = "/trace", **more: str) -> str:
    async with web.browser(ADMIN) as browser:
        answer = await browser.get(path, params={"id": str(wanted), **more})
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_a_task_shows_what_was_heard_booked_and_said_of_it_in_order(billing: Service, web: Web) -> None:
    task, worker = new_id(), new_id()
    await hear(billing, created(task), assigned(task, worker), completed(task, worker))
    shown = await page(web, task)
    ways = [
        "tracker.tasks.TaskCreated.v2",
        "tracker.tasks.TaskAssigned.v1",
        "tracker.tasks.TaskCompleted.v1",
        "billing.prices.TaskPriced.v1",
    ]
    assert [name in shown for name in ways] == [True] * len(ways)
    assert shown.count("has booked it") == 2
    assert [shown.count(name) for name in ("Fee for the assignment", "Reward for the work")] == [1, 1]
    assert shown.count(f"Account {worker}: ") == 2
    assert shown.index("has acted on it") < shown.index("has booked it")


async def test_an_entry_is_told_in_the_readers_language(billing: Service, web: Web) -> None:
    task, worker = new_id(), new_id()
    await hear(billing, created(task), completed(task, worker))
    async with web.browser(ADMIN) as browser:
        answer = await browser.get("/trace", params={"id": str(task)}, headers={"Accept-Language": "ru"})
    shown = answer.text
    assert "Награда за работу" in shown
    assert f"Счёт {worker}: после этого" in shown


async def test_what_followed_from_an_event_is_found_by_the_event(billing: Service, web: Web) -> None:
    task, worker = new_id(), new_id()
    event = completed(task, worker)
    await hear(billing, created(task), assigned(task, worker), event)
    entry = await billing.scalar("select id from journal_entries where event_id = :e", e=event.event_id)
    by_event, by_entry = await page(web, event.event_id), await page(web, entry)
    for shown in (by_event, by_entry):
        assert "TaskCompleted.v1" in shown
        assert "TaskAssigned.v1" not in shown
        assert shown.count("has booked it") == 1


async def test_a_payout_is_found_by_its_entry(billing: Service, web: Web) -> None:
    """No event causes it: the night does. Its way is what is said of it, and nothing of its neighbours."""
    worker, other = new_id(), new_id()
    for person in (worker, other):
        task = new_id()
        await hear(billing, created(task), completed(task, person))
    next_night(billing)
    await close_all(billing)
    payout = await billing.scalar("select id from payouts where account_id = :w", w=worker)
    shown = await page(web, payout)
    assert shown.count("has booked it") == 1
    assert f"Account {worker}: $0.00 after it" in shown
    for said in ("billing.ledger.EntryPosted.v1", "billing.ledger.PayoutMade.v1"):
        assert said in shown
    assert str(other) not in shown
    # By the machine's clock like all else, though the night was moved to by the business clock.
    assert shown.index("EntryPosted.v1") < shown.index("has booked it")


async def test_another_service_asks_with_the_events_it_found(billing: Service, web: Web) -> None:
    task, worker = new_id(), new_id()
    event = assigned(task, worker)
    await hear(billing, created(task), event)
    shown = await page(web, "a-request-of-the-tracker", "/trace/hops", event=str(event.event_id))
    assert f'data-event="{event.event_id}"' in shown
    assert "<html" not in shown


async def test_an_event_that_was_put_aside_leads_to_its_letter(billing: Service, web: Web) -> None:
    event = new_id()
    record = Undeliverable("tracker.tasks", 1, 7, b"task-key", b"no JSON", {"ce_id": str(event)}, event)
    async with billing.transaction() as session:
        await put_aside(session, record, reason="not_json", detail="it is none")
    letter = await billing.scalar("select id from dead_letters where event_id = :e", e=event)
    shown = await page(web, event)
    assert "not_json: it is none" in shown
    assert f"/dead-letters/{letter}" in shown
    assert "its dead letter" not in shown
    async with web.browser(ADMIN) as browser:
        await browser.post(f"/dead-letters/{letter}/discard", data={"because": "said anew"})
    decided = await page(web, event)
    assert "Billing, its dead letter: discarded" in decided
    assert "said anew" in decided
    assert decided.index("has put it aside") < decided.index("its dead letter")


@pytest.mark.parametrize(
    "wanted", ["", "  ", "nothing-like-this", str(UUID(int=7)), "<script>", "%", "я" * 300]
)
async def test_an_id_of_nothing_shows_nothing(web: Web, wanted: str) -> None:
    shown = await page(web, wanted)
    assert 'class="step' not in shown
    assert "<script>alert" not in shown


@pytest.mark.parametrize(
    "query",
    [{"id": "x" * 301}, {"id": "a\x00b"}, {"id": "x", "event": "no-id"}, {"event": [str(UUID(int=1))] * 51}],
)
async def test_a_question_that_is_none_is_refused(web: Web, query: dict[str, str | list[str]]) -> None:
    async with web.browser(ADMIN) as browser:
        answer = await browser.get("/trace/hops", params=query)
    assert answer.status_code == 422


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
async def test_only_administrators_follow_events(web: Web, role: Role) -> None:
    async with web.browser(CurrentUser(UUID(int=2), role)) as browser:
        answer = await browser.get("/trace", params={"id": "x"})
    assert answer.status_code == 403
