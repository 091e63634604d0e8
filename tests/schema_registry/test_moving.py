"""Backup and restore, and moving in from another registry of the same protocol."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from schema_registry import commands, queries
from schema_registry.api.elsewhere import export_of
from schema_registry.domain.moving import Export, Moved, MoveError, into_context
from tests.schema_registry.conftest import Asked, Web, an_object, sent
from tests.support.databases import Databases
from tests.support.services import Service

STRING = an_object(a={"type": "string"})


async def lived_in(asked: Asked) -> None:
    """References, metadata, a gap, deleted versions, settings, contexts, Avro."""
    await asked.post("/subjects/cents/versions", sent({"type": "integer"}))
    reference = [{"name": "c", "subject": "cents", "version": 1}]
    await asked.post("/subjects/price/versions", sent(an_object(c={"$ref": "c"}), references=reference))
    await asked.post("/subjects/t/versions", sent(STRING, metadata={"properties": {"owner": "x"}}))
    await asked.post("/subjects/t/versions", sent(STRING | {"title": "second"}))
    await asked.delete("/subjects/t/versions/1")
    await asked.post("/subjects/:.team:t/versions", sent(STRING))
    await asked.post("/subjects/a/versions", {"schema": '"string"'})
    await asked.put("/config/t", {"compatibility": "FULL", "compatibilityGroup": "g"})
    await asked.put("/mode/cents", {"mode": "READONLY"})


@pytest.fixture
def empty(make_service: Callable[..., Service]) -> Service:
    """A registry that was migrated and never started."""
    return make_service("schema_registry")


async def exported(service: Service) -> Export:
    async with service.database.reading() as session:
        return await queries.export(session)


async def brought_into(service: Service, export: Export) -> Moved:
    async with service.database.transaction() as session:
        return await commands.bring_in(session, export)


async def test_what_was_exported_comes_back_the_same(registry: Service, asked: Asked, empty: Service) -> None:
    """Ids, GUIDs, versions, times, deleted ones and settings: the copy exports the same file."""
    await lived_in(asked)
    original = await exported(registry)
    text = original.model_dump_json(by_alias=True)
    await brought_into(empty, Export.model_validate_json(text))
    assert (await exported(empty)).model_dump_json(by_alias=True) == text
    again = await brought_into(empty, original)
    assert again.added == 0


async def test_another_registry_by_its_address(asked: Asked, empty: Service) -> None:
    """Read as a client reads it; what the protocol shows comes along."""
    await lived_in(asked)
    found = await export_of(asked.client)
    await brought_into(empty, found)
    copy = {(one.subject, one.version): one for one in (await exported(empty)).versions}
    assert copy["t", 1].deleted
    assert not copy["t", 2].deleted
    assert copy["price", 1].references[0].subject == "cents"
    assert copy[":.team:t", 1].guid == copy["t", 1].guid or copy["t", 1].metadata
    level = await empty.scalar("select level from settings where subject = 't'")
    assert level == "FULL"


async def test_into_a_context(asked: Asked, registry: Service) -> None:
    """Where ids are taken a context holds them; references move along."""
    await lived_in(asked)
    moved = into_context(await exported(registry), ".old")
    await brought_into(registry, moved)
    there = await asked.get("/subjects/:.old:price/versions/1")
    here = await asked.get("/subjects/price/versions/1")
    assert there["id"] == here["id"]
    assert there["references"][0]["subject"] == ":.old:cents"


async def test_what_contradicts_is_refused(asked: Asked, registry: Service) -> None:
    """An id that is another schema here stops the whole import."""
    registered = await asked.post("/subjects/t/versions", sent(STRING))
    body = {"subject": "u", "version": 1, "id": registered["id"], "schemaType": "JSON", "schema": '{"x":1}'}
    with pytest.raises(MoveError, match="another schema"):
        await brought_into(registry, Export.model_validate({"settings": [], "versions": [body]}))


async def test_types_that_are_not_kept_are_named(empty: Service) -> None:
    """They are left out, and said to be."""
    body = {"subject": "p", "version": 1, "id": 1, "schemaType": "THRIFT", "schema": "struct A {}"}
    moved = await brought_into(empty, Export.model_validate({"settings": [], "versions": [body]}))
    assert moved.left_out == ["p version 1 (THRIFT)"]


async def test_a_registry_starts_on_what_was_brought_in(
    web: Web, registry: Service, databases: Databases, empty: Service, tmp_path: Path
) -> None:
    """The contract files are found to be there already, under their old ids."""
    from schema_registry import app  # noqa: PLC0415  only here a second one is started

    await brought_into(empty, await exported(registry))
    before = (await exported(empty)).model_dump_json()
    second = app.web(empty.settings)
    async with second.router.lifespan_context(second):
        assert json.loads((await exported(empty)).model_dump_json()) == json.loads(before)


def run(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as an operator runs it."""
    told = {
        "REGISTRY_DATABASE_URL": service.settings.database_url.get_secret_value(),
        "ATES_KAFKA_SERVERS": "localhost:1",
        "ATES_REGISTRY_URL": "http://localhost:1",
        "ATES_PUBLIC_URLS": json.dumps(service.settings.public_urls),
    }
    command = [sys.executable, "-m", "schema_registry", *arguments]
    return subprocess.run(command, env=os.environ | told, capture_output=True, text=True, check=False)


async def test_the_commands(
    registry: Service, asked: Asked, address: str, empty: Service, tmp_path: Path
) -> None:
    """`export` writes a file, `import` takes it or an address, and says in a sentence what it cannot read."""
    await lived_in(asked)
    file = tmp_path / "registry.json"
    said = await asyncio.to_thread(run, registry, "export", str(file))
    assert said.returncode == 0, said.stderr
    said = await asyncio.to_thread(run, empty, "import", str(file))
    assert said.returncode == 0, said.stderr
    assert await exported(empty) == await exported(registry)
    said = await asyncio.to_thread(run, empty, "import", address, "--context", "other")
    assert said.returncode == 0, said.stderr
    assert await empty.scalar("select count(*) from subject_versions where context = '.other'") > 0
    file.write_text("nonsense")
    said = await asyncio.to_thread(run, empty, "import", str(file))
    assert said.returncode == 1
    assert "cannot be read as an export" in said.stderr
