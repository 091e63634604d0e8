"""The catalogue: every event for people, open to all. The protocol's own paths stay free of it."""

import difflib
from dataclasses import dataclass
from typing import Annotated

from fastapi import Form, Query, Request, Response

from schema_registry import queries
from schema_registry.domain.asyncapi import services_of
from schema_registry.domain.comparison import differences
from schema_registry.domain.consuming_code import consuming_code
from schema_registry.domain.contracts import Contract, ContractVersion
from schema_registry.domain.fields import changed_fields, fields_of, pretty
from schema_registry.domain.trying import LENGTH_MAX, Fault, NotJson, faults_of
from schema_registry.pages.known import contract_of, contracts_of, offers_tail, surroundings_of, version_of
from schema_registry.pages.readers import noted, readership
from schema_registry.pages.wording import meaning_of, place_of
from service_kit.pages import redirect, render
from service_kit.text import Message
from service_kit.web import Reading, ServiceRouter

PROGRAMS_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"

router = ServiceRouter()
front = ServiceRouter(tags=["about"])


@front.get(
    "/",
    summary="The catalogue for people, an empty object for programs",
    responses={200: {"content": {PROGRAMS_MEDIA_TYPE: {}, "text/html": {}}}},
)
async def catalogue(
    request: Request, session: Reading, search: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """People get the catalogue; programs get the empty object by which they know a registry."""
    if "text/html" not in request.headers.get("accept", ""):
        return Response("{}", media_type=PROGRAMS_MEDIA_TYPE)
    words = search.strip().lower()
    found = [contract for contract in contracts_of(request) if _matches(contract, words)]
    topics: dict[str, list[Contract]] = {}
    for contract in found:
        topics.setdefault(contract.topic, []).append(contract)
    own = {contract.subject for contract in contracts_of(request)}
    others = [name for name in await queries.subjects(session, "", queries.Listing()) if name not in own]
    readings = await noted(request)
    return render(
        request,
        "schema_registry/catalogue.html",
        {
            "topics": topics,
            "others": others,
            "heard": {one.subject: readership(one, readings) for one in found},
            "search": search,
            "matching": {one.subject: _matching_fields(one, words) for one in found} if words else {},
            "services": services_of(contracts_of(request)),
            "looks": offers_tail(request),
        },
    )


@router.get("/catalogue/{producer}/{event}")
async def event(request: Request, session: Reading, producer: str, event: str) -> Response:
    contract = contract_of(request, producer, event)
    return await _version_page(request, session, contract, contract.latest)


@router.get("/catalogue/{producer}/{event}/changes")
async def changes(
    request: Request,
    producer: str,
    event: str,
    old: Annotated[int, Query(alias="from")],
    new: Annotated[int, Query(alias="to")],
) -> Response:
    contract = contract_of(request, producer, event)
    before, after = version_of(contract, old), version_of(contract, new)
    lines = difflib.unified_diff(
        pretty(before.schema).splitlines(),
        pretty(after.schema).splitlines(),
        f"{contract.name} v{old}",
        f"{contract.name} v{new}",
        lineterm="",
        n=100,
    )
    return render(
        request,
        "schema_registry/changes.html",
        {
            "contract": contract,
            "version_pairs": [(one.number, f"v{one.number}") for one in contract.versions],
            "old": before,
            "new": after,
            "backward": _judged(before, after),
            "forward": _judged(after, before),
            "fields": changed_fields(before.schema, after.schema),
            "lines": [(line[:1], line) for line in lines if not line.startswith(("@@", "---", "+++"))],
        },
    )


@router.get("/catalogue/{producer}/{event}/{version}")
async def event_version(
    request: Request, session: Reading, producer: str, event: str, version: int
) -> Response:
    contract = contract_of(request, producer, event)
    return await _version_page(request, session, contract, version_of(contract, version))


@router.post("/catalogue/{producer}/{event}/{version}/try")
async def try_payload(
    request: Request,
    session: Reading,
    producer: str,
    event: str,
    version: int,
    payload: Annotated[str, Form(max_length=LENGTH_MAX)] = "",
) -> Response:
    """Say what is wrong with a payload; nothing is kept of it."""
    contract = contract_of(request, producer, event)
    found = version_of(contract, version)
    try:
        tried = Tried(payload, faults_of(found.schema, payload))
    except NotJson as error:
        tried = Tried(payload, [], not_json=error.reason)
    return await _version_page(request, session, contract, found, tried)


@router.get("/catalogue/{producer}/{event}/{version}/try")
async def try_again(request: Request, producer: str, event: str, version: int) -> Response:
    """The address of an answer, opened anew: nothing of the payload was kept, so the form is empty again."""
    contract = contract_of(request, producer, event)
    found = version_of(contract, version)
    return redirect(request, f"/catalogue/{contract.producer}/{contract.folder}/{found.number}#try")


@dataclass(frozen=True, slots=True)
class Tried:
    """A payload somebody tried, and what came of it."""

    text: str
    faults: list[Fault]
    not_json: str | None = None


async def _version_page(
    request: Request,
    session: Reading,
    contract: Contract,
    version: ContractVersion,
    tried: Tried | None = None,
) -> Response:
    history = await queries.history(session, contract.subject)
    surroundings = surroundings_of(request)
    examples = [pretty(example) for example in version.schema.get("examples", [])]
    return render(
        request,
        "schema_registry/event.html",
        {
            "contract": contract,
            "version": version,
            "history": history,
            "registered": next(one for one in history if one.version == version.number),
            "fields": fields_of(version.schema),
            "examples": examples,
            "text": pretty(version.schema),
            "code": consuming_code(
                contract,
                version,
                kafka_servers=surroundings.kafka_servers,
                registry_url=surroundings.registry_url,
                framed=surroundings.framed(contract.topic),
            ),
            "framed": surroundings.framed(contract.topic),
            "looks": offers_tail(request),
            "readership": readership(contract, await noted(request)),
            "tried": tried,
            "payload": tried.text if tried is not None else next(iter(examples), ""),
        },
    )


def _judged(data: ContractVersion, reader: ContractVersion) -> list[tuple[bool, str, str, Message]]:
    """Each difference that decides: whether it is compatible, its kind, its place and what it means."""
    return [
        (d.compatible, d.kind.value, place_of(d.path), meaning_of(d.kind))
        for d in differences(data.document, reader.document)
        if not d.kind.endswith(("TITLE_CHANGED", "DESCRIPTION_CHANGED", "DEFAULT_CHANGED"))
    ]


def _matches(contract: Contract, words: str) -> bool:
    """Whether the words stand in a name, a summary or a field of any version."""
    names = (contract.name, contract.folder, contract.topic, contract.summary)
    return any(words in name.lower() for name in names) or bool(_matching_fields(contract, words))


def _matching_fields(contract: Contract, words: str) -> dict[str, int]:
    """Fields whose names have the words, each with the latest version that has it."""
    return {
        field: version.number
        for version in contract.versions
        for field in version.schema.get("properties", {})
        if words in field.lower()
    }
