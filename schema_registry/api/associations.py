"""Associations of topics with subjects: there are none here, and that is answered as the protocol answers it.

Clients ask for them first and then name the subject after the topic, as they always did. Subjects of ours are
named after the topic and the event, so that each event has versions of its own; a topic that stands for one
subject would undo that. So none can be made.
"""

from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response

from schema_registry.api.answers import SubjectName, kept
from schema_registry.api.names import SUBJECT, with_slashes
from schema_registry.api.rights import Writer
from schema_registry.domain.errors import Code, RegistryError
from service_kit.web import ServiceRouter

router = ServiceRouter(tags=["associations"])


def asked(
    _resource_type: Annotated[str, Query(alias="resourceType", max_length=255)] = "topic",
    _types: Annotated[list[str] | None, Query(alias="associationType", max_length=100)] = None,
    _lifecycle: Annotated[Literal["STRONG", "WEAK"] | None, Query(alias="lifecycle")] = None,
    _offset: Annotated[int, Query(alias="offset", ge=0)] = 0,
    _limit: Annotated[int, Query(alias="limit", ge=-1)] = -1,
) -> None:
    """What a client may ask by."""


Asked = Depends(asked)


@router.get("/associations/subjects/" + SUBJECT, dependencies=[Asked])
async def of_subject(request: Request, _subject: SubjectName) -> Response:
    return kept(request, [])


@router.get("/associations/resources/{resource}", dependencies=[Asked])
async def of_resource(request: Request, resource: str) -> Response:  # noqa: ARG001  for the description
    return kept(request, [])


@router.get("/associations/resources/{namespace}/{name}", dependencies=[Asked])
async def of_name(request: Request, namespace: str, name: str) -> Response:  # noqa: ARG001  for the description
    return kept(request, [])


@router.delete("/associations/resources/{resource}")
async def delete_associations(_writer: Writer, resource: str) -> Response:
    raise RegistryError(Code.ASSOCIATION_NOT_FOUND, f"No association found for {with_slashes(resource)}")


@router.put("/associations/resources/{resource}")
async def update_associations(_writer: Writer, resource: str) -> Response:
    raise _not_kept(f"associations of {with_slashes(resource)}")


@router.post("/associations")
@router.post("/associations:batchGet", operation_id="get_batch_of_associations")
@router.post("/associations:batchMutate", operation_id="mutate_batch_of_associations")
async def make_associations(_writer: Writer) -> Response:
    raise _not_kept("associations")


def _not_kept(what: str) -> RegistryError:
    return RegistryError(
        Code.OPERATION_NOT_PERMITTED,
        f"No {what} can be kept here: subjects are named after the topic and the record",
    )
