"""JSON API of dead letters, `/api/v1/dead-letters`: list, read, check, send again, give up, put back."""

import base64
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from service_kit.context import context
from service_kit.dead_letters import acting, reading
from service_kit.dead_letters.asking import NO_NUL, ByDep, HeardDep, WantedDep
from service_kit.dead_letters.explaining import Heard, explain, repaired
from service_kit.dead_letters.reading import Standing, Wanted
from service_kit.paging import Page, Paging
from service_kit.serving.payloads import Payload
from service_kit.serving.transactions import Reading, ServiceRouter, Writing

router = ServiceRouter(prefix="/api/v1/dead-letters", tags=["dead letters"])

LetterId = Annotated[UUID, Path(description="Id of the dead letter")]


Text = Annotated[str, Field(pattern=NO_NUL)]


class View(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class LineView(View):
    id: UUID
    topic: str
    partition: int
    offset: int
    key: str
    event_id: UUID | None
    type: str | None = Field(validation_alias="type_name")
    reason: str
    detail: str
    standing: Standing
    attempts: int
    first_seen_at: datetime
    last_seen_at: datetime


class GroupView(View):
    reason: str
    type: str | None = Field(validation_alias="type_name")
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    example: str


class FaultView(View):
    where: str = Field(description="Path in the value, or the name of a header")
    message: str


class ActView(View):
    action: str
    actor_guid: UUID | None
    operator: str | None
    at: datetime
    note: str | None


class LetterView(LineView):
    value_base64: str = Field(description="As it came")
    value: Any = Field(description="The value as JSON, without its frame; null when it is none")
    headers: dict[str, str]
    schema_id: int | None
    faults: list[FaultView]
    sent_at: datetime | None
    handled_at: datetime | None
    acts: list[ActView]


class Replacement(Payload):
    """What is sent instead of what came; what is absent stays as it is."""

    value: dict[str, Any] | None = None
    headers: dict[Text, Text] | None = Field(default=None, description="Replaces headers of these names")


class Filter(Payload):
    """Which letters are meant; what is absent does not narrow."""

    reason: Text | None = None
    type: Text | None = None


class Many(Filter):
    rate_per_s: int = Field(default=acting.RATE_DEFAULT, ge=1, le=acting.RATE_MAX)


class Because(Payload):
    because: Text = Field(min_length=1, max_length=acting.NOTE_MAX)


class ManyBecause(Filter, Because):
    pass


class RedriveView(View):
    id: UUID
    state: str
    reason: str | None
    type: str | None = Field(validation_alias="type_name")
    rate_per_s: int
    total: int
    sent: int
    queued: int
    on_the_way: int
    handled: int
    failed: int
    stopped_because: str | None
    asked_at: datetime


class Number(BaseModel):
    letters: int


@router.get("")
async def list_letters(session: Reading, wanted: WantedDep, page: Paging) -> Page[LineView]:
    """List dead letters, the newest first."""
    return (await reading.letters(session, wanted, page)).of(LineView.model_validate)


@router.get("/groups")
async def list_groups(session: Reading) -> list[GroupView]:
    """Group what waits by reason and type, the largest group first."""
    return [GroupView.model_validate(group) for group in await reading.groups(session)]


@router.post("/redrives", status_code=202)
async def redrive_many(session: Writing, many: Many, by: ByDep) -> RedriveView:
    """Send every waiting letter of a kind again, at a rate. 409 `no_dead_letters_match`."""
    wanted = Wanted(reason=many.reason, type_name=many.type)
    redrive_id = await acting.redrive_many(session, wanted, by, many.rate_per_s)
    return RedriveView.model_validate(await reading.redrive(session, redrive_id))


@router.get("/redrives/{redrive_id}")
async def get_redrive(session: Reading, redrive_id: UUID) -> RedriveView:
    """Tell how far it has come. 404 `redrive_unknown`."""
    return RedriveView.model_validate(await reading.redrive(session, redrive_id))


@router.post("/redrives/{redrive_id}/stop")
async def stop_redrive(session: Writing, redrive_id: UUID, by: ByDep) -> Number:
    """Take back what was not sent yet. 409 `redrive_over`."""
    return Number(letters=await acting.stop_redrive(session, redrive_id, by))


@router.post("/discards")
async def discard_many(session: Writing, many: ManyBecause, by: ByDep) -> Number:
    """Give up every waiting letter of a kind. 409 `no_dead_letters_match`."""
    wanted = Wanted(reason=many.reason, type_name=many.type)
    return Number(letters=await acting.discard(session, wanted, by, many.because))


@router.get("/{letter_id}")
async def get_letter(session: Reading, letter_id: LetterId, heard: HeardDep) -> LetterView:
    """Show all of it: value, headers, every fault, every act. 404 `dead_letter_unknown`."""
    return await _shown(session, letter_id, heard)


@router.post("/{letter_id}/redrive")
async def redrive(
    session: Writing, letter_id: LetterId, by: ByDep, heard: HeardDep, instead: Replacement | None = None
) -> LetterView:
    """Send it again, repaired if a value or headers are given. 422 tells what is still wrong with these."""
    repair = None
    if instead is not None and (instead.value is not None or instead.headers is not None):
        letter = await reading.letter(session, letter_id)
        known = context(session)
        found = await explain(letter.newest_value, letter.newest_headers, heard=heard, schemas=known.schemas)
        text = found.editable if instead.value is None else _json(instead.value)
        headers = {**letter.newest_headers, **(instead.headers or {})}
        repair = await repaired(
            text,
            headers,
            topic=letter.line.topic,
            heard=heard,
            schemas=known.schemas,
            settings=known.settings,
        )
    await acting.redrive_one(session, letter_id, by, repair)
    return await _shown(session, letter_id, heard)


@router.post("/{letter_id}/discard")
async def discard(
    session: Writing, letter_id: LetterId, by: ByDep, heard: HeardDep, why: Because
) -> LetterView:
    """Give it up; it is kept. 409 `dead_letter_not_waiting`."""
    await acting.discard_one(session, letter_id, by, why.because)
    return await _shown(session, letter_id, heard)


@router.post("/{letter_id}/restore")
async def restore(session: Writing, letter_id: LetterId, by: ByDep, heard: HeardDep) -> LetterView:
    """Let a discarded one wait again. 409 `dead_letter_not_discarded`."""
    await acting.restore_one(session, letter_id, by)
    return await _shown(session, letter_id, heard)


async def _shown(session: Reading, letter_id: UUID, heard: Heard) -> LetterView:
    letter = await reading.letter(session, letter_id)
    schemas = context(session).schemas
    found = await explain(letter.newest_value, letter.newest_headers, heard=heard, schemas=schemas)
    line = LineView.model_validate(letter.line)
    return LetterView(
        **line.model_dump(exclude={"type"}),
        type_name=line.type,
        value_base64=base64.b64encode(letter.value).decode(),
        value=_parsed(found.editable),
        headers=dict(letter.headers),
        schema_id=found.schema_id,
        faults=[FaultView.model_validate(fault) for fault in found.faults],
        sent_at=letter.sent_at,
        handled_at=letter.handled_at,
        acts=[ActView.model_validate(act) for act in letter.acts],
    )


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
