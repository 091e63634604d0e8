"""What functions of routes need beside parameters: fetched once each, before what was sent is read."""

from typing import Annotated

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel

from service_kit.serving.transactions import ServiceRouter

fetched: list[str] = []


async def _counted(request: Request) -> str:
    fetched.append(request.url.path)
    return "counted"


Counted = Annotated[str, Depends(_counted)]


async def _built_on_it(counted: Counted) -> str:
    return f"built on {counted}"


async def _refused(request: Request) -> None:
    raise PermissionError(request.url.path)


async def _searched(counted: Counted, number: int) -> str:
    return f"{counted} {number}"


class Sent(BaseModel):
    number: int


router = ServiceRouter(dependencies=[Depends(_counted)])


@router.get("/all/{number}")
async def everything(
    asked: Request,
    number: int,
    counted: Counted,
    built: Annotated[str, Depends(_built_on_it)],
    searched: Annotated[str, Depends(_searched)],
) -> list[str | int]:
    return [asked.url.path, number, counted, built, searched]


@router.get("/alone")
async def alone(counted: Counted) -> str:
    return counted


@router.post("/refused", dependencies=[Depends(_refused)])
async def refused(sent: Sent) -> Sent:
    return sent


def client() -> httpx2.AsyncClient:
    app = FastAPI()
    app.router.routes.extend(router.routes)
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://exchange.test")


async def test_a_route_is_given_what_it_needs_beside_what_was_sent() -> None:
    """The request under any name, parameters, needs, and needs that need others or parameters."""
    async with client() as web:
        assert (await web.get("/all/7")).json() == ["/all/7", 7, "counted", "built on counted", "counted 7"]


async def test_what_several_need_is_fetched_once() -> None:
    """The router, the function and a need of it ask for the same; a function need not know the request."""
    fetched.clear()
    async with client() as web:
        assert (await web.get("/alone")).json() == "counted"
    assert fetched == ["/alone"]


async def test_who_is_refused_hears_nothing_about_what_was_sent() -> None:
    """A guard stands before the reading of the body, whatever is wrong with that."""
    async with client() as web:
        with pytest.raises(PermissionError, match="/refused"):
            await web.post("/refused", content=b"{", headers={"Content-Type": "application/json"})
