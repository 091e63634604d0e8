"""How commands write money."""

import pytest

from local_stack.money import dollars


@pytest.mark.parametrize(
    ("cents", "signed", "written"),
    [
        (0, False, "$0.00"),
        (0, True, "$0.00"),
        (5, True, "+$0.05"),
        (123456789, False, "$1,234,567.89"),
        (-1400, True, "-$14.00"),
        (-1400, False, "-$14.00"),
    ],
)
def test_an_amount_reads_as_on_the_english_pages(cents: int, *, signed: bool, written: str) -> None:
    assert dollars(cents, signed=signed) == written
