"""Links in letters: what each is for, and how long it holds."""

from datetime import timedelta
from typing import Literal

from service_kit.errors import Conflict, Invalid
from service_kit.text import message as _

Purpose = Literal["reset", "invite"]

LIFE: dict[Purpose, timedelta] = {"reset": timedelta(minutes=30), "invite": timedelta(days=7)}
"""A reset is asked for by whoever sits before the letter box; an invitation may lie there over a holiday."""

LINK_LENGTH_MAX = 100


DEAD_LINK = _("This link was used already, or is too old. Ask for a new one.")


class DeadLink(Invalid):
    code = "dead_link"


class NoAddress(Conflict):
    """A letter cannot be sent to somebody without an e-mail address."""

    code = "no_address"
