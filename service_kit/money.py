"""Money: integer cents inside, a localised figure outside."""

from decimal import Decimal
from functools import lru_cache

from babel import Locale
from babel.numbers import format_currency, format_decimal

from service_kit.text import locale_in_use

CURRENCY = "USD"
CENTS_PER_DOLLAR = 100


def dollars(amount: int) -> int:
    """Whole dollars as cents, for prices that are written in dollars (R7)."""
    return amount * CENTS_PER_DOLLAR


def format_cents(cents: int, *, locale: str | None = None, signed: bool = False, short: bool = False) -> str:
    """Write an amount the way the reader's language does.

    `signed` shows a plus as well; `short` leaves the cents out where there are none, as on an axis.
    """
    text = _written(abs(cents), locale or locale_in_use(), whole=short and cents % CENTS_PER_DOLLAR == 0)
    # A true minus sign stands at the width of a plus, so figures stay in line below each other.
    sign = "\N{MINUS SIGN}" if cents < 0 else "+" if signed and cents > 0 else ""
    return sign + text


# Prices are few and every list shows them: writing one takes longer than the rest of its row.
@lru_cache(maxsize=8192)
def _written(cents: int, locale: str, *, whole: bool) -> str:
    language = Locale.parse(locale)
    pattern = language.currency_formats["standard"].pattern
    return str(
        format_currency(
            Decimal(cents) / CENTS_PER_DOLLAR,
            CURRENCY,
            pattern.replace("0.00", "0") if whole else pattern,
            locale=language,
            currency_digits=not whole,
        )
    )


def format_number(number: float, *, locale: str | None = None) -> str:
    return str(format_decimal(number, locale=locale or locale_in_use()))
