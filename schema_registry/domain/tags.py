"""Tags inside of schemas: which parts carry which, and the same schema with other ones.

Parts are named as Confluent's registry names them. JSON Schema: the way to a part, as in
`object.address.object.city`, with `array`, `not`, `allof.0` and their like where the way leads through them.
AVRO: the whole name of the record, then the field.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from schema_registry.domain.errors import invalid_schema

TAGS = "confluent:tags"
EVERY_TAG = "*"
PARTS_MAX = 20_000
"""Parts of one schema; `$ref` can make a short text name more of them than anybody could read."""

PATH_LENGTH_MAX = 2000
"""No client can name a part further inside, and deep ones with long names would fill the memory."""

COMBINING = ("allOf", "anyOf", "oneOf")
CONDITION = ("if", "then", "else")
RECORD_TYPES = ("record", "error")


class PartKind(StrEnum):
    RECORD = "sr_record"
    FIELD = "sr_field"


@dataclass(frozen=True, slots=True)
class Tagged:
    """One part of a schema and tags of it."""

    path: str
    kind: PartKind
    tags: tuple[str, ...]

    @property
    def place(self) -> tuple[str, PartKind]:
        """Which part it is; a dot before the name means nothing, as with Confluent's."""
        return self.path.removeprefix("."), self.kind

    def as_json(self) -> dict[str, Any]:
        return {
            "schemaEntity": {"entityPath": self.path, "entityType": self.kind.value},
            "tags": list(self.tags),
        }


@dataclass(frozen=True, slots=True)
class Retagging:
    """What becomes of the tags of a schema that is sent."""

    add: tuple[Tagged, ...] = ()
    remove: tuple[Tagged, ...] = ()
    propagate: bool = False
    """Whether parts keep the tags that they have in the version before."""


@dataclass(frozen=True, slots=True)
class _Part:
    path: str
    kind: PartKind
    schema: Any
    """The object that carries the tags of the part; anything else carries none."""

    @property
    def tags(self) -> tuple[str, ...]:
        found = self.schema.get(TAGS) if isinstance(self.schema, dict) else None
        return tuple(str(tag) for tag in found) if isinstance(found, list) else ()


def json_tags(contents: Any) -> list[Tagged]:
    """The tagged parts of a JSON Schema. Raises `RegistryError` when it has too many parts."""
    return _tagged(_json_parts(contents))


def avro_tags(contents: Any) -> list[Tagged]:
    """The tagged parts of an Avro schema."""
    return _tagged(_avro_parts(contents))


def chosen(found: Iterable[Tagged], wanted: Sequence[str]) -> list[Tagged]:
    """The parts that carry one of the wanted tags; `*` stands for any."""
    return [one for one in found if EVERY_TAG in wanted or not set(wanted).isdisjoint(one.tags)]


def retag_json(contents: Any, retagging: Retagging, kept: Iterable[Tagged] = ()) -> None:
    """Change the tags in place; those that are `kept` only where their part is.

    Raises `RegistryError` for a part that is not there.
    """
    _retag(_json_parts(contents), retagging, kept)


def retag_avro(contents: Any, retagging: Retagging, kept: Iterable[Tagged] = ()) -> None:
    """The same for an Avro schema."""
    _retag(_avro_parts(contents), retagging, kept)


def _tagged(parts: Iterable[_Part]) -> list[Tagged]:
    return [Tagged(part.path, part.kind, part.tags) for part in parts if part.tags]


def _retag(parts: Iterable[_Part], retagging: Retagging, kept: Iterable[Tagged]) -> None:
    known = {(part.path, part.kind): part for part in parts if isinstance(part.schema, dict)}
    for one in (*retagging.add, *retagging.remove):
        if one.place not in known:
            raise invalid_schema(f"it has no {one.kind.removeprefix('sr_')} {one.path!r} to tag")
    for one in (*(one for one in kept if one.place in known), *retagging.add):
        _set(known[one.place].schema, dict.fromkeys((*known[one.place].tags, *one.tags)))
    for one in retagging.remove:
        _set(known[one.place].schema, [tag for tag in known[one.place].tags if tag not in one.tags])


def _set(schema: dict[str, Any], tags: Iterable[str]) -> None:
    schema.pop(TAGS, None)
    if found := list(tags):
        schema[TAGS] = found


def _json_parts(contents: Any) -> Iterator[_Part]:
    """Every record and field; a part that several ways lead to comes once for each."""
    waiting: list[tuple[Any, str, tuple[str, ...]]] = [(contents, "", ())]
    count = 0
    while waiting:
        schema, scope, followed = waiting.pop()
        if not isinstance(schema, dict) or len(scope) > PATH_LENGTH_MAX:
            continue
        inner: list[tuple[Any, str, tuple[str, ...]]] = []
        if _is_object(schema):
            yield _Part(f"{scope}object", PartKind.RECORD, schema)
            for name, field in _properties(schema).items():
                yield _Part(f"{scope}object.{name}", PartKind.FIELD, field)
                inner.append((field, f"{scope}object.{name}.", followed))
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in followed:
            inner.append((_at(contents, reference), scope, (*followed, reference)))
        inner += [(below, f"{scope}{way}.", followed) for way, below in _below(schema)]
        count += len(inner)
        if count > PARTS_MAX:
            raise invalid_schema("it has too many parts to look for their tags")
        waiting.extend(reversed(inner))


def _is_object(schema: Mapping[str, Any]) -> bool:
    return bool(_properties(schema)) or schema.get("type") == "object"


def _properties(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A reference may lead to what is no schema, as into an example."""
    found = schema.get("properties")
    return found if isinstance(found, dict) else {}


def _below(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What a schema holds that is no property: the way to it, and itself."""
    for keyword in ("items", "prefixItems"):
        held = schema.get(keyword)
        if isinstance(held, list):
            yield from ((f"array.{place}", one) for place, one in enumerate(held))
        elif held is not None:
            yield "array", held
    for keyword in COMBINING:
        held = schema.get(keyword)
        if isinstance(held, list):
            yield from ((f"{keyword.lower()}.{place}", one) for place, one in enumerate(held))
    if "not" in schema:
        yield "not", schema["not"]
    yield from ((f"conditional.{keyword}", schema[keyword]) for keyword in CONDITION if keyword in schema)


def _at(contents: Any, reference: str) -> Any:
    """What a reference into the same text points at; others lead to schemas with tags of their own."""
    if not reference.startswith("#"):
        return None
    found = contents
    for step in unquote(reference.removeprefix("#")).split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            found = found.get(name)
        elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(found):
            found = found[int(name[:9])]
        else:
            return None
    return found


def _avro_parts(contents: Any) -> Iterator[_Part]:
    waiting: list[tuple[Any, str]] = [(contents, "")]
    while waiting:
        schema, namespace = waiting.pop()
        if isinstance(schema, list):
            waiting.extend((one, namespace) for one in reversed(schema))
        elif isinstance(schema, dict):
            if schema.get("type") not in RECORD_TYPES:
                waiting.extend(
                    (schema[key], namespace) for key in ("values", "items", "type") if key in schema
                )
                continue
            name = str(schema.get("name", ""))
            if "." not in name and (space := schema.get("namespace", namespace)):
                name = f"{space}.{name}"
            yield _Part(name, PartKind.RECORD, schema)
            fields = [field for field in schema.get("fields", []) if isinstance(field, dict)]
            yield from (_Part(f"{name}.{field.get('name')}", PartKind.FIELD, field) for field in fields)
            inside = name.rpartition(".")[0]
            waiting.extend((field.get("type"), inside) for field in reversed(fields))
