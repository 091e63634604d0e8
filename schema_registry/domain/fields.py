"""A schema as people read it: one line per field."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schema_registry.domain.shapes import identity
from service_kit.text import Message, messages
from service_kit.text import message as _


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kinds: tuple[str, ...]
    """Types, the first with its format: `string (uuid)`; more than one where any of them may stand."""
    required: bool
    meaning: str
    limits: tuple[Message, ...]
    """What the value must keep to, in words."""
    example: str | None


def fields_of(schema: dict[str, Any]) -> list[Field]:
    """The properties of an object schema, in the order of the file."""
    required = set(schema.get("required", []))
    example: dict[str, Any] = next(iter(schema.get("examples", [])), {})
    return [
        Field(
            name=name,
            kinds=_kinds(field),
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


def _kinds(field: dict[str, Any]) -> tuple[str, ...]:
    declared = field.get("type", "anything")
    names = [declared] if isinstance(declared, str) else declared
    if "format" not in field:
        return tuple(names)
    return (f"{names[0]} ({field['format']})", *names[1:])


_LIMITS: Mapping[str, Callable[[Any], Message]] = {
    "minimum": lambda value: _("at least {value}", value=value),
    "maximum": lambda value: _("at most {value}", value=value),
    "exclusiveMinimum": lambda value: _("more than {value}", value=value),
    "exclusiveMaximum": lambda value: _("less than {value}", value=value),
    "multipleOf": lambda value: _("a multiple of {value}", value=value),
    "minLength": lambda n: messages("at least {n} character", "at least {n} characters", n),
    "maxLength": lambda n: messages("at most {n} character", "at most {n} characters", n),
    "pattern": lambda value: _("of the form {value}", value=value),
    "const": lambda value: _("always {value}", value=value),
}


def limit_of(keyword: str, value: Any) -> Message | None:
    """What a keyword demands of a value, in words that follow "must be"; None for keywords without words."""
    if keyword == "enum":
        return _("one of {values}", values=", ".join(str(one) for one in value))
    return _LIMITS[keyword](value) if keyword in _LIMITS else None


def _limits(field: dict[str, Any]) -> list[Message]:
    found = (limit_of(keyword, field[keyword]) for keyword in (*_LIMITS, "enum") if keyword in field)
    return [words for words in found if words is not None]
