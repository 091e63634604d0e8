"""How tests are shared out between the processes that run them side by side."""

from xdist.scheduler import LoadScopeScheduling

JOURNEYS = "tests/journeys/"


class ByWhatTheyStart(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """A file stays in one process, as its tests share what they start; all journeys do, on one exchange."""

    def _split_scope(self, nodeid: str) -> str:
        return JOURNEYS if nodeid.startswith(JOURNEYS) else nodeid.split("::", 1)[0]
