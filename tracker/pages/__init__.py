"""HTML pages of the tracker: my tasks, one task, lists of tasks, distributions, imports."""

from tracker.pages import distributing, importing, lists, tasks
from tracker.pages.access import RUNNERS

__all__ = ["ROUTERS", "RUNNERS"]

ROUTERS = (tasks.router, lists.router, distributing.router, importing.router)
"""Not one inside the other: the framework looks through all routes once more at each level."""
