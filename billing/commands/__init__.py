"""Every state change of billing, one function per use case."""

from billing.commands.accounts import choose_language, open_account
from billing.commands.closing import LETTERS_CHANNEL, close_due_days, open_day, settle_accounts
from billing.commands.letters import send_letters
from billing.commands.posting import post_task_facts
from billing.commands.results import say_closed_days
from billing.commands.sealing import seal_entries

__all__ = [
    "LETTERS_CHANNEL",
    "choose_language",
    "close_due_days",
    "open_account",
    "open_day",
    "post_task_facts",
    "say_closed_days",
    "seal_entries",
    "send_letters",
    "settle_accounts",
]
