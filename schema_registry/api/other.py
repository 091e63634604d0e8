"""What clients ask once to learn whom they talk to, and what this registry does not have."""

from fastapi import Request, Response

from schema_registry.api.answers import answer
from schema_registry.domain.errors import Code, RegistryError
from service_kit.web import ServiceRouter

router = ServiceRouter(tags=["about"])

VERSION = "8.0.0"
"""The edition of the protocol that is spoken here."""


@router.post("/")
async def root(request: Request) -> Response:
    return answer(request, {})


@router.get("/contexts")
async def contexts(request: Request) -> Response:
    return answer(request, ["."])


@router.get("/v1/metadata/id")
async def cluster_id(request: Request) -> Response:
    return answer(request, {"scope": {"path": [], "clusters": {}}, "id": ""})


@router.get("/v1/metadata/version")
async def version(request: Request) -> Response:
    return answer(request, {"version": VERSION, "commitId": ""})


@router.get("/v1/metadata/deployment")
async def deployment(request: Request) -> Response:
    return answer(request, {"attributes": []})


@router.get("/associations/{path:path}")
async def associations(path: str) -> Response:
    """There are none: clients then name the subject after the topic, as they always did."""
    raise RegistryError(Code.ASSOCIATION_NOT_FOUND, f"No association found for {path}")
