"""Configuration and mode, of everything and of single subjects."""

from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict

from schema_registry import commands, queries
from schema_registry.api.answers import SubjectName, answer, flag, read_body
from schema_registry.api.rights import Admin
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.levels import Level, Mode
from service_kit.web import Reading, ServiceRouter, Writing

router = ServiceRouter(tags=["settings"])

Flag = Annotated[str | None, Query()]
DefaultToGlobal = Annotated[str | None, Query(alias="defaultToGlobal")]
EVERYTHING = ""


class ConfigPayload(BaseModel):
    """The level, and whatever else a client configures: kept and given back."""

    model_config = ConfigDict(extra="allow")

    compatibility: str | None = None
    normalize: bool | None = None


class ModePayload(BaseModel):
    mode: str | None = None


@router.get("/config")
async def global_configuration(request: Request, session: Reading) -> Response:
    return answer(request, await queries.configuration(session, EVERYTHING, default_to_global=False))


@router.put("/config")
async def configure_globally(request: Request, session: Writing, _admin: Admin) -> Response:
    return await _configure(request, session, EVERYTHING)


@router.delete("/config")
async def forget_global_configuration(request: Request, session: Writing, _admin: Admin) -> Response:
    level = await commands.forget_configuration(session, EVERYTHING)
    return answer(request, {"compatibilityLevel": level.value})


@router.get("/config/{subject:path}")
async def configuration(
    request: Request, session: Reading, subject: SubjectName, default: DefaultToGlobal = None
) -> Response:
    return answer(request, await queries.configuration(session, subject, default_to_global=flag(default)))


@router.put("/config/{subject:path}")
async def configure(request: Request, session: Writing, _admin: Admin, subject: SubjectName) -> Response:
    return await _configure(request, session, subject)


@router.delete("/config/{subject:path}")
async def forget_configuration(
    request: Request, session: Writing, _admin: Admin, subject: SubjectName
) -> Response:
    level = await commands.forget_configuration(session, subject)
    return answer(request, {"compatibilityLevel": level.value})


@router.get("/mode")
async def global_mode(request: Request, session: Reading) -> Response:
    found = await queries.mode(session, EVERYTHING, default_to_global=False)
    return answer(request, {"mode": found.value})


@router.put("/mode")
async def set_global_mode(request: Request, session: Writing, _admin: Admin, force: Flag = None) -> Response:
    return await _set_mode(request, session, EVERYTHING, force=flag(force))


@router.delete("/mode")
async def forget_global_mode(request: Request, session: Writing, _admin: Admin) -> Response:
    return answer(request, {"mode": (await commands.forget_mode(session, EVERYTHING)).value})


@router.get("/mode/{subject:path}")
async def mode(
    request: Request, session: Reading, subject: SubjectName, default: DefaultToGlobal = None
) -> Response:
    found = await queries.mode(session, subject, default_to_global=flag(default))
    return answer(request, {"mode": found.value})


@router.put("/mode/{subject:path}")
async def set_mode(
    request: Request, session: Writing, _admin: Admin, subject: SubjectName, force: Flag = None
) -> Response:
    return await _set_mode(request, session, subject, force=flag(force))


@router.delete("/mode/{subject:path}")
async def forget_mode(request: Request, session: Writing, _admin: Admin, subject: SubjectName) -> Response:
    return answer(request, {"mode": (await commands.forget_mode(session, subject)).value})


async def _configure(request: Request, session: Writing, subject: str) -> Response:
    sent = await read_body(request, ConfigPayload)
    level = _level(sent.compatibility) if sent.compatibility is not None else None
    others: dict[str, Any] = sent.model_dump(exclude={"compatibility"}, exclude_none=True)
    await commands.configure(session, subject, level, others)
    return answer(request, sent.model_dump(exclude_none=True))


async def _set_mode(request: Request, session: Writing, subject: str, *, force: bool) -> Response:
    sent = await read_body(request, ModePayload)
    try:
        wanted = Mode((sent.mode or "").upper())
    except ValueError:
        raise RegistryError(
            Code.INVALID_MODE,
            "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT, and FORWARD",
        ) from None
    await commands.set_mode(session, subject, wanted, force=force)
    return answer(request, {"mode": wanted.value})


def _level(text: str) -> Level:
    try:
        return Level(text.upper())
    except ValueError:
        raise RegistryError(
            Code.INVALID_LEVEL,
            "Invalid compatibility level. Valid values are none, backward, forward, full, "
            "backward_transitive, forward_transitive, and full_transitive",
        ) from None
