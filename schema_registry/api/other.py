"""What clients ask once to learn whom they talk to, and what this registry does not have."""

from typing import Annotated

from fastapi import Query, Request, Response

from schema_registry import commands, queries
from schema_registry.api.answers import Part, answer, kept
from schema_registry.api.rights import Writer
from schema_registry.domain.contexts import context_name
from schema_registry.domain.errors import Code, RegistryError
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


async def associations(path: str) -> Response:
    """There are none: clients then name the subject after the topic, as they always did."""
    raise RegistryError(Code.ASSOCIATION_NOT_FOUND, f"No association found for {path.strip('/:')}")


for _method in ("GET", "POST", "PUT", "DELETE"):
    router.add_api_route(
        "/associations{path:path}",
        associations,
        methods=[_method],
        operation_id=f"associations_{_method.lower()}",
    )
