"""Trying a payload against a version: what is wrong, where, in words for people."""

import json
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

FAULTS_MAX = 50
LENGTH_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Fault:
    path: str
    """`/items/0/price`; empty for the whole."""
    message: str


class NotJson(Exception):
    """The text is not JSON; the message says where it ends to be."""


def faults_of(schema: dict[str, Any], text: str) -> list[Fault]:
    """Everything that breaks the contract, the first fifty; nothing when the payload is fine."""
    try:
        payload = json.loads(text)
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except ValueError as error:
        raise NotJson(str(error)) from None
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    found: list[Fault] = []
    try:
        for fault in validator.iter_errors(payload):
            found.append(Fault("".join(f"/{part}" for part in fault.instance_path), fault.message))
            if len(found) == FAULTS_MAX:
                break
    except ValueError as error:
        raise NotJson(str(error)) from None
    return found
