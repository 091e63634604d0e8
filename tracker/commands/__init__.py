"""Every change of the tracker's state, one function per use case. The caller's edge commits."""

from tracker.commands.accounts import record_accounts
from tracker.commands.distributing import (
    DISTRIBUTIONS_CHANNEL,
    cut_distribution,
    deal_distribution_part,
    finish_distribution,
    request_distribution,
)
from tracker.commands.filters import forget_filter, save_filter
from tracker.commands.importing import (
    IMPORTS_CHANNEL,
    create_imported_tasks,
    fail_import,
    note_progress,
    request_import,
)
from tracker.commands.prices import record_prices
from tracker.commands.tasks import TextChange, complete_task, create_task, create_tasks, update_task

__all__ = [
    "DISTRIBUTIONS_CHANNEL",
    "IMPORTS_CHANNEL",
    "TextChange",
    "complete_task",
    "create_imported_tasks",
    "create_task",
    "create_tasks",
    "cut_distribution",
    "deal_distribution_part",
    "fail_import",
    "finish_distribution",
    "forget_filter",
    "note_progress",
    "record_accounts",
    "record_prices",
    "request_distribution",
    "request_import",
    "save_filter",
    "update_task",
]
