"""Money as people read it."""

import pytest

from service_kit.money import dollars, format_cents, format_number
from service_kit.text import in_locale


@pytest.mark.parametrize(
    ("cents", "signed", "english", "russian"),
    [
        (0, False, "$0.00", "0,00 $"),
        (1234567, False, "$12,345.67", "12 345,67 $"),
        (-1800, False, "\N{MINUS SIGN}$18.00", "\N{MINUS SIGN}18,00 $"),
        (2400, True, "+$24.00", "+24,00 $"),
        (0, True, "$0.00", "0,00 $"),
        (1, False, "$0.01", "0,01 $"),
        (10**17 + 1, False, "$1,000,000,000,000,000.01", "1 000 000 000 000 000,01 $"),
    ],
)
def test_amounts(cents: int, signed: bool, english: str, russian: str) -> None:  # noqa: FBT001  from the table
    """Exact to the cent, with a true minus, in the reader's language."""
    assert format_cents(cents, signed=signed) == english
    with in_locale("ru"):
        assert format_cents(cents, signed=signed).replace("\N{NO-BREAK SPACE}", " ") == russian


def test_dollars_are_cents() -> None:
    """Prices are whole dollars, kept as cents."""
    assert dollars(20) == 2000


def test_numbers() -> None:
    """Figures are grouped the way the reader does it."""
    assert format_number(12345) == "12,345"
    with in_locale("ru"):
        assert format_number(12345).replace("\N{NO-BREAK SPACE}", " ") == "12 345"


def test_an_axis_leaves_out_cents_that_are_not_there() -> None:
    """A round amount is short where little room is; one with cents keeps them."""
    assert (format_cents(150_000, short=True), format_cents(-150_050, short=True)) == (
        "$1,500",
        "\N{MINUS SIGN}$1,500.50",
    )
    with in_locale("ru"):
        assert format_cents(150_000, short=True).replace("\N{NO-BREAK SPACE}", " ") == "1 500 $"
