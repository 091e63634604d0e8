"""HTML pages of the tracker: my tasks, one task, lists of tasks, distributions, imports."""

from service_kit.web import ServiceRouter
from tracker.pages import distributing, importing, lists, tasks
from tracker.pages.access import RUNNERS

__all__ = ["RUNNERS", "router"]

router = ServiceRouter(include_in_schema=False)
for part in (tasks, lists, distributing, importing):
    router.include_router(part.router)
