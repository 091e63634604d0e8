"""Configuration and mode, of everything and of single subjects."""

from typing import Annotated, Any

from fastapi import Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from schema_registry import commands, queries
from schema_registry.api.answers import Place, answer, described, flag, read_body
from schema_registry.api.blocks import MetadataBlock, RuleSetBlock, storable
from schema_registry.api.names import SUBJECT
from schema_registry.api.rights import Writer
from schema_registry.domain.contexts import subject_name
from schema_registry.domain.errors import Code, RegistryError
from schema_registry.domain.levels import Level, Mode
from service_kit.errors import Malformed
from service_kit.web import Reading, ServiceRouter, Writing

router = ServiceRouter(tags=["settings"])

Flag = Annotated[str | None, Query()]
DefaultToGlobal = Annotated[str | None, Query(alias="defaultToGlobal")]
EVERYTHING = ""
POLICIES = ("STRICT", "LENIENT")


class ConfigPayload(BaseModel):
    """The level, and whatever else a client configures: kept and given back."""

    model_config = ConfigDict(extra="allow")

    compatibility: str | None = None
    normalize: bool | None = None
    compatibility_policy: str | None = Field(default=None, alias="compatibilityPolicy")
    compatibility_group: str | None = Field(default=None, alias="compatibilityGroup", max_length=255)
    alias: str | None = Field(default=None, max_length=255)
    default_metadata: MetadataBlock | None = Field(default=None, alias="defaultMetadata")
    override_metadata: MetadataBlock | None = Field(default=None, alias="overrideMetadata")
    default_rule_set: RuleSetBlock | None = Field(default=None, alias="defaultRuleSet")
    override_rule_set: RuleSetBlock | None = Field(default=None, alias="overrideRuleSet")


class ModePayload(BaseModel):
    mode: str | None = None


@router.get("/config")
async def global_configuration(request: Request, session: Reading) -> Response:
    return answer(request, await queries.configuration(session, EVERYTHING, default_to_global=False))


@router.put("/config", openapi_extra=described(ConfigPayload))
async def configure_globally(request: Request, session: Writing, _writer: Writer) -> Response:
    return await _configure(request, session, EVERYTHING)


@router.delete("/config")
async def forget_global_configuration(request: Request, session: Writing, _writer: Writer) -> Response:
    return answer(request, await commands.forget_configuration(session, EVERYTHING))


@router.get("/config/" + SUBJECT)
async def configuration(
    request: Request, session: Reading, subject: Place, default: DefaultToGlobal = None
) -> Response:
    return answer(request, await queries.configuration(session, subject, default_to_global=flag(default)))


@router.put("/config/" + SUBJECT, openapi_extra=described(ConfigPayload))
async def configure(request: Request, session: Writing, _writer: Writer, subject: Place) -> Response:
    return await _configure(request, session, subject)


@router.delete("/config/" + SUBJECT)
async def forget_configuration(
    request: Request, session: Writing, _writer: Writer, subject: Place
) -> Response:
    return answer(request, await commands.forget_configuration(session, subject))


@router.get("/mode")
async def global_mode(request: Request, session: Reading) -> Response:
    found = await queries.mode(session, EVERYTHING, default_to_global=False)
    return answer(request, {"mode": found.value})


@router.put("/mode", openapi_extra=described(ModePayload))
async def set_global_mode(
    request: Request, session: Writing, _writer: Writer, force: Flag = None
) -> Response:
    return await _set_mode(request, session, EVERYTHING, force=flag(force))


@router.delete("/mode")
async def forget_global_mode(
    request: Request, session: Writing, _writer: Writer, recursive: Flag = None
) -> Response:
    found = await commands.forget_mode(session, EVERYTHING, recursive=flag(recursive))
    return answer(request, {"mode": found.value})


@router.get("/mode/" + SUBJECT)
async def mode(
    request: Request, session: Reading, subject: Place, default: DefaultToGlobal = None
) -> Response:
    found = await queries.mode(session, subject, default_to_global=flag(default))
    return answer(request, {"mode": found.value})


@router.put("/mode/" + SUBJECT, openapi_extra=described(ModePayload))
async def set_mode(
    request: Request, session: Writing, _writer: Writer, subject: Place, force: Flag = None
) -> Response:
    return await _set_mode(request, session, subject, force=flag(force))


@router.delete("/mode/" + SUBJECT)
async def forget_mode(
    request: Request, session: Writing, _writer: Writer, subject: Place, recursive: Flag = None
) -> Response:
    found = await commands.forget_mode(session, subject, recursive=flag(recursive))
    return answer(request, {"mode": found.value})


async def _configure(request: Request, session: Writing, subject: str) -> Response:
    """Take what was sent; a field that is sent as null is forgotten, one that is not sent stays."""
    sent = await read_body(request, ConfigPayload)
    level = _level(sent.compatibility) if sent.compatibility is not None else None
    _refuse_unknown_policy(sent.compatibility_policy)
    fields = sent.model_dump(by_alias=True, exclude_unset=True)
    try:
        storable(fields)
    except ValueError as error:
        raise Malformed(str(error)) from None
    others: dict[str, Any] = {
        name: value for name, value in fields.items() if value is not None and name != "compatibility"
    }
    if "alias" in others:
        others["alias"] = subject_name(others["alias"])
    cleared = frozenset(name for name, value in fields.items() if value is None)
    await commands.configure(session, subject, level, others, cleared)
    return answer(request, {name: value for name, value in fields.items() if value is not None})


def _refuse_unknown_policy(policy: str | None) -> None:
    if policy == "LOGICAL":
        raise RegistryError(
            Code.INVALID_LEVEL,
            "This registry does not compare schemas as types of Flink and Iceberg tables. Valid values of "
            f"compatibilityPolicy are {' and '.join(POLICIES)}",
        )
    if policy is not None and policy not in POLICIES:
        raise RegistryError(
            Code.INVALID_LEVEL, f"Invalid compatibility policy. Valid values are {' and '.join(POLICIES)}"
        )


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
