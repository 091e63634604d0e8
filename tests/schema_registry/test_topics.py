"""The page of a topic: who may look, what is shown of the records, and what a page that follows asks for."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from service_kit.errors import Unavailable
from service_kit.identity import Role
from service_kit.tail import Seen
from tests.schema_registry.conftest import Web

PAGE = "/catalogue/topics/tracker.tasks"
FOLLOWING = {"HX-Request": "true"}


def seen(offset: int, kind: str = "TaskCompleted.v1", data: str = '{"a": 1}', partition: int = 0) -> Seen:
    return Seen(
        partition=partition,
        offset=offset,
        sent_at=datetime(2026, 3, 2, 9, offset, tzinfo=UTC),
        key=f"key-{partition}-{offset}",
        headers={"ce_type": f"tracker.tasks.{kind}", "ce_id": f"id-{offset}"},
        schema_id=5,
        data=data,
        cut=False,
    )


class Records:
    """Stands where the tails stand."""

    def __init__(self, records: Sequence[Seen] | None) -> None:
        self.found = records

    async def records(self, _topic: str) -> list[Seen]:
        if self.found is None:
            raise Unavailable("away")
        return list(reversed(self.found))

    async def close(self) -> None:
        """Nothing is open."""


async def looked_at(
    web: Web, records: Sequence[Seen] | None, role: Role | None = Role.ADMIN, **options: Any
) -> Any:
    web.app.state.tails = Records(records)
    headers = {"Authorization": f"Bearer {web.token(role)}"} if role else {}
    async with web.browser(**headers, **options.pop("headers", {})) as client:
        return await client.get(options.pop("path", PAGE), **options)


async def test_what_is_shown(web: Web) -> None:
    """The newest first, each with its contract, headers and data; what is no event of ours too."""
    strange = seen(2, "Unheard.v1", "<script>alert(1)</script>")
    page = (await looked_at(web, [seen(1), strange])).text
    assert page.index("key-0-2") < page.index("key-0-1")
    assert "/registry/catalogue/tracker/task_completed/1" in page
    assert "tracker.tasks.Unheard.v1" in page
    assert "<script>alert" not in page
    assert "id-1" in page


@pytest.mark.parametrize(
    ("role", "status"), [(None, 303), (Role.WORKER, 403), (Role.MANAGER, 403), (Role.ADMIN, 200)]
)
async def test_who_may_look(web: Web, role: Role | None, status: int) -> None:
    """Roles that the setting names; others are refused, and whoever is not signed in is led there."""
    assert (await looked_at(web, [seen(1)], role)).status_code == status


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({"event": "TaskCreated"}, {2}),
        ({"event": "Unheard"}, set()),
        ({"words": "KEY-0-1"}, {1}),
        ({"words": "id-2"}, {2}),
        ({"words": "perch"}, {2}),
        ({"event": "TaskCompleted", "words": "perch"}, set()),
    ],
)
async def test_narrowed_down(web: Web, query: dict[str, str], shown: set[int]) -> None:
    """By the event, by words of the key, of the id or of the data."""
    records = [seen(1), seen(2, "TaskCreated.v2", '{"title": "Paint the perch"}')]
    page = (await looked_at(web, records, params=query)).text
    assert {number for number in (1, 2) if f"record-0-{number}" in page} == shown
    assert ("Nothing to show" in page) == (not shown)


async def test_a_page_that_follows_along(web: Web) -> None:
    """It asks for what came after its mark, by partition, and has the next mark from the answer."""
    records = [seen(1), seen(2), seen(3, partition=1)]
    answer = await looked_at(web, records, headers=FOLLOWING, params={"after": "0.1"})
    assert "<html" not in answer.text
    assert "after=0.2-1.3" in answer.text
    assert "record-0-1" not in answer.text
    assert "record-0-2" in answer.text
    assert "record-1-3" in answer.text
    nothing = await looked_at(web, records, headers=FOLLOWING, params={"after": "0.2-1.3"})
    assert "hx-swap-oob" not in nothing.text
    strange = await looked_at(web, records, headers=FOLLOWING, params={"after": "x-9.-.1-²"})
    assert "record-0-1" in strange.text


async def test_while_the_broker_is_away(web: Web) -> None:
    """The page says so; one that follows keeps its mark and goes on asking."""
    assert "The broker does not answer" in (await looked_at(web, None)).text
    following = await looked_at(web, None, headers=FOLLOWING, params={"after": "0.7"})
    assert following.status_code == 200
    assert "after=0.7" in following.text


async def test_a_topic_of_nobody(web: Web) -> None:
    """Only topics of contracts are read."""
    answer = await looked_at(web, [], path="/catalogue/topics/__consumer_offsets")
    assert answer.status_code == 404


async def test_the_way_there(web: Web) -> None:
    """Events and the list lead to the topic, except for those who may not look."""
    for path in ("/", "/catalogue/tracker/task_created/2"):
        assert PAGE in (await looked_at(web, [], None, path=path)).text
        assert PAGE in (await looked_at(web, [], path=path)).text
        assert PAGE not in (await looked_at(web, [], Role.WORKER, path=path)).text
