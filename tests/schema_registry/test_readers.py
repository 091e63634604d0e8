"""Who reads which version of an event, as the catalogue shows it: declared, and really."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from schema_registry.domain.contracts import read_contracts
from schema_registry.pages.readers import readership
from service_kit.readings import Reading
from tests.schema_registry.conftest import Web
from tests.support.schemas import SCHEMAS


class Notes:
    """Stands where the broker's answers stand: what each service's consumer noted."""

    def __init__(self, found: dict[str, dict[str, Reading]] | None) -> None:
        self.found = found

    async def readings(self, _groups: Iterable[str]) -> dict[str, dict[str, Reading]] | None:
        return self.found

    async def close(self) -> None:
        """Nothing is open."""


def acted(day: int) -> Reading:
    moment = datetime(2026, 3, day, 9, tzinfo=UTC)
    return Reading(read_at=moment, said_at=moment)


class TestReaders:
    NEW, OLD = "tracker.tasks.TaskCreated.v2", "tracker.tasks.TaskCreated.v1"

    async def of(
        self, web: Web, found: dict[str, dict[str, Reading]] | None, path: str = "/task_created/1"
    ) -> str:
        web.app.state.readers = Notes(found)
        async with web.browser() as client:
            page = (await client.get(f"/catalogue/tracker{path}")).text
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))

    async def test_what_was_really_read(self, web: Web) -> None:
        """Beside the declaration; whoever runs another release than the declared one is marked."""
        found = {
            "billing": {self.OLD: acted(4), self.NEW: acted(3)},
            "analytics": {self.NEW: acted(5), self.OLD: replace(acted(6), read_at=None)},
            "auth": {},
        }
        page = await self.of(web, found)
        assert "analytics v2 v2: 5 Mar, 12:00 up to date" in page
        assert "billing v2 v2: 3 Mar, 12:00 v1: 4 Mar, 12:00 runs another release: reads v1" in page
        assert "Last said v1: 6 Mar, 12:00 v2: 5 Mar, 12:00" in page
        assert "Version 1 is still read by billing." in page
        async with web.browser() as client:
            listed = (await client.get("/")).text
        assert "(1 behind)" in listed

    async def test_a_version_that_may_go(self, web: Web) -> None:
        """Its page says so when nobody declares it or read it last."""
        found = {"billing": {self.NEW: acted(3), self.OLD: acted(1)}, "analytics": {}}
        page = await self.of(web, found)
        assert "None of the services reads version 1 any more." in page
        assert "analytics v2 nothing so far declared only" in page

    def test_a_reader_of_both(self) -> None:
        """Which of two versions that lie side by side came last is no lag."""
        contract = replace(
            next(one for one in read_contracts(SCHEMAS) if one.name == "TaskCreated"),
            consumers={"billing": (1, 2)},
        )
        found = readership(contract, {"billing": {self.OLD: acted(4), self.NEW: acted(3)}})
        assert [(one.behind, one.differs) for one in found.readers] == [(0, False)]

    async def test_while_the_broker_is_away(self, web: Web) -> None:
        """The declarations stand, and that the rest is not known."""
        page = await self.of(web, None)
        assert "The broker does not answer" in page
        assert "billing v2 ? declared only" in page
        assert "None of the services" not in page
