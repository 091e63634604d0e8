"""People at work while everything falls: tasks are created, completed, distributed. Answers are promises."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

import httpx2

from local_stack.client import Client
from local_stack.troubles import Trouble

WORKERS = tuple(f"worker{number}" for number in range(1, 6))
PEOPLE = {"manager": "manager", "accountant": "accountant"} | dict.fromkeys(WORKERS, "worker")
_CREATORS = 3
_COMPLETERS = 5
_THINK_S = 0.05
_DISTRIBUTE_EVERY_S = 7.0
_OPEN_MAX = 400


@dataclass
class Promises:
    """What the exchange has answered; whatever dies afterwards, it holds."""

    created: set[str] = field(default_factory=set)
    completed: set[str] = field(default_factory=set)
    distributions: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """Calls that got no good answer, by reason: people see an error and try again."""


class Crowd:
    def __init__(self, client: Client, seed: int) -> None:
        self._client = client
        self._dice = Random(seed + 1)  # noqa: S311  repeatable, not secret
        self._login_of: dict[str, str] = {}
        self._open: list[str] = []
        self.promises = Promises()

    async def hire(self) -> None:
        for login, role in PEOPLE.items():
            new = {"login": login, "name": login.title(), "role": role}
            await self._client.post("admin", "/auth/api/v1/accounts", new)
        accounts = await self._client.all_pages("admin", "/auth/api/v1/accounts")
        self._login_of = {account["id"]: account["login"] for account in accounts}

    async def work(self) -> None:
        """Until it is cancelled."""
        async with asyncio.TaskGroup() as together:
            for _ in range(_CREATORS):
                together.create_task(self._again_and_again(self._create, _THINK_S * 3))
            for _ in range(_COMPLETERS):
                together.create_task(self._again_and_again(self._complete, _THINK_S))
            together.create_task(self._again_and_again(self._distribute, _DISTRIBUTE_EVERY_S))

    async def _again_and_again(self, act: Callable[[], Awaitable[None]], rest_s: float) -> None:
        while True:
            try:
                await act()
            except (httpx2.HTTPError, Trouble, ValueError) as error:
                self.promises.refused[_reason(error)] += 1
                await asyncio.sleep(0.3)
            await asyncio.sleep(rest_s * self._dice.uniform(0.5, 1.5))

    async def _create(self) -> None:
        if len(self._open) > _OPEN_MAX:
            return
        number = len(self.promises.created)
        task = await self._client.post("manager", "/tracker/api/v1/tasks", {"title": f"Storm {number}"})
        self.promises.created.add(task["id"])
        self._open.append(task["id"])

    async def _complete(self) -> None:
        if not self._open:
            return
        task_id = self._open.pop(self._dice.randrange(len(self._open)))
        try:
            task = await self._client.get("manager", f"/tracker/api/v1/tasks/{task_id}")
            login = self._login_of[task["assignee_id"]]
            await self._client.post(login, f"/tracker/api/v1/tasks/{task_id}/complete")
        except BaseException:
            # The answer may be lost though the task is done; whoever tries again learns it.
            self._open.append(task_id)
            raise
        self.promises.completed.add(task_id)

    async def _distribute(self) -> None:
        await self._client.post("manager", "/tracker/api/v1/distributions")
        self.promises.distributions += 1


def _reason(error: Exception) -> str:
    """The status of a refused call (`... was refused: 502 ...`), or what broke the connection."""
    if not isinstance(error, Trouble):
        return type(error).__name__
    _, _, rest = str(error).partition("was refused: ")
    return rest[:3] or "no token"
