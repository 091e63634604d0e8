"""A file of tasks: every fault with its place, all tasks or none, progress seen from outside."""

import asyncio
from collections.abc import AsyncIterator
from random import Random
from uuid import UUID

import httpx2
import pytest

from service_kit.identity import CurrentUser, Role
from tests.support.services import Service
from tests.support.web import Web
from tests.tracker.makers import a_person, people
from tracker import commands
from tracker.domain import FAULTS_MAX, ROWS_MAX, FileInvalid, NobodyToAssign, TaskText, read_tasks


class TestReading:
    @pytest.mark.parametrize(
        "content",
        [
            'title,jira_id,description\r\nFeed,POP-1,"two\nlines"\r\n"[POP-2] - Paint",,\r\n',
            'title;jira_id;description\nFeed;pop-1;"two\nlines"\n[POP-2] - Paint;;\n',
            '\ufefftitle\tdescription\tjira_id\nFeed\t"two\nlines"\tPOP-1\n\nPaint\t\tPOP-2\n',
            '{"title":"Feed","jira_id":"POP-1","description":"two\\nlines"}\n\n{"title":"[POP-2] - Paint"}',
        ],
        ids=["commas", "semicolons", "tabs", "json lines"],
    )
    def test_reads_every_usual_form(self, content: str) -> None:
        read = read_tasks(content.encode())
        assert read.faults == []
        assert read.texts == [TaskText("Feed", "POP-1", "two\nlines"), TaskText("Paint", "POP-2", "")]

    def test_names_line_and_column_of_each_fault(self) -> None:
        content = (
            'title,jira_id\n"two\nlines",POP-1\n,POP-2\nFine,nonsense\nPaint [now],POP-3\nToo,many,cells\n'
        )
        faults = [(fault.line, fault.column) for fault in read_tasks(content.encode()).faults]
        assert faults == [(4, "title"), (5, "jira_id"), (6, "title"), (7, "")]

    def test_names_the_fault_of_each_json_line(self) -> None:
        content = '{"title": "Fine"}\n{"title": 5}\n[1]\n{"titel": "x"}\n{broken\n{"description": "no title"}'
        faults = [(fault.line, fault.column) for fault in read_tasks(content.encode()).faults]
        assert faults == [(2, "title"), (3, ""), (4, "titel"), (5, ""), (6, "title")]

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"title\n",
            b"title\n\xff\n",
            b"name\nFeed\n",
            b"title,title\na,b\n",
            b'title\n"never closed\n',
            b"title\n" + b"Feed\n" * (ROWS_MAX + 1),
        ],
        ids=["empty", "head alone", "not text", "unknown column", "column twice", "open quote", "too many"],
    )
    def test_refuses_what_it_cannot_read(self, content: bytes) -> None:
        with pytest.raises(FileInvalid):
            read_tasks(content)

    def test_a_file_full_of_faults_tells_the_first_of_them(self) -> None:
        assert len(read_tasks(b"title\n" + b"[x\n" * 1000).faults) == FAULTS_MAX

    def test_ten_thousand_rows_are_taken(self) -> None:
        read = read_tasks(b"title\n" + b"Feed\n" * ROWS_MAX)
        assert (len(read.texts), read.faults) == (ROWS_MAX, [])


async def requested(tracker: Service, actor: CurrentUser, count: int) -> UUID:
    async with tracker.transaction() as session:
        texts = [TaskText(f"Task {number}", None, "") for number in range(count)]
        return (await commands.request_import(session, actor, texts)).id


