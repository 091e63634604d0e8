"""What a service knows of the registry, with and without it."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from service_kit.events import Event
from service_kit.schema_client import RegistryUnavailable, SchemaClient, SchemaViolation
from tests.support.sample.events import SAYS, TaskCompleted, TaskCreatedV1
from tests.support.schemas import files_as_registry, schema_id

AWAY = httpx2.MockTransport(lambda _request: httpx2.Response(503))
URL = "http://registry.test"


def client(folder: Path | None, transport: httpx2.AsyncBaseTransport, url: str = URL) -> SchemaClient:
    return SchemaClient(url, transport=transport, folder=folder)


async def knowing(folder: Path) -> SchemaClient:
    found = client(folder, files_as_registry())
    await found.load(SAYS)
    return found


class TestWithoutTheRegistry:
    async def test_a_restarted_service_goes_by_its_disk(self, tmp_path: Path) -> None:
        """It is ready with the schemas and ids it knew, and says which ones nobody has confirmed."""
        before = await knowing(tmp_path)
        restarted = client(tmp_path, AWAY)
        async with asyncio.timeout(5):
            await restarted.load(SAYS)
        assert not restarted.missing
        assert restarted.unconfirmed == {event.type_name() for event in SAYS}
        assert restarted.of(TaskCompleted).id == before.of(TaskCompleted).id
        with pytest.raises(SchemaViolation):
            restarted.of(TaskCompleted).refuse_invalid({"taskId": 1})

    async def test_schemas_of_heard_events(self, tmp_path: Path) -> None:
        """An id that was read once is known after a restart as well; another one is not."""
        wanted = schema_id(TaskCreatedV1.subject(), 1)
        await client(tmp_path, files_as_registry()).by_id(wanted)
        restarted = client(tmp_path, AWAY)
        assert (await restarted.by_id(wanted)).id == wanted
        with pytest.raises(RegistryUnavailable):
            await restarted.by_id(wanted + 1)

    async def test_another_registry_is_another_world(self, tmp_path: Path) -> None:
        """Ids of one registry are never taken for those of another."""
        wanted = schema_id(TaskCreatedV1.subject(), 1)
        await client(tmp_path, files_as_registry()).by_id(wanted)
        with pytest.raises(RegistryUnavailable):
            await client(tmp_path, AWAY, "http://other.test").by_id(wanted)

    async def test_a_spoilt_file_is_no_schema(self, tmp_path: Path) -> None:
        """Half a file is as good as none."""
        await knowing(tmp_path)
        for file in tmp_path.rglob("*.json"):
            file.write_bytes(file.read_bytes()[:20])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client(tmp_path, AWAY).load(SAYS)

    async def test_without_a_folder_it_waits(self) -> None:
        """Who kept nothing is not ready before the registry is back."""
        waiting = client(None, AWAY)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await waiting.load(SAYS)
        assert waiting.missing


class TestWhenItComesBack:
    async def test_what_came_from_the_disk_is_confirmed(self, tmp_path: Path) -> None:
        """The service asks on, and takes the ids the registry tells."""
        await knowing(tmp_path)
        back = files_as_registry()
        calls = 0

        def answer(request: httpx2.Request) -> httpx2.Response:
            nonlocal calls
            calls += 1
            return httpx2.Response(503) if calls <= len(SAYS) else back.handle_request(request)

        restarted = SchemaClient(URL, httpx2.MockTransport(answer), tmp_path, confirm_every_s=0.01)
        async with asyncio.timeout(5):
            await restarted.keep(SAYS)
        assert not restarted.unconfirmed

    async def test_a_folder_that_cannot_be_written(self, tmp_path: Path) -> None:
        """The service works on without it."""
        taken = tmp_path / "taken"
        taken.write_text("a file where the folder should be")
        found = await knowing(taken)
        events: tuple[type[Event], ...] = SAYS
        assert {found.of(event).id for event in events}
