"""The scale of a chart: round numbers that its bars can be read against."""

from collections.abc import Sequence

STEPS = (1, 2, 5)
"""The digits people expect on an axis, times a power of ten."""


def ticks(values: Sequence[float], *, at_most: int = 6) -> list[int]:
    """Round whole numbers from below the lowest of the values and 0 to above the highest, evenly spaced.

    >>> ticks([-12, 88])
    [-50, 0, 50, 100]
    """
    low, high = min([*values, 0]), max([*values, 0])
    power = 1
    while True:
        for digit in STEPS:
            step = digit * power
            first, last = int(low // step), -int(-high // step)
            if last - first < at_most:
                return [step * number for number in range(first, max(last, first + 1) + 1)]
        power *= 10
