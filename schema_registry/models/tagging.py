"""Tags inside of schemas, of every type: read from what is registered, changed in what is sent."""

from collections.abc import Sequence
from dataclasses import replace

from schema_registry.domain.avro_documents import avro_contents
from schema_registry.domain.documents import Reference, one_form, parsed
from schema_registry.domain.errors import invalid_schema
from schema_registry.domain.registered import AVRO_TYPE, PROTOBUF_TYPE, Candidate
from schema_registry.domain.tags import (
    EVERY_TAG,
    Retagging,
    Tagged,
    avro_tags,
    chosen,
    json_tags,
    retag_avro,
    retag_json,
)
from schema_registry.models.lookups import protobuf_document, refuse_other_types, texts_of, versions_of
from service_kit.database import ReadSession


async def tags_of(
    session: ReadSession, schema_type: str, text: str, references: Sequence[Reference], wanted: Sequence[str]
) -> list[Tagged]:
    """The parts of a registered schema that carry one of these tags; `*` stands for any."""
    if schema_type == PROTOBUF_TYPE:
        document = await protobuf_document(text, await texts_of(session, references))
        return chosen(document.tags(), wanted)
    if schema_type == AVRO_TYPE:
        return chosen(avro_tags(avro_contents(text)), wanted)
    return chosen(json_tags(parsed(text)), wanted)


async def retagged(session: ReadSession, subject: str, candidate: Candidate) -> Candidate:
    """What was sent, with its tags changed as was asked beside it.

    Tags that are kept from the version before stay on the parts that are still there. Raises `RegistryError`
    for a part that is not there, and for a type whose tags are changed in its text alone.
    """
    change = candidate.retagging
    if change == Retagging():
        return candidate
    refuse_other_types(candidate.schema_type)
    kept: list[Tagged] = []
    if change.propagate:
        earlier = await versions_of(session, subject)
        if earlier and earlier[-1].schema_type == candidate.schema_type:
            before = earlier[-1]
            kept = await tags_of(session, before.schema_type, before.text, before.references, EVERY_TAG)
    if not (kept or change.add or change.remove):
        return candidate
    if candidate.schema_type == PROTOBUF_TYPE:
        raise invalid_schema("the tags of a Protobuf schema are options in its text and are changed there")
    if candidate.schema_type == AVRO_TYPE:
        contents = avro_contents(candidate.text)
        retag_avro(contents, change, kept)
    else:
        contents = parsed(candidate.text)
        retag_json(contents, change, kept)
    return replace(candidate, text=one_form(contents, normalize=False), retagging=Retagging())
