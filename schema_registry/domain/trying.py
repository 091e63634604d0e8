"""Trying a payload against a version: what is wrong, where, in words for people."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

from schema_registry.domain.fields import limit_of
from service_kit.text import Message, messages
from service_kit.text import message as _

FAULTS_MAX = 50
LENGTH_MAX = 100_000
SHOWN_MAX = 60
"""Characters of a wrong value that are shown."""


@dataclass(frozen=True, slots=True)
class Fault:
    path: str
    """`/items/0/price`; empty for the whole."""
    message: str
    """A `Message` for keywords that contracts use; for rare ones the validator's own words, in English."""


class NotJson(Exception):
    """The text is not JSON; the reason says where it ends to be."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


_NOT_JSON: Mapping[str, Message] = {
    "Expecting value": _("a value is missing"),
    "Expecting ',' delimiter": _("a comma or the end is missing"),
    "Expecting ':' delimiter": _("a colon is missing"),
    "Expecting property name enclosed in double quotes": _("a name in double quotes is missing"),
    "Illegal trailing comma before end of object": _("a comma stands before the end"),
    "Illegal trailing comma before end of array": _("a comma stands before the end"),
    "Extra data": _("something follows after the end"),
    "Unterminated string starting at": _("a text has no end"),
    "Invalid control character at": _("a line break or another control character stands in a text"),
    "Invalid \\escape": _("a backslash is followed by something that it cannot escape"),
    "Invalid \\uXXXX escape": _("four hexadecimal digits are missing"),
}


def faults_of(schema: dict[str, Any], text: str) -> list[Fault]:
    """Everything that breaks the contract, the first fifty; nothing when the payload is fine.

    Raises `NotJson`.
    """
    try:
        payload = json.loads(text)
    except RecursionError:
        raise NotJson(_("nested too deeply")) from None
    except json.JSONDecodeError as error:
        reason = _NOT_JSON.get(error.msg, error.msg)
        place = _(
            "line {line}, column {column}: {reason}", line=error.lineno, column=error.colno, reason=reason
        )
        raise NotJson(place) from None
    except ValueError as error:
        raise NotJson(str(error)) from None
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    found: list[Fault] = []
    try:
        for fault in validator.iter_errors(payload):
            found.append(Fault("".join(f"/{part}" for part in fault.instance_path), _words(fault)))
            if len(found) == FAULTS_MAX:
                break
    except ValueError as error:
        raise NotJson(str(error)) from None
    return found


def _words(fault: jsonschema_rs.ValidationError) -> str:
    keyword, told = fault.kind.name, fault.kind.as_dict()
    if keyword == "required":
        return _("{name} is missing", name=told["property"])
    if keyword in {"additionalProperties", "unevaluatedProperties"}:
        return _("not expected: {names}", names=", ".join(told["unexpected"]))
    if keyword == "falseSchema":
        return _("nothing may stand here")
    rule = _RULES[keyword](told) if keyword in _RULES else _limit(keyword, told)
    if rule is None:
        return fault.message
    return _("must be {rule}, and is {value}", rule=rule, value=_shown(fault.instance))


def _limit(keyword: str, told: Mapping[str, Any]) -> Message | None:
    """The words of a field's limits; None where there are none for the keyword."""
    return limit_of(keyword, next(iter(told.values()), None))


_RULES: Mapping[str, Callable[[Mapping[str, Any]], Message]] = {
    "type": lambda told: _("of the type {names}", names=", ".join(told["types"])),
    "format": lambda told: _("of the format {name}", name=told["format"]),
    "minItems": lambda told: messages(
        "a list of at least {n} item", "a list of at least {n} items", told["limit"]
    ),
    "maxItems": lambda told: messages(
        "a list of at most {n} item", "a list of at most {n} items", told["limit"]
    ),
    "uniqueItems": lambda _told: _("a list without repetitions"),
    "anyOf": lambda _told: _("one of several alternatives"),
    "oneOf": lambda _told: _("exactly one of several alternatives"),
}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 1] + "…"
