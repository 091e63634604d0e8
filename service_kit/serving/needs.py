"""What a function of a route needs and the kit gives: found when the route is made, fetched without a search.

The framework looks for the needs of each need anew in every request, however often they are the same, which
took a fifth of a click. What takes the request alone, such as a session or the person who acts, needs neither
search nor check; parameters of the address and the body stay the framework's work.
"""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from fastapi.dependencies.models import Dependant

REQUEST = "request"

_SEARCHED = (
    *("path_params", "query_params", "header_params", "cookie_params", "body_params"),
    *("websocket_param_name", "http_connection_param_name", "response_param_name"),
    *("background_tasks_param_name", "security_scopes_param_name"),
    *("own_oauth_scopes", "scope", "concurrency"),
)
"""What makes a need the framework's work."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing to fetch, after those that it takes itself."""

    call: Callable[..., Awaitable[Any]]
    request: str | None
    """The name by which it takes the request."""
    takes: tuple[tuple[str, Callable[..., Any]], ...]
    """Names of what else it takes, and who gives that."""

    async def fetch(self, request: Request, given: dict[Callable[..., Any], Any]) -> None:
        values = {name: given[giver] for name, giver in self.takes}
        if self.request is not None:
            values[self.request] = request
        given[self.call] = await self.call(**values)


@dataclass(frozen=True, slots=True)
class Needs:
    """Everything of one route that takes the request alone, in the order in which it has to be fetched."""

    found: tuple[Need, ...]

    async def fetch(self, request: Request) -> None:
        """Fetch each once and keep them beside the request, for the function of the route."""
        given: dict[Callable[..., Any], Any] = {}
        request.state.given = given
        for need in self.found:
            await need.fetch(request, given)


def apart(whole: Dependant) -> tuple[Needs, Dependant]:
    """Take out of a route's needs what the kit fetches; what is left is for the framework to search."""
    plain = [one for one in whole.dependencies if _takes_the_request_alone(one)]
    if whole.call is None or not inspect.iscoroutinefunction(whole.call) or not plain:
        return Needs(()), whole
    found: dict[Callable[..., Any], Need] = {}
    for one in plain:
        _add(one, found)
    givers = {one.name: one.call for one in plain if one.name is not None and one.call is not None}
    own = whole.request_param_name
    name_of_request = own or REQUEST
    function = whole.call

    async def with_needs(**values: Any) -> Any:
        given = values[name_of_request].state.given
        if own is None:
            del values[name_of_request]
        for name, giver in givers.items():
            values[name] = given[giver]
        return await function(**values)

    left = [one for one in whole.dependencies if one not in plain]
    return Needs(tuple(found.values())), replace(
        whole, call=with_needs, dependencies=left, request_param_name=name_of_request
    )


def _takes_the_request_alone(need: Dependant) -> bool:
    # A scheme of the API's description is an object that is called.
    waits = inspect.iscoroutinefunction(need.call) or inspect.iscoroutinefunction(type(need.call).__call__)
    return (
        waits
        and need.use_cache
        and not any(getattr(need, name) for name in _SEARCHED)
        and all(map(_takes_the_request_alone, need.dependencies))
    )


def _add(need: Dependant, found: dict[Callable[..., Any], Need]) -> None:
    assert need.call is not None  # noqa: S101  narrows the type for mypy
    for further in need.dependencies:
        _add(further, found)
    takes = tuple((one.name, one.call) for one in need.dependencies if one.name and one.call)
    found.setdefault(need.call, Need(need.call, need.request_param_name, takes))
