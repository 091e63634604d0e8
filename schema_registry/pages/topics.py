"""A topic as it runs: its last records and those that come, for roles that may look."""

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from schema_registry.domain.tailing import events_by_type, fits, mark_of, readable, seen_until
from schema_registry.pages.known import contracts_of, may_tail
from service_kit.errors import NotFound, Unavailable
from service_kit.identity import Actor, WrongRole
from service_kit.pages import render, wants_fragment
from service_kit.tail import Seen, Tails, positions
from service_kit.text import message as _
from service_kit.web import ServiceRouter


async def looker(request: Request, actor: Actor) -> None:
    if not may_tail(request, actor):
        raise WrongRole(_("Your role does not allow this."))


router = ServiceRouter(dependencies=[Depends(looker)])


@router.get("/catalogue/topics/{topic}")
async def topic(
    request: Request,
    topic: str,
    event: Annotated[str, Query(max_length=100)] = "",
    words: Annotated[str, Query(max_length=100)] = "",
    after: Annotated[str, Query(max_length=2000)] = "",
) -> Response:
    """The whole page, or for a page that follows along what came after its mark."""
    contracts = [one for one in contracts_of(request) if one.topic == topic]
    if not contracts:
        raise NotFound(_("There is no such topic."))
    tails: Tails = request.app.state.tails
    fragment = wants_fragment(request) and "after" in request.query_params
    away = False
    records: list[Seen] = []
    try:
        records = await tails.records(topic)
    except Unavailable:
        # A page that follows along goes on asking; a new one says what is the matter.
        away = True
    known = seen_until(after)
    types = events_by_type(contracts)
    words = words.strip()
    shown = [
        (one, types.get(one.headers.get("ce_type", "")), readable(one.data))
        for one in records
        if not fragment or one.offset > known.get(one.partition, -1)
        if fits(
            types.get(one.headers.get("ce_type", "")),
            event,
            words,
            (one.key, one.data, one.headers.get("ce_id", "")),
        )
    ]
    return render(
        request,
        "schema_registry/topic.html",
        {
            "topic": topic,
            "producer": contracts[0].producer,
            "key": contracts[0].key,
            "events": [("", _("All")), *((one.name, one.name) for one in contracts)],
            "event": event,
            "words": words,
            "records": shown,
            "away": away,
            "mark": mark_of(known | positions(records)),
            "fragment": fragment,
        },
        "news" if fragment else None,
    )
