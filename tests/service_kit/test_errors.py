"""Refusals: small classes with stable codes, and one family."""

from collections.abc import Iterator

import pytest

from service_kit import errors
from service_kit.errors import Conflict, FieldError, Invalid, ServiceError, cleaned
from service_kit.text import Message, in_locale, shown
from service_kit.text import message as _


def family(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from family(child)


def test_codes_are_stable_names() -> None:
    """Every refusal of the kit has a code of its own, a status of failure and a translatable title."""
    found = list(family(ServiceError))
    codes = [kind.code for kind in found]
    assert len(set(codes)) == len(codes)
    for kind in found:
        assert kind.code.replace("_", "").isalpha()
        assert kind.code.islower()
        assert 400 <= kind.status <= 599
        assert isinstance(kind.title, Message)


def test_several_fields_are_refused_together() -> None:
    """The kind and the words are those of the first; the mistakes are those of all; what fits is answered."""

    class PerchInvalid(Invalid):
        code = "perch_invalid"

    def refuse(kind: type[Invalid], field: str) -> None:
        raise kind.of(field, f"no {field}")

    with pytest.raises(PerchInvalid) as refusal:
        cleaned(
            seed=lambda: "millet",
            perch=lambda: refuse(PerchInvalid, "perch"),
            water=lambda: refuse(Invalid, "water"),
        )
    assert str(refusal.value) == "no perch"
    assert refusal.value.by_field == {"perch": "no perch", "water": "no water"}
    assert cleaned(seed=lambda: "millet", perch=lambda: 2) == {"seed": "millet", "perch": 2}


def test_a_service_declares_its_own() -> None:
    """A subclass needs a code; status and title come from the family."""

    class PerchTaken(Conflict):
        code = "perch_taken"

    refusal = PerchTaken(_("Use a new key for a new request."), errors=[FieldError("perch", "taken")])
    assert (refusal.status, refusal.code, str(refusal)) == (
        409,
        "perch_taken",
        "Use a new key for a new request.",
    )
    assert refusal.errors == (FieldError("perch", "taken"),)
    with in_locale("ru"):
        assert shown(refusal.detail) == "Для нового запроса возьмите новый ключ."
        assert str(refusal) == "Use a new key for a new request.", "logs stay in one language"
