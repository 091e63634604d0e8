"""One transaction per request, opened when first asked for and committed before the answer leaves.

A route that returns is committed, whatever status it returns; a route that raises is rolled back. Requests
that may change nothing (GET, HEAD) get a session in which the database itself refuses to write, and no
transaction: each of their reads is one round trip and sees what is committed just then.
"""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from service_kit.clock import Clock
from service_kit.database import ReadSession, Session
from service_kit.serving.idempotency import answer_once, wants_once
from service_kit.serving.needs import Needs, apart
from service_kit.serving.runtime import runtime_of
from service_kit.settings import ServiceSettings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class UnitOfWork:
    """The one session of a request; nothing is opened before the first dependency asks."""

    def __init__(self, request: Request, stack: AsyncExitStack) -> None:
        self._request = request
        self._stack = stack
        self._reading: ReadSession | None = None
        self._writing: Session | None = None

    async def writing(self) -> Session:
        if self._request.method in SAFE_METHODS:
            raise RuntimeError(f"a {self._request.method} request changes nothing: ask for Reading")
        if self._writing is None:
            self._writing = await self._stack.enter_async_context(
                runtime_of(self._request).database.transaction()
            )
        return self._writing

    async def single_writing(self) -> Session:
        """Without a transaction, unless one is open: then what is done has to be kept or lost with it."""
        if self._writing is None:
            self._writing = await self._stack.enter_async_context(
                runtime_of(self._request).database.single_writes()
            )
        return self._writing

    async def reading(self) -> ReadSession:
        # Whoever may write reads what was just written, so both share one session.
        if self._request.method not in SAFE_METHODS:
            return await self.writing()
        if self._reading is None:
            self._reading = await self._stack.enter_async_context(
                runtime_of(self._request).database.single_reads()
            )
        return self._reading


class ServiceRoute(APIRoute):
    """A route inside its unit of work."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        search = super().get_route_handler
        needs = Needs(())
        if hasattr(self, "app"):
            # It stands in a router inside another one, whose needs the framework has added to its own.
            handle = search()
        else:
            described = self.dependant
            needs, self.dependant = apart(described)
            handle = search()
            # The description of the API tells all of them.
            self.dependant = described

        async def with_needs(request: Request) -> Response:
            await needs.fetch(request)
            return await handle(request)

        async def in_unit_of_work(request: Request) -> Response:
            async with AsyncExitStack() as stack:
                unit = request.state.unit_of_work = UnitOfWork(request, stack)
                if request.method not in SAFE_METHODS and wants_once(request):
                    return await answer_once(request, unit.writing, with_needs)
                return await with_needs(request)

        return in_unit_of_work


class ServiceRouter(APIRouter):
    """Router of a service's pages and API."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("route_class", ServiceRoute)
        super().__init__(*args, **kwargs)


async def _writing(request: Request) -> Session:
    unit: UnitOfWork = request.state.unit_of_work
    return await unit.writing()


async def _single_writing(request: Request) -> Session:
    unit: UnitOfWork = request.state.unit_of_work
    return await unit.single_writing()


async def _reading(request: Request) -> ReadSession:
    unit: UnitOfWork = request.state.unit_of_work
    return await unit.reading()


# Asynchronous though they wait for nothing: plain functions would each cost a hop to a thread and back.
async def _clock(request: Request) -> Clock:
    return runtime_of(request).clock


async def _settings(request: Request) -> ServiceSettings:
    return runtime_of(request).settings


Writing = Annotated[Session, Depends(_writing)]
SingleWriting = Annotated[Session, Depends(_single_writing)]
"""For what one statement does: it is committed when that returns, and what comes after it only reads."""
Reading = Annotated[ReadSession, Depends(_reading)]
ClockDep = Annotated[Clock, Depends(_clock)]
SettingsDep = Annotated[ServiceSettings, Depends(_settings)]
