"""Money in a terminal: local_stack knows nothing of the services' code, and speaks English alone."""


def dollars(cents: int, *, signed: bool = False) -> str:
    sign = "-" if cents < 0 else "+" if signed and cents > 0 else ""
    return f"{sign}${abs(cents) / 100:,.2f}"
