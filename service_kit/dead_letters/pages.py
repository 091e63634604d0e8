"""HTML pages of dead letters: groups, list, one letter beside its contract, redrives with their progress."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Form, Request
from starlette.responses import Response

from service_kit.context import context
from service_kit.dead_letters import acting, reading, words
from service_kit.dead_letters.asking import NO_NUL, TEXT_MAX, ByDep, HeardDep, WantedDep
from service_kit.dead_letters.explaining import HEADERS, Heard, explain, repaired
from service_kit.dead_letters.reading import STANDINGS, Wanted
from service_kit.errors import FieldError, Invalid
from service_kit.navigation import SERVICE_LABELS
from service_kit.pages import redirect, render, toast, wants_fragment
from service_kit.paging import Paging
from service_kit.serving.transactions import Reading, ServiceRouter, Writing
from service_kit.settings import ServiceSettings
from service_kit.text import message as _
from service_kit.text import messages

router = ServiceRouter(include_in_schema=False)

HOME = "/dead-letters"
VALUE_MAX = 1_000_000
CONSUMERS = ("tracker", "billing", "analytics")
"""Services whose web process has these pages."""

STANDING_LABELS = {
    "waiting": (_("waits"), "bad"),
    "queued": (_("will be sent again"), "wait"),
    "redriven": (_("sent again, on its way"), "wait"),
    "handled": (_("handled"), "good"),
    "discarded": (_("discarded"), "plain"),
}
REDRIVE_LABELS = {
    "running": (_("running"), "wait"),
    "done": (_("done"), "good"),
    "stopped": (_("stopped"), "plain"),
}
WORDS: dict[str, Any] = {
    "standings": STANDING_LABELS,
    "on_its_way": reading.ON_ITS_WAY,
    "actions": words.ACTIONS,
    "reason_label": words.label,
    "advice": words.advice,
    "redrive_states": REDRIVE_LABELS,
    "rate_default": acting.RATE_DEFAULT,
    "rate_max": acting.RATE_MAX,
    "note_max": acting.NOTE_MAX,
}

Word = Annotated[str, Form(max_length=TEXT_MAX, pattern=NO_NUL)]
TypeName = Annotated[str, Form(alias="type", max_length=TEXT_MAX, pattern=NO_NUL)]
Why = Annotated[str, Form(max_length=2000, pattern=NO_NUL)]


@router.get(HOME)
async def list_letters(request: Request, session: Reading, wanted: WantedDep, page: Paging) -> Response:
    unasked = "standing" not in request.query_params and wanted == Wanted()
    wanted = Wanted(standing="waiting") if unasked else wanted
    found = await reading.letters(session, wanted, page)
    if wants_fragment(request) and page.cursor is not None:
        return render(request, "dead_letters/list.html", {**WORDS, "letters": found}, "letter_list")
    reasons, types = await reading.kinds(session)
    values = {
        **WORDS,
        **_frame(context(session).settings),
        "letters": found,
        "groups": await reading.groups(session),
        "counts": await reading.counts(session),
        "redrives": await reading.latest_redrives(session),
        "wanted": wanted,
        "standings_all": STANDINGS,
        "reasons": reasons,
        "types": types,
        "choice": _choice(wanted),
    }
    return render(request, "dead_letters/list.html", values)


@router.get(HOME + "/many")
async def ask_many(request: Request, session: Reading, wanted: WantedDep) -> Response:
    """Before something is done with many: which, how many, at what rate, and why."""
    return await _many(request, session, wanted, ())


@router.post(HOME + "/many/redrive")
async def redrive_many(
    request: Request,
    session: Writing,
    by: ByDep,
    rate_per_s: Annotated[int, Form(ge=1, le=acting.RATE_MAX)] = acting.RATE_DEFAULT,
    reason: Word = "",
    type_name: TypeName = "",
) -> Response:
    wanted = Wanted(reason=reason or None, type_name=type_name or None)
    redrive_id = await acting.redrive_many(session, wanted, by, rate_per_s)
    return redirect(request, f"{HOME}/redrives/{redrive_id}")


@router.post(HOME + "/many/discard")
async def discard_many(
    request: Request,
    session: Writing,
    by: ByDep,
    because: Why = "",
    reason: Word = "",
    type_name: TypeName = "",
) -> Response:
    wanted = Wanted(reason=reason or None, type_name=type_name or None)
    try:
        number = await acting.discard(session, wanted, by, because)
    except Invalid as error:
        return await _many(request, session, wanted, error.errors)
    told = messages(
        "{n} letter discarded. It can be put back.", "{n} letters discarded. They can be put back.", number
    )
    return toast(redirect(request, f"{HOME}?standing=discarded"), told)


@router.post(HOME + "/many/restore")
async def restore_many(
    request: Request,
    session: Writing,
    by: ByDep,
    reason: Word = "",
    type_name: TypeName = "",
) -> Response:
    number = await acting.restore(session, Wanted(reason=reason or None, type_name=type_name or None), by)
    told = messages("{n} letter waits again.", "{n} letters wait again.", number)
    return toast(redirect(request, HOME), told)


@router.get(HOME + "/redrives/{redrive_id}")
async def one_redrive(request: Request, session: Reading, redrive_id: UUID) -> Response:
    values = {
        **WORDS,
        **_frame(context(session).settings),
        "redrive": await reading.redrive(session, redrive_id),
    }
    block = "progress" if wants_fragment(request) else None
    return render(request, "dead_letters/redrive.html", values, block)


@router.post(HOME + "/redrives/{redrive_id}/stop")
async def stop_redrive(request: Request, session: Writing, redrive_id: UUID, by: ByDep) -> Response:
    number = await acting.stop_redrive(session, redrive_id, by)
    told = messages("Stopped; {n} letter waits again.", "Stopped; {n} letters wait again.", number)
    return toast(redirect(request, f"{HOME}/redrives/{redrive_id}"), told)


@router.get(HOME + "/{letter_id}")
async def one_letter(request: Request, session: Reading, letter_id: UUID, heard: HeardDep) -> Response:
    if not wants_fragment(request):
        return await _letter(request, session, letter_id, heard)
    # An open page asks what has become of a letter that was sent again.
    letter = await reading.letter(session, letter_id)
    headers = {} if letter.line.standing in reading.ON_ITS_WAY else {"HX-Refresh": "true"}
    return Response(status_code=204, headers=headers)


@router.get(HOME + "/{letter_id}/value")
async def value_of_letter(session: Reading, letter_id: UUID) -> Response:
    """The bytes as they came."""
    letter = await reading.letter(session, letter_id)
    headers = {
        "Content-Disposition": f'attachment; filename="dead-letter-{letter_id}.bin"',
        "Cache-Control": "no-store",
    }
    return Response(letter.value, media_type="application/octet-stream", headers=headers)


@router.post(HOME + "/{letter_id}/redrive")
async def redrive(request: Request, session: Writing, letter_id: UUID, by: ByDep) -> Response:
    await acting.redrive_one(session, letter_id, by)
    return toast(redirect(request, f"{HOME}/{letter_id}"), _("Sent again as it came."))


@router.post(HOME + "/{letter_id}/repair")
async def repair(
    request: Request,
    session: Writing,
    letter_id: UUID,
    by: ByDep,
    heard: HeardDep,
    value: Annotated[str, Form(max_length=VALUE_MAX)] = "",
    ce_type: Word = "",
    ce_id: Word = "",
    ce_time: Word = "",
    act: Annotated[str, Form(max_length=10)] = "send",
) -> Response:
    """Check what was written in the form, and send it when nothing is wrong and that was asked."""
    letter = await reading.letter(session, letter_id)
    known = context(session)
    typed = {"ce_type": ce_type.strip(), "ce_id": ce_id.strip(), "ce_time": ce_time.strip()}
    form = {"value": value, **typed}
    try:
        found = await repaired(
            value,
            {**letter.newest_headers, **typed},
            topic=letter.line.topic,
            heard=heard,
            schemas=known.schemas,
            settings=known.settings,
        )
    except Invalid as error:
        return await _letter(request, session, letter_id, heard, form, error.errors)
    if act == "check":
        return await _letter(request, session, letter_id, heard, form)
    await acting.redrive_one(session, letter_id, by, found)
    return toast(redirect(request, f"{HOME}/{letter_id}"), _("Sent again, repaired."))


@router.post(HOME + "/{letter_id}/discard")
async def discard(
    request: Request,
    session: Writing,
    letter_id: UUID,
    by: ByDep,
    heard: HeardDep,
    because: Why = "",
) -> Response:
    try:
        await acting.discard_one(session, letter_id, by, because)
    except Invalid as error:
        return await _letter(request, session, letter_id, heard, because=because, because_error=error.errors)
    return toast(redirect(request, f"{HOME}/{letter_id}"), _("Discarded. It can be put back."))


@router.post(HOME + "/{letter_id}/restore")
async def restore(request: Request, session: Writing, letter_id: UUID, by: ByDep) -> Response:
    await acting.restore_one(session, letter_id, by)
    return toast(redirect(request, f"{HOME}/{letter_id}"), _("The letter waits again."))


async def _letter(
    request: Request,
    session: Reading,
    letter_id: UUID,
    heard: Heard,
    form: Mapping[str, str] | None = None,
    errors: Sequence[FieldError] = (),
    *,
    because: str = "",
    because_error: Sequence[FieldError] = (),
) -> Response:
    letter = await reading.letter(session, letter_id)
    known = context(session)
    found = await explain(letter.newest_value, letter.newest_headers, heard=heard, schemas=known.schemas)
    headers = {name: letter.newest_headers.get(name, "") for name in HEADERS}
    values = {
        **WORDS,
        **_frame(known.settings),
        "letter": letter,
        "found": found,
        "form": form or {"value": found.editable, **headers},
        "checked": form is not None and not errors,
        "errors": {error.field: error.message for error in errors if error.field in HEADERS},
        "value_errors": [f"{e.field}: {e.message}" for e in errors if e.field not in HEADERS],
        "types": sorted(heard),
        "because": because,
        "because_error": because_error[0].message if because_error else None,
    }
    status = 422 if errors or because_error else 200
    return render(request, "dead_letters/letter.html", values, status=status)


async def _many(request: Request, session: Reading, wanted: Wanted, errors: Sequence[FieldError]) -> Response:
    meant = Wanted(reason=wanted.reason, type_name=wanted.type_name)
    values = {
        **WORDS,
        **_frame(context(session).settings),
        "wanted": meant,
        "number": await reading.count(session, Wanted("waiting", meant.reason, meant.type_name)),
        "discarded": await reading.count(session, Wanted("discarded", meant.reason, meant.type_name)),
        "because_error": errors[0].message if errors else None,
    }
    return render(request, "dead_letters/many.html", values, status=422 if errors else 200)


def _frame(settings: ServiceSettings) -> dict[str, Any]:
    """Which service this is, and where the same page of the others is."""
    others = [
        (SERVICE_LABELS[name], settings.public_urls[name].rstrip("/") + HOME, name == settings.name)
        for name in CONSUMERS
        if name in settings.public_urls
    ]
    return {"service_label": SERVICE_LABELS.get(settings.name, settings.name), "services": others}


def _choice(wanted: Wanted) -> str:
    """The filter as a query, for what is done with all of it."""
    pairs = {"reason": wanted.reason, "type": wanted.type_name}
    return urlencode({name: value for name, value in pairs.items() if value})
