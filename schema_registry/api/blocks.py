"""Objects of the protocol that are kept and given back as they were sent: metadata, rules, settings."""

import json
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter

from schema_registry.domain.tags import PATH_LENGTH_MAX, PartKind, Tagged

WHOLE_NUMBER_MAX = 2**63
"""Numbers from here on come back from PostgreSQL as whole ones that few clients can read."""


def storable(block: dict[str, Any]) -> dict[str, Any]:
    """Refuse what PostgreSQL's JSON cannot hold or readers cannot read. Raises `ValueError`.

    That is zero characters, nesting without end and numbers beyond 64 bits.
    """
    try:
        text = orjson.dumps(block)
    except TypeError:
        raise ValueError("it is nested too deeply") from None
    if b"\\u0000" in text:
        raise ValueError("it has a zero character")
    json.loads(text, parse_float=_held)
    return block


class Rule(BaseModel):
    """One rule of a rule set; clients run it, the registry only keeps it. Further fields stay as well."""

    name: str | None = None
    kind: str | None = None
    mode: str | None = None
    type: str | None = None
    tags: list[str] | None = None
    params: dict[str, str] | None = None
    disabled: bool | None = None


class Metadata(BaseModel):
    tags: dict[str, list[str]] | None = None
    properties: dict[str, str] | None = None
    sensitive: list[str] | None = None


class RuleSet(BaseModel):
    migration_rules: list[Rule] | None = Field(default=None, alias="migrationRules")
    domain_rules: list[Rule] | None = Field(default=None, alias="domainRules")
    encoding_rules: list[Rule] | None = Field(default=None, alias="encodingRules")
    enable_at: str | None = Field(default=None, alias="enableAt")


def _shaped(kind: type[BaseModel]) -> AfterValidator:
    """Checks the shape and keeps the object as it came: what newer clients add is not lost."""
    adapter: TypeAdapter[BaseModel] = TypeAdapter(kind)

    def check(block: dict[str, Any]) -> dict[str, Any]:
        adapter.validate_python(block)
        return storable(block)

    return AfterValidator(check)


MetadataBlock = Annotated[dict[str, Any], _shaped(Metadata)]
RuleSetBlock = Annotated[dict[str, Any], _shaped(RuleSet)]


class TaggedPart(BaseModel):
    """A part of a schema, as `object.address.object.city`, and whether it is a record or a field."""

    path: str = Field(alias="entityPath", min_length=1, max_length=PATH_LENGTH_MAX)
    kind: PartKind = Field(alias="entityType")


class TagsOfPart(BaseModel):
    part: TaggedPart = Field(alias="schemaEntity")
    tags: list[Annotated[str, Field(min_length=1, max_length=255)]] = Field(max_length=100)

    def tagged(self) -> Tagged:
        return Tagged(self.part.path, self.part.kind, tuple(self.tags))


TagsOfParts = Annotated[list[TagsOfPart], Field(max_length=1000)]


def tagged_parts(found: list[TagsOfPart] | None) -> tuple[Tagged, ...]:
    return tuple(one.tagged() for one in found or ())


def _held(text: str) -> float:
    value = float(text)
    if abs(value) >= WHOLE_NUMBER_MAX:
        raise ValueError("it has a number beyond 64 bits")
    return value
