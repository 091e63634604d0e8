"""The contract files become versions of subjects at every start."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from schema_registry import app, commands
from schema_registry.domain.contracts import ContractError, read_contracts
from schema_registry.domain.documents import read_document
from schema_registry.domain.registered import Candidate
from service_kit.clock import FixedClock
from tests.support.databases import Databases
from tests.support.schemas import SCHEMAS
from tests.support.services import Service

CONTRACTS = read_contracts(SCHEMAS)
FILES = sum(len(one.versions) for one in CONTRACTS)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))


async def test_every_file_becomes_the_version_of_its_number(registry: Service) -> None:
    """Version n of a file is version n of its subject; starting again changes nothing."""
    async with registry.database.transaction() as session:
        assert len(await commands.register_contracts(session, CONTRACTS)) == FILES
    before = await registry.scalar(
        "select array_agg(row(s, v)::text order by v.subject, v.version)"
        " from subject_versions v join schemas s on s.id = v.schema_id"
    )
    async with registry.database.transaction() as session:
        assert await commands.register_contracts(session, CONTRACTS) == []
    after = await registry.scalar(
        "select array_agg(row(s, v)::text order by v.subject, v.version)"
        " from subject_versions v join schemas s on s.id = v.schema_id"
    )
    assert before == after


async def test_several_processes_start_at_once(registry: Service) -> None:
    """They wait for each other, and each file is registered once."""

    async def start() -> int:
        async with registry.database.transaction() as session:
            return len(await commands.register_contracts(session, CONTRACTS))

    assert sorted(await asyncio.gather(*(start() for _ in range(4)))) == [0, 0, 0, FILES]
    assert await registry.scalar("select count(*) from subject_versions") == FILES


async def test_a_changed_file_keeps_the_process_from_starting(
    databases: Databases, clock: FixedClock, tmp_path: Path, copied: Path
) -> None:
    """What was registered stands; the refusal names file and subject."""
    service = Service.made("schema_registry", databases, clock, tmp_path, schemas_folder=copied)
    try:
        web = app.web(service.settings)
        async with web.router.lifespan_context(web):
            pass
        path = copied / "tracker" / "task_created" / "1.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"description": "changed"}))
        web = app.web(service.settings)
        with pytest.raises(ContractError, match=r"tracker/task_created/1\.json differs from version 1"):
            async with web.router.lifespan_context(web):
                pytest.fail("the process started")
    finally:
        await service.close()
        databases.drop(service.addresses)


async def test_a_breaking_version_is_refused(registry: Service, copied: Path) -> None:
    """A new file that readers of the old one would not understand is not registered."""
    schema = json.loads((copied / "tracker" / "task_completed" / "1.json").read_text())
    schema["properties"]["cycle"]["type"] = "string"
    (copied / "tracker" / "task_completed" / "2.json").write_text(json.dumps(schema))
    with pytest.raises(ContractError, match=r"task_completed/2\.json is not compatible"):
        async with registry.database.transaction() as session:
            await commands.register_contracts(session, read_contracts(copied))
    assert await registry.scalar("select count(*) from subject_versions") == 0


async def test_versions_that_are_not_in_the_files(registry: Service) -> None:
    """A version somebody registered over the protocol in front of a file is an alarm, not a guess."""
    subject = "tracker.tasks-TaskCompleted"
    async with registry.database.transaction() as session:
        await commands.register(session, subject, Candidate('{"title":"mine"}', "JSON"))
    with pytest.raises(ContractError, match="differs from version 1"):
        async with registry.database.transaction() as session:
            await commands.register_contracts(session, CONTRACTS)


async def test_schemas_cannot_be_changed_even_by_the_service(registry: Service) -> None:
    """The role of the process has no right to update a schema."""
    rights = "select has_table_privilege('registry_service', 'schemas', :right)"
    assert await registry.scalar(rights, right="INSERT") is True
    assert await registry.scalar(rights, right="UPDATE") is False


def test_the_digest_is_over_the_canonical_text() -> None:
    """White space and line ends of a file do not matter."""
    assert read_document('{ "type":\n "string" }').text == '{"type":"string"}'
