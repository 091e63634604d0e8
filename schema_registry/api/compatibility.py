"""Would this schema be accepted? Asked before it is registered."""

from typing import Annotated, Any

from fastapi import Query, Request, Response

from schema_registry import queries
from schema_registry.api.answers import (
    CandidatePayload,
    Sent,
    SubjectName,
    VersionName,
    described,
    flag,
    kept,
)
from schema_registry.api.names import SUBJECT
from schema_registry.domain.registered import version_number
from service_kit.web import Reading, ServiceRouter

router = ServiceRouter(tags=["compatibility"])

Flag = Annotated[str | None, Query()]


@router.post(
    "/compatibility/subjects/" + SUBJECT + "/versions/{version}", openapi_extra=described(CandidatePayload)
)
async def with_version(
    request: Request,
    session: Reading,
    subject: SubjectName,
    version: VersionName,
    sent: Sent,
    normalize: Flag = None,
    verbose: Flag = None,
) -> Response:
    number = version_number(version)
    reasons = await queries.compatibility(
        session, subject, sent.within(subject), number, normalize=flag(normalize)
    )
    return kept(request, _verdict(reasons, verbose=flag(verbose)))


@router.post("/compatibility/subjects/" + SUBJECT + "/versions", openapi_extra=described(CandidatePayload))
async def with_all_versions(
    request: Request,
    session: Reading,
    subject: SubjectName,
    sent: Sent,
    normalize: Flag = None,
    verbose: Flag = None,
) -> Response:
    reasons = await queries.compatibility(
        session, subject, sent.within(subject), "all", normalize=flag(normalize)
    )
    return kept(request, _verdict(reasons, verbose=flag(verbose)))


def _verdict(reasons: list[str], *, verbose: bool) -> dict[str, Any]:
    verdict: dict[str, Any] = {"is_compatible": not reasons}
    return verdict | {"messages": reasons} if verbose else verdict
