"""Two minutes of everything at once: processes, broker, database and the lines between them, and nights."""

import json
from pathlib import Path

import pytest

from tests.support.exchange import Exchange

pytestmark = [pytest.mark.faults, pytest.mark.slow]

SEED = 20260385


def test_every_promise_holds_through_chaos(run_folder: Path) -> None:
    """No answer is lost, no fact is lost or counts twice, order holds, books, letters and seals are whole."""
    printed = Exchange(run_folder / "chaos-home").ates(
        "chaos", "--seed", str(SEED), "--minutes", "2", "--json", check=False
    )
    outcome = json.loads(printed)
    assert outcome["problems"] == [], "\n".join(outcome["timeline"])
    assert outcome["faults"].keys() >= {"kill", "pause", "cut", "broker wiped", "database killed", "midnight"}
    assert outcome["faults"].keys() >= {"repeat", "line reset", "line still", "line slow", "line half open"}
    counts = outcome["counts"]
    assert (counts["answers lost"], counts["facts lost"], counts["posted twice"]) == (0, 0, 0)
    assert counts["tasks completed"] > 20
    assert counts["days closed"] >= 3
    assert counts["payouts"] == counts["letters"] > 0
