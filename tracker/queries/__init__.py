"""Every read of the tracker."""

from tracker.queries.distributions import (
    Plan,
    Share,
    distribution,
    distributions,
    load,
    plan,
    running_distribution,
    shares,
)
from tracker.queries.lists import saved_filters, task_import
from tracker.queries.tasks import (
    TaskLine,
    TaskRow,
    done,
    done_today,
    eligible_count,
    every_task,
    history,
    lines,
    open_with_key,
    task,
    tasks,
    workers,
)

__all__ = [
    "Plan",
    "Share",
    "TaskLine",
    "TaskRow",
    "distribution",
    "distributions",
    "done",
    "done_today",
    "eligible_count",
    "every_task",
    "history",
    "lines",
    "load",
    "open_with_key",
    "plan",
    "running_distribution",
    "saved_filters",
    "shares",
    "task",
    "task_import",
    "tasks",
    "workers",
]
