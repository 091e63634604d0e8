"""The scale beside a chart."""

import pytest

from service_kit.charts import ticks


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], [0, 1]),
        ([0, 0], [0, 1]),
        ([3], [0, 1, 2, 3]),
        ([-7, -3], [-8, -6, -4, -2, 0]),
        ([158_800, -48_300], [-50_000, 0, 50_000, 100_000, 150_000, 200_000]),
    ],
    ids=["nothing", "zeros", "small", "below-zero", "both-sides"],
)
def test_round_numbers_enclose_every_value(values: list[int], expected: list[int]) -> None:
    """What stands on the axis is round, evenly spaced, and holds zero and every bar."""
    assert ticks(values) == expected


def test_an_axis_is_never_crowded() -> None:
    """However large the figures are, a handful of lines is enough."""
    assert all(
        2 <= len(ticks([high, -low])) <= 7 for high in (0, 1, 9, 10**6, 10**12) for low in (0, 7, 10**9)
    )
