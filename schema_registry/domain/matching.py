"""Pairs as many as possible: a matching of maximum size between two sides."""

from collections import defaultdict
from collections.abc import Iterable


def maximum_matching(edges: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Partner on the right for as many on the left as possible, by augmenting paths."""
    neighbours: dict[int, list[int]] = defaultdict(list)
    for left, right in sorted(edges):
        neighbours[left].append(right)
    partner_of_right: dict[int, int] = {}
    for left in neighbours:
        _augment(left, neighbours, partner_of_right)
    return {left: right for right, left in partner_of_right.items()}


def _augment(start: int, neighbours: dict[int, list[int]], partner_of_right: dict[int, int]) -> None:
    """Search breadth first for a free partner, then turn over every pair on the way back."""
    reached_from: dict[int, int] = {}
    queue = [start]
    for left in queue:
        for right in neighbours[left]:
            if right in reached_from:
                continue
            reached_from[right] = left
            if right in partner_of_right:
                queue.append(partner_of_right[right])
                continue
            _turn_over(right, start, reached_from, partner_of_right)
            return


def _turn_over(free: int, start: int, reached_from: dict[int, int], partner_of_right: dict[int, int]) -> None:
    partner_of_left = {left: right for right, left in partner_of_right.items()}
    right: int | None = free
    while right is not None:
        left = reached_from[right]
        previous = None if left == start else partner_of_left[left]
        partner_of_right[right] = left
        right = previous
