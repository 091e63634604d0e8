"""What routes of dead letters take from a request: the filter, the person, the events that are heard."""

from typing import Annotated, Literal

from fastapi import Depends, Query, Request

from service_kit import identity
from service_kit.dead_letters.acting import Actor
from service_kit.dead_letters.explaining import Heard
from service_kit.dead_letters.reading import Standing, Wanted

TEXT_MAX = 300
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no NUL in text."""
Word = Annotated[str | None, Query(max_length=TEXT_MAX, pattern=NO_NUL)]


def _heard(request: Request) -> Heard:
    found: Heard = request.state.heard
    return found


def _actor(actor: identity.Actor) -> Actor:
    return Actor(guid=actor.guid)


def _wanted(
    standing: Annotated[
        Standing | Literal[""] | None, Query(description="Only letters in this state; an empty one means all")
    ] = None,
    reason: Word = None,
    type_name: Annotated[
        str | None, Query(alias="type", max_length=TEXT_MAX, pattern=NO_NUL, description="CloudEvents type")
    ] = None,
    search: Annotated[
        str | None,
        Query(
            max_length=TEXT_MAX,
            pattern=NO_NUL,
            description="Letter, event, redrive or correlation id, or the event's key",
        ),
    ] = None,
) -> Wanted:
    return Wanted(standing or None, reason or None, type_name or None, (search or "").strip() or None)


HeardDep = Annotated[Heard, Depends(_heard)]
ByDep = Annotated[Actor, Depends(_actor)]
WantedDep = Annotated[Wanted, Depends(_wanted)]
