"""The same acts at the command line: refused without a choice, exit codes for scripts, JSON for programs."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from service_kit.dead_letters import Undeliverable, console, put_aside
from tests.support.services import Service


def typed(service: Service, *arguments: str) -> int:
    """Run the command as a process of its own would, with an event loop of its own; answers its exit code."""

    def run() -> int:
        try:
            console.run("billing", lambda: service.settings, arguments)
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


async def aside(service: Service, number: int = 1) -> list[UUID]:
    async with service.transaction() as session:
        for offset in range(number):
            event_id = uuid4()
            headers = {"ce_id": str(event_id)}
            record = Undeliverable("tracker.tasks", 0, offset, b"key", b"{not json", headers, event_id)
            await put_aside(session, record, reason="not_json", detail="no JSON")
    found: list[UUID] = await service.scalar("select array_agg(id order by id) from dead_letters")
    return found


async def test_lists_and_groups(billing: Service, capsys: pytest.CaptureFixture[str]) -> None:
    ids = await aside(billing, 3)
    capsys.readouterr()
    assert typed(billing, "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert sorted(line["id"] for line in listed) == sorted(map(str, ids))
    assert typed(billing, "groups", "--json") == 0
    assert [group["count"] for group in json.loads(capsys.readouterr().out)] == [3]
    assert typed(billing, "list", "--limit", "2") == 0
    assert "Only the newest 2" in capsys.readouterr().out


async def test_one_letter_is_shown_with_what_is_wrong(
    billing: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    (letter_id,) = await aside(billing)
    assert typed(billing, "show", str(letter_id)) == 0
    shown = capsys.readouterr().out
    assert "> {not json" in shown
    assert "wrong" in shown


async def test_sent_given_up_put_back(billing: Service) -> None:
    first, second = await aside(billing, 2)
    assert typed(billing, "redrive", str(first)) == 0
    assert typed(billing, "redrive", str(first)) == 1, "it is on its way already"
    assert typed(billing, "discard", str(second), "--because", "known") == 0
    states = "select array_agg(state order by id) from dead_letters"
    assert await billing.scalar(states) == ["redriven", "discarded"]
    assert typed(billing, "restore", "--all") == 0
    assert await billing.scalar(states) == ["redriven", "waiting"]
    operators = "select count(*) from dead_letter_actions where operator like '%@%' and actor_guid is null"
    assert await billing.scalar(operators) == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ("redrive",),
        ("discard", "--all"),
        ("discard", "--because", "why"),
        ("redrive", "--all", "--value", "x.json"),
        ("redrive", "--all", "--reason", "r"),
        ("redrive", "no-id"),
        ("list", "--state", "lost"),
        ("redrive", str(UUID(int=1)), "--header", "nonsense"),
        ("redrive", str(UUID(int=1)), "--value", "/no/such/file"),
    ],
    ids=" ".join,
)
async def test_what_is_not_clear_is_refused(billing: Service, arguments: tuple[str, ...]) -> None:
    await aside(billing)
    assert typed(billing, *arguments) == 2
    assert await billing.scalar("select state from dead_letters") == "waiting"


async def test_an_unknown_letter_and_nothing_to_do_are_failures(billing: Service) -> None:
    assert typed(billing, "show", str(uuid4())) == 1
    assert typed(billing, "restore", "--all") == 1
    assert typed(billing, "redrive", "--all", "--yes") == 1


async def test_a_repair_that_would_come_back_is_not_sent(billing: Service, tmp_path: Path) -> None:
    """Without a known type there is no contract; the headers alone are reason enough."""
    (letter_id,) = await aside(billing)
    file = tmp_path / "repaired.json"
    file.write_text("{}")
    assert typed(billing, "redrive", str(letter_id), "--value", str(file)) == 1
    assert await billing.scalar("select state from dead_letters") == "waiting"