class TestCreating:
    async def test_creates_every_task_with_its_facts_and_tells_how_far_it_is(self, tracker: Service) -> None:
        manager = await a_person(tracker, Role.MANAGER)
        await people(tracker, 3)
        import_id = await requested(tracker, manager, 1200)
        seen: list[int] = []

        async def tell(told: UUID, rows_done: int) -> None:
            assert told == import_id
            async with tracker.transaction() as beside:
                await commands.note_progress(beside, told, rows_done)
            # From outside there is progress, but no task yet.
            assert await tracker.scalar("select rows_done from task_imports") == rows_done
            assert await tracker.scalar("select count(*) from tasks") == 0
            seen.append(rows_done)

        async with tracker.transaction() as session:
            assert await commands.create_imported_tasks(session, random=Random(1), tell=tell) == import_id
        assert seen == [500, 1000, 1200]
        assert await tracker.scalar("select count(*) from tasks") == 1200
        assert await tracker.scalar("select count(*) from task_search") == 1200
        assert len(await tracker.said()) == 3600
        assert await tracker.scalar("select status from task_imports") == "done"
        async with tracker.transaction() as session:
            assert await commands.create_imported_tasks(session, random=Random(1), tell=tell) is None

    async def test_killed_half_way_it_leaves_nothing_and_begins_anew(self, tracker: Service) -> None:
        manager = await a_person(tracker, Role.MANAGER)
        await people(tracker, 1)
        await requested(tracker, manager, 1200)

        async def die(_import_id: UUID, rows_done: int) -> None:
            if rows_done > 500:
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            async with tracker.transaction() as session:
                await commands.create_imported_tasks(session, random=Random(1), tell=die)
        assert await tracker.scalar("select count(*) from tasks") == 0
        assert await tracker.said() == []
        async with tracker.transaction() as session:
            assert await commands.create_imported_tasks(session, random=Random(1), tell=nothing)
        assert await tracker.scalar("select count(*) from tasks") == 1200

    async def test_with_nobody_eligible_it_is_given_up_and_says_so(
        self, tracker: Service, of_manager: httpx2.AsyncClient, manager: CurrentUser
    ) -> None:
        import_id = await requested(tracker, manager, 2)
        with pytest.raises(NobodyToAssign):
            async with tracker.transaction() as session:
                await commands.create_imported_tasks(session, random=Random(1), tell=nothing)
        async with tracker.transaction() as session:
            await commands.fail_import(session)
        assert "Nothing was created" in (await of_manager.get(f"/imports/{import_id}")).text


class TestPages:
    async def test_a_good_file_leads_to_its_progress(self, of_manager: httpx2.AsyncClient) -> None:
        answer = await of_manager.post("/imports", files={"file": ("t.csv", b"title\nFeed\nPaint\n")})
        assert answer.status_code == 303
        page = (await of_manager.get(answer.headers["location"].removeprefix("/tracker"))).text
        assert "0 of 2" in page

    async def test_a_bad_file_names_its_faults_and_nothing_waits(
        self, tracker: Service, of_manager: httpx2.AsyncClient
    ) -> None:
        answer = await of_manager.post("/imports", files={"file": ("t.csv", b"title\nFeed\n[x\n")})
        assert answer.status_code == 422
        assert "1 fault was found" in answer.text
        assert "A title has no square brackets" in answer.text
        assert await tracker.scalar("select count(*) from task_imports") == 0

    async def test_a_file_may_be_larger_than_other_requests(self, of_manager: httpx2.AsyncClient) -> None:
        rows = b"title,description\n" + (b"Feed," + b"x" * 400 + b"\n") * 5000
        assert (await of_manager.post("/imports", files={"file": ("t.csv", rows)})).status_code == 303
        assert (await of_manager.post("/tasks", data={"title": "x" * 2_000_000})).status_code == 413

    async def test_no_file_is_said(self, of_manager: httpx2.AsyncClient) -> None:
        answer = await of_manager.post("/imports", files={"file": ("t.csv", b"")})
        assert answer.status_code == 422
        assert "There is no task in this file" in answer.text

    async def test_only_for_those_who_run_the_exchange(self, tracker: Service, web: Web) -> None:
        async with web.browser(await a_person(tracker)) as browser:
            assert (await browser.get("/imports")).status_code == 403


async def nothing(_import_id: UUID, _rows_done: int) -> None:
    return


@pytest.fixture
async def manager(tracker: Service) -> CurrentUser:
    return await a_person(tracker, Role.MANAGER)


@pytest.fixture
async def of_manager(web: Web, manager: CurrentUser) -> AsyncIterator[httpx2.AsyncClient]:
    async with web.browser(manager) as browser:
        yield browser
