"""The ledger written once more from the events, beside the live one, and compared with it row by row.

The second ledger lies in temporary tables that have the names of the live ones. A connection finds its own
temporary tables first, so that the commands of every day write there, unchanged. What the live ledger alone
knows is taken from it: in which order the facts arrived, and when each day was closed.

Every function here needs a session of the one connection on which `make_shadow` was called.
"""

from billing.commands.replaying.comparing import Comparison, Difference, compare, repair_sums
from billing.commands.replaying.shadow import (
    NoFirmGround,
    NotShadowed,
    Progress,
    hold_live,
    make_shadow,
    note_end,
    refuse_missing_beginning,
    settle_order,
)
from billing.commands.replaying.stretches import keep_facts, replay_rest, replay_some

__all__ = [
    "Comparison",
    "Difference",
    "NoFirmGround",
    "NotShadowed",
    "Progress",
    "compare",
    "hold_live",
    "keep_facts",
    "make_shadow",
    "note_end",
    "refuse_missing_beginning",
    "repair_sums",
    "replay_rest",
    "replay_some",
    "settle_order",
]
