"""How fast one account may change things: a bucket that fills steadily and holds a minute's worth."""

import math
from collections import OrderedDict
from uuid import UUID

ACCOUNTS_MAX = 10_000


class Rates:
    """Buckets by account, of those who came last; whoever is forgotten has a full one again."""

    def __init__(self, per_minute: int) -> None:
        self._size = float(per_minute)
        self._per_s = per_minute / 60
        self._buckets: OrderedDict[UUID, tuple[float, float]] = OrderedDict()

    def take(self, account_id: UUID, now_s: float) -> int:
        """Take one out of the bucket: 0 when there was one, else the whole seconds until there is."""
        left, before_s = self._buckets.pop(account_id, (self._size, now_s))
        left = min(self._size, left + (now_s - before_s) * self._per_s)
        allowed = left >= 1
        self._buckets[account_id] = (left - 1 if allowed else left, now_s)
        if len(self._buckets) > ACCOUNTS_MAX:
            self._buckets.popitem(last=False)
        return 0 if allowed else math.ceil((1 - left) / self._per_s)
