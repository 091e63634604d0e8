"""A schema as people read it: one line per field."""

import json
from dataclasses import dataclass
from typing import Any

from schema_registry.domain.shapes import identity


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: str
    """Type and format, as `string (uuid)` or `integer or null`."""
    required: bool
    meaning: str
    limits: tuple[str, ...]
    """What the value must keep to, in words."""
    example: str | None


def fields_of(schema: dict[str, Any]) -> list[Field]:
    """The properties of an object schema, in the order of the file."""
    required = set(schema.get("required", []))
    example: dict[str, Any] = next(iter(schema.get("examples", [])), {})
    return [
        Field(
            name=name,
            kind=_kind(field),
            required=name in required,
            meaning=field.get("description", ""),
            limits=tuple(_limits(field)),
            example=json.dumps(example[name], ensure_ascii=False) if name in example else None,
        )
        for name, field in schema.get("properties", {}).items()
    ]


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def changed_fields(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """What became of each field from one version to another: added, removed or changed."""
    before, after = old.get("properties", {}), new.get("properties", {})
    return {
        name: "added" if name not in before else "removed" if name not in after else "changed"
        for name in {**before, **after}
        if name not in before or name not in after or identity(before[name]) != identity(after[name])
    }


def _kind(field: dict[str, Any]) -> str:
    declared = field.get("type", "anything")
    names = [declared] if isinstance(declared, str) else declared
    text = " or ".join(names)
    return f"{text} ({field['format']})" if "format" in field else text


_LIMITS = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "{} or more characters",
    "maxLength": "at most {} characters",
    "pattern": "of the form {}",
    "const": "always {}",
}


def _limits(field: dict[str, Any]) -> list[str]:
    found = [words.format(field[keyword]) for keyword, words in _LIMITS.items() if keyword in field]
    if "enum" in field:
        found.append("one of " + ", ".join(str(value) for value in field["enum"]))
    return found
