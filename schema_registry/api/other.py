"""What clients ask once to learn whom they talk to, and the contexts."""

from typing import Annotated

from fastapi import Query, Request, Response

from schema_registry import commands, queries
from schema_registry.api.answers import Part, answer, kept
from schema_registry.api.rights import Writer
from schema_registry.domain.contexts import context_name
from service_kit.web import Reading, ServiceRouter, Writing

router = ServiceRouter(tags=["about"])

VERSION = "8.0.0"
"""The edition of the protocol that is spoken here."""


@router.post("/")
async def root(request: Request) -> Response:
    return answer(request, {})


@router.get("/contexts")
async def contexts(
    request: Request,
    session: Reading,
    part: Part,
    prefix: Annotated[str, Query(alias="contextPrefix", max_length=255)] = "",
) -> Response:
    return kept(request, await queries.contexts(session, prefix, part))


@router.delete("/contexts/{context}")
async def delete_context(request: Request, session: Writing, _writer: Writer, context: str) -> Response:
    await commands.delete_context(session, context_name(context))
    return answer(request, context_name(context))


@router.get("/v1/metadata/id")
async def cluster_id(request: Request) -> Response:
    return answer(request, {"scope": {"path": [], "clusters": {}}, "id": ""})


@router.get("/v1/metadata/version")
async def version(request: Request) -> Response:
    return answer(request, {"version": VERSION, "commitId": ""})


@router.get("/v1/metadata/deployment")
async def deployment(request: Request) -> Response:
    return answer(request, {"attributes": []})
