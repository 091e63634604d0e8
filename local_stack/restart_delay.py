"""How long a crashed process rests before it is started again."""

FIRST_S = 0.2
LONGEST_S = 30.0
STABLE_S = 60.0


class RestartDelay:
    """Doubles with each crash; a minute without one makes it short again."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def after(self, lived_s: float) -> float:
        """The rest after a life of `lived_s` seconds."""
        if lived_s >= STABLE_S:
            self._next_s = FIRST_S
        rest = self._next_s
        self._next_s = min(self._next_s * 2, LONGEST_S)
        return rest
