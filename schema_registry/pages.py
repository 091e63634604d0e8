"""The catalogue: every event for people, open to all. The protocol's own paths stay free of it."""

import difflib
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from schema_registry import queries
from schema_registry.domain.comparison import differences
from schema_registry.domain.contracts import Contract, ContractVersion
from schema_registry.domain.fields import changed_fields, fields_of, pretty
from service_kit.errors import NotFound
from service_kit.identity import visitor
from service_kit.pages import render
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter

# Everybody may read. Whoever is signed in finds the way to the other services on top.
router = ServiceRouter(include_in_schema=False, dependencies=[Depends(visitor)])


@router.get("/")
async def catalogue(
    request: Request, session: Reading, search: Annotated[str, Query(max_length=100)] = ""
) -> Response:
    """People get the catalogue; programs get the empty object by which they know a registry."""
    if "text/html" not in request.headers.get("accept", ""):
        return Response("{}", media_type="application/vnd.schemaregistry.v1+json")
    found = [contract for contract in _contracts(request) if _matches(contract, search.strip().lower())]
    topics: dict[str, list[Contract]] = {}
    for contract in found:
        topics.setdefault(contract.topic, []).append(contract)
    own = {contract.subject for contract in _contracts(request)}
    others = [name for name in await queries.subjects(session, "", queries.Listing()) if name not in own]
    return render(
        request,
        "schema_registry/catalogue.html",
        {"topics": topics, "others": others, "search": search},
    )


@router.get("/catalogue/{producer}/{event}")
async def event(request: Request, session: Reading, producer: str, event: str) -> Response:
    contract = _contract(request, producer, event)
    return await _version_page(request, session, contract, contract.latest)


@router.get("/catalogue/{producer}/{event}/changes")
async def changes(
    request: Request,
    producer: str,
    event: str,
    old: Annotated[int, Query(alias="from")],
    new: Annotated[int, Query(alias="to")],
) -> Response:
    contract = _contract(request, producer, event)
    before, after = _version(contract, old), _version(contract, new)
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
            "backward": _judged(before, after, "new", "old"),
            "forward": _judged(after, before, "old", "new"),
            "fields": changed_fields(before.schema, after.schema),
            "lines": [(line[:1], line) for line in lines if not line.startswith(("@@", "---", "+++"))],
        },
    )


@router.get("/catalogue/{producer}/{event}/{version}")
async def event_version(
    request: Request, session: Reading, producer: str, event: str, version: int
) -> Response:
    contract = _contract(request, producer, event)
    return await _version_page(request, session, contract, _version(contract, version))


async def _version_page(
    request: Request, session: Reading, contract: Contract, version: ContractVersion
) -> Response:
    registered = await queries.version(session, contract.subject, version.number, deleted=True)
    return render(
        request,
        "schema_registry/event.html",
        {
            "contract": contract,
            "version": version,
            "registered": registered,
            "fields": fields_of(version.schema),
            "examples": [pretty(example) for example in version.schema.get("examples", [])],
            "text": pretty(version.schema),
        },
    )


def _judged(
    original: ContractVersion, update: ContractVersion, update_name: str, original_name: str
) -> list[tuple[bool, str, str]]:
    """Each difference that decides: whether it is compatible, its kind, its sentence."""
    return [
        (d.compatible, d.kind.value, d.sentence(update_name, original_name))
        for d in differences(original.document, update.document)
        if not d.kind.endswith(("TITLE_CHANGED", "DESCRIPTION_CHANGED", "DEFAULT_CHANGED"))
    ]


def _contracts(request: Request) -> Sequence[Contract]:
    contracts: Sequence[Contract] = request.app.state.contracts
    return contracts


def _contract(request: Request, producer: str, event: str) -> Contract:
    for contract in _contracts(request):
        if (contract.producer, contract.folder) == (producer, event):
            return contract
    raise NotFound(_("There is no such event."))


def _version(contract: Contract, number: int) -> ContractVersion:
    found = contract.version(number)
    if found is None:
        raise NotFound(_("This event has no such version."))
    return found


def _matches(contract: Contract, words: str) -> bool:
    """Whether the words stand in a name, a summary or a field of any version."""
    names = [contract.name, contract.folder, contract.topic, contract.summary]
    names += [field for version in contract.versions for field in version.schema.get("properties", {})]
    return any(words in name.lower() for name in names)
