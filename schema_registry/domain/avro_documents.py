"""Avro schemas: parsed and compared by Apache's own library, brought to one form here.

Rules of reading: Avro 1.12 specification, "Schema Resolution".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.name import Names
from avro.schema import Schema, make_avsc_object

from schema_registry.domain.errors import invalid_schema

TEXT_LENGTH_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class AvroDocument:
    """A whole Avro schema in its one form."""

    text: str
    schema: Schema = field(repr=False)

    def resolved(self) -> str:
        """The text with each type it references written out where it is used first."""
        return json.dumps(self.schema.to_json(Names()), ensure_ascii=False, separators=(",", ":"))


def read_avro(
    text: str, *, normalize: bool = False, references: Mapping[str, str] | None = None
) -> AvroDocument:
    """Parse and check a schema; named types of its references are known to it. Raises `RegistryError`."""
    names = Names()
    try:
        for other in (references or {}).values():
            make_avsc_object(avro_contents(other), names)
        schema = make_avsc_object(avro_contents(text), names)
    except RecursionError:
        raise invalid_schema("it is nested too deeply") from None
    except (AvroException, TypeError, AttributeError, KeyError, ValueError) as error:
        raise invalid_schema(str(error) or type(error).__name__) from None
    return AvroDocument(avro_form(text, normalize=normalize), schema)


def avro_form(text: str, *, normalize: bool) -> str:
    """The text by which equal schemas are known as equal: no white space, primitive types by their name."""
    contents = avro_contents(text)
    if isinstance(contents, dict) and set(contents) == {"type"} and isinstance(contents["type"], str):
        contents = contents["type"]
    return json.dumps(contents, ensure_ascii=False, separators=(",", ":"), sort_keys=normalize)


def reading_refusals(*, reader: AvroDocument, writer: AvroDocument, names: tuple[str, str]) -> list[str]:
    """Why data of `writer` cannot be read with `reader`; `names` are those of reader and writer."""
    try:
        # Apache's library has types, all but for this constructor.
        checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
        result = checker.get_compatibility(reader.schema, writer.schema)
    except RecursionError:
        return [_message("COMPARISON_TOO_COMPLEX", "the schemas are too deep to be compared", names)]
    if result.compatibility is SchemaCompatibilityType.compatible:
        return []
    kinds = [str(getattr(kind, "value", kind)).upper() for kind in result.incompatibilities]
    kind = kinds[0] if kinds else "INCOMPATIBLE"
    places = ", ".join(sorted(result.locations)) or "/"
    sentences = "; ".join(sorted(result.messages))
    return [_message(kind, f"at {places}: {sentences}", names)]


def _message(kind: str, sentence: str, names: tuple[str, str]) -> str:
    reader, writer = names
    return (
        f'{{errorType:"{kind}", description:"The {reader} schema cannot read data of the {writer} schema, '
        f'{sentence}"}}'
    )


def avro_contents(text: str) -> Any:
    """The JSON of a schema, or its bare name. Raises `RegistryError` when it is neither."""
    if not text.strip():
        raise invalid_schema("it is empty")
    if len(text) > TEXT_LENGTH_MAX:
        raise invalid_schema(f"it is longer than {TEXT_LENGTH_MAX} characters")
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise invalid_schema("it is nested too deeply") from None
    except ValueError:
        # A bare name is a schema as well: `string` and `"string"` are the same.
        return text.strip()
    return found
