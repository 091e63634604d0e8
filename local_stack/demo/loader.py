"""Plays a story into a running exchange: the same calls as a click, at the business times of the story."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from local_stack import clock
from local_stack.client import Client, connect
from local_stack.credentials import Credentials
from local_stack.delivery import Delivery
from local_stack.demo.story import Person, Story, Stretch, stretches
from local_stack.home import Home
from local_stack.night import business_zone, closed, closed_and_reported
from local_stack.state import State
from local_stack.troubles import Trouble

AT_ONCE = 12

# Far enough past midnight for the day before to be due, and still the very beginning of the day.
_EARLY = timedelta(seconds=10)
_POLL_S = 0.05
_NIGHTLY_DAYS_MAX = 40
_FOLLOW_S = 0.2
# Years of days without work take billing a moment to close.
_CLOSE_WITHIN_S = 600

Advance = Callable[[int, str], None]


@dataclass
class Loaded:
    """What became of the story."""

    people: int = 0
    tasks: int = 0
    completed: int = 0
    days: int = 0


async def load(home: Home, state: State, story: Story, advance: Advance, *, password: bool) -> Loaded:
    """Load `story`; `advance` hears of every call done. With `password` everybody can sign in.

    Afterwards business time is the system's time again and every day before today is closed.
    """
    async with connect(home, state, at_once=AT_ONCE) as client, Delivery(home, state) as delivery:
        await refuse_second_story(client)
        loader = _Loader(home, client, delivery, story, advance)
        try:
            await loader.hire(
                story.people, Credentials(home.secrets_file).demo_password if password else None
            )
            await loader.play()
        finally:
            clock.set_offset(home, timedelta())
        await loader.finish()
        return loader.loaded


async def refuse_second_story(client: Client) -> None:
    tasks = await client.get("admin", "/tracker/api/v1/tasks", limit=1)
    if tasks["items"]:
        raise Trouble(
            "This exchange already holds work, and past days that are closed do not change: delete it with "
            "./ates reset, or load into an exchange of its own with ATES_HOME=/another/folder ./ates up "
            "--no-demo --detach --port 8180."
        )


class _Loader:
    def __init__(
        self, home: Home, client: Client, delivery: Delivery, story: Story, advance: Advance
    ) -> None:
        self._home = home
        self._client = client
        self._delivery = delivery
        self._story = story
        self._advance = advance
        self._zone = business_zone()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._creating = asyncio.Semaphore(AT_ONCE)
        self._login_of: dict[str, str] = {}
        self._tasks: dict[int, dict[str, Any]] = {}
        self._last_of: dict[int, asyncio.Task[None]] = {}
        self._open: dict[date, int] = {}
        """Days that the clock has not passed, in order, each with its calls under way."""
        self._finished = asyncio.Event()
        self._stale: set[int] = set()
        """Works whose assignee may have changed since we were told."""
        self.loaded = Loaded()

    async def hire(self, people: Iterable[Person], password: str | None) -> None:
        """Create the accounts, on the first day of the story, and wait until everybody knows them."""
        first = min(work.created_at for work in self._story.works).astimezone(self._zone).date()
        dawn = clock.start_of(first, self._zone) + _EARLY
        clock.move_to(self._home, dawn)
        known = await self._client.all_pages("admin", "/auth/api/v1/accounts")
        self._login_of = {account["id"]: account["login"] for account in known}
        missing = [person for person in people if person.login not in self._login_of.values()]
        await _all(self._hire_one(person, password, dawn) for person in missing)
        await self._delivery.complete()

    async def _hire_one(self, person: Person, password: str | None, dawn: datetime) -> None:
        new = {"login": person.login, "name": person.name, "role": person.role}
        if person.email:
            new["email"] = person.email
        if password:
            new["password"] = password
        async with self._gate:
            account = await self._client.post("admin", "/auth/api/v1/accounts", new, at=dawn)
        self._login_of[account["id"]] = person.login
        self.loaded.people += 1
        self._advance(1, "people")

    async def play(self) -> None:
        """Do everything in the order of the story, as fast as the exchange takes it.

        Business time of a call travels with the call, so days need not wait for each other. The clock, by
        which days are closed, follows behind: it passes a midnight when all of that day has been done and
        delivered. A story of few days waits for each night, so that every account's entries and payouts stand
        in the order of the days, and creates one task after the other, so that lists show them in order.
        """
        nightly = len({stretch.day for stretch in stretches(self._story, self._zone)}) <= _NIGHTLY_DAYS_MAX
        self._creating = asyncio.Semaphore(1 if nightly else AT_ONCE)
        following = asyncio.create_task(self._let_clock_follow())
        try:
            async with _unwrapped(), asyncio.TaskGroup() as group:
                for stretch in stretches(self._story, self._zone):
                    if nightly and self._open and stretch.day not in self._open:
                        await self._end_day(max(self._open))
                    self._begin(stretch.day)
                    await self._play_stretch(stretch, group)
            self._finished.set()
            await following
            # The last day may lie years back: it must be whole before the present begins again.
            await self._delivery.complete()
        finally:
            following.cancel()

    async def finish(self) -> None:
        """Business time is the present again: wait for the last night to be over."""
        await self._delivery.complete()
        first = min(work.created_at for work in self._story.works).astimezone(self._zone).date()
        today = clock.business_now(self._home).astimezone(self._zone).date()
        if first < today:
            await closed_and_reported(self._client, today - timedelta(days=1), _CLOSE_WITHIN_S)

    async def _play_stretch(self, stretch: Stretch, group: asyncio.TaskGroup) -> None:
        jobs = [(number, self._create) for number in stretch.created]
        jobs += [(number, self._complete) for number in stretch.done]
        for number, work in jobs:
            await self._gate.acquire()
            # One task's facts follow each other, different tasks run side by side.
            before = self._last_of.get(number)
            self._open[stretch.day] += 1
            job = group.create_task(self._in_turn(number, work, before, stretch.day))
            self._last_of[number] = job
        if stretch.distribution is not None:
            await asyncio.gather(*self._last_of.values())
            await self._distribute(stretch.distribution)

    async def _in_turn(
        self,
        number: int,
        work: Callable[[int], Coroutine[Any, Any, None]],
        before: asyncio.Task[None] | None,
        day: date,
    ) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
            await work(number)
        finally:
            self._open[day] -= 1
            self._gate.release()

    async def _end_day(self, day: date) -> None:
        await asyncio.gather(*self._last_of.values())
        await self._delivery.posted()
        await self._move_clock(clock.start_of(day + timedelta(days=1), self._zone) + _EARLY)
        await closed(self._client, day, _CLOSE_WITHIN_S)

    def _begin(self, day: date) -> None:
        if day not in self._open:
            self._open[day] = 0
            self.loaded.days += 1

    async def _let_clock_follow(self) -> None:
        while True:
            finished = self._finished.is_set()
            # The latest day may still get more work, as long as the story goes on.
            begun = list(self._open)[:-1]
            done = list(itertools.takewhile(lambda day: self._open[day] == 0, begun))
            if done:
                # Whatever these days said was said before this call, which waits for its effect.
                await self._delivery.complete()
                await self._move_clock(clock.start_of(done[-1] + timedelta(days=1), self._zone) + _EARLY)
                for day in done:
                    del self._open[day]
            if finished:
                return
            await asyncio.sleep(_FOLLOW_S)

    async def _move_clock(self, moment: datetime) -> None:
        """Never back: a day that may be closed by now must not begin again."""
        if moment > clock.business_now(self._home):
            clock.move_to(self._home, moment)

    async def _create(self, number: int) -> None:
        work = self._story.works[number]
        new = {"title": work.title}
        if work.jira_id is not None:
            new["jira_id"] = work.jira_id
        async with self._creating:
            self._tasks[number] = await self._client.post(
                work.creator, "/tracker/api/v1/tasks", new, at=work.created_at
            )
        self.loaded.tasks += 1
        self._advance(1, "tasks")

    async def _complete(self, number: int) -> None:
        work = self._story.works[number]
        task = self._tasks.pop(number)
        if number in self._stale:
            task = await self._client.get("admin", f"/tracker/api/v1/tasks/{task['id']}")
        await self._client.post(
            self._login_of[task["assignee_id"]],
            f"/tracker/api/v1/tasks/{task['id']}/complete",
            at=work.done_at,
        )
        self.loaded.completed += 1
        self._advance(1, "tasks")

    async def _distribute(self, moment: datetime) -> None:
        # The run is the worker's: it lives by the clock, not by the header of the press.
        await self._delivery.complete()
        await self._move_clock(moment)
        run = await self._client.post("manager", "/tracker/api/v1/distributions", at=moment)
        while run["status"] == "running":
            await asyncio.sleep(_POLL_S)
            run = await self._client.get("manager", f"/tracker/api/v1/distributions/{run['id']}")
        self._stale |= set(self._tasks)
        self._advance(1, "distributions")


async def _all(jobs: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run the jobs side by side. The first failure ends all."""
    async with _unwrapped(), asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(job)


@asynccontextmanager
async def _unwrapped() -> AsyncIterator[None]:
    """A group's first failure is raised as it is: it has something to tell a person."""
    try:
        yield
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None


def steps(story: Story) -> int:
    """How many calls `load` will report."""
    done = sum(work.done_at is not None for work in story.works)
    return len(story.people) + len(story.works) + done + len(story.distributions)
