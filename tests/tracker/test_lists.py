"""Finding tasks: word forms, keys, dates; saved filters; what an export holds; who has how much."""

import csv
import io
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import httpx2
import pytest

from service_kit.clock import FixedClock
from service_kit.identity import CurrentUser, Role
from service_kit.paging import PageRequest
from tests.support.services import Service
from tests.support.web import Web
from tests.tracker.makers import a_person, a_task, complete
from tracker import commands, queries
from tracker.domain import FILTERS_MAX, FilterInvalid, Price, Status, TaskFilter


async def found(tracker: Service, **wanted: object) -> list[str]:
    async with tracker.reading() as session:
        page = await queries.tasks(session, PageRequest(limit=50), TaskFilter(**wanted))  # type: ignore[arg-type]
    return [task.title for task in page.items]


class TestSearch:
    @pytest.fixture(autouse=True)
    async def tasks(self, tracker: Service) -> None:
        worker = await a_person(tracker)
        await a_task(tracker, worker, "Покормить попугаев", jira_id="POP-17")
        await a_task(tracker, worker, "Клетка", description="Починить **дверцу** для попугая")
        await a_task(tracker, worker, "Painting the perches", jira_id="POP-2")

    @pytest.mark.parametrize(
        ("search", "titles"),
        [
            ("попугай", ["Клетка", "Покормить попугаев"]),
            ("ПОПУГАЯМИ", ["Клетка", "Покормить попугаев"]),
            ("попугаю дверца", ["Клетка"]),
            ("perch paint", ["Painting the perches"]),
            ("перш", []),
            ("клет", ["Клетка"]),
            ("pop-", ["Painting the perches", "Покормить попугаев"]),
            ("POP-1", ["Покормить попугаев"]),
            ("pop_", []),
            ("' | !:* & ((", []),
        ],
    )
    async def test_finds_every_form_of_a_word_its_beginning_and_the_beginning_of_a_key(
        self, tracker: Service, search: str, titles: list[str]
    ) -> None:
        assert await found(tracker, search=search) == titles

    async def test_an_edit_is_found_by_its_new_words_and_not_by_the_old(self, tracker: Service) -> None:
        worker = await a_person(tracker, Role.MANAGER)
        task = await a_task(tracker, worker, "Sweep")
        async with tracker.transaction() as session:
            await commands.update_task(session, worker, task.id, version=1, title="Мести")
        assert await found(tracker, search="sweep") == []
        assert await found(tracker, search="мести") == ["Мести"]

    async def test_filters_work_together(self, tracker: Service, clock: FixedClock) -> None:
        noon = clock.now()
        clock.advance(timedelta(days=1))
        worker = await a_person(tracker)
        await a_task(tracker, worker, "Попугай улетел")
        assert await found(tracker, search="попугай", created_from=noon + timedelta(hours=1)) == [
            "Попугай улетел"
        ]
        assert len(await found(tracker, created_before=noon + timedelta(hours=1))) == 3
        assert await found(tracker, search="попугай", status=Status.DONE) == []


class TestSavedFilters:
    async def test_a_name_holds_the_latest_filters_and_belongs_to_one_person(self, tracker: Service) -> None:
        mine, other = await a_person(tracker), await a_person(tracker)
        async with tracker.transaction() as session:
            await commands.save_filter(session, mine, name="  Parrots ", query="search=parrot")
            await commands.save_filter(session, mine, name="Parrots", query="search=parrots")
            await commands.save_filter(session, other, name="Parrots", query="")
        async with tracker.transaction() as session:
            (kept,) = await queries.saved_filters(session, mine)
            assert (kept.name, kept.query) == ("Parrots", "search=parrots")
            await commands.forget_filter(session, other, kept.id)
            assert len(await queries.saved_filters(session, mine)) == 1
            await commands.forget_filter(session, mine, kept.id)
            assert await queries.saved_filters(session, mine) == []
            assert len(await queries.saved_filters(session, other)) == 1

    async def test_there_is_an_end_to_them(self, tracker: Service) -> None:
        mine = await a_person(tracker)
        async with tracker.transaction() as session:
            for number in range(FILTERS_MAX):
                await commands.save_filter(session, mine, name=f"{number}", query="")
            with pytest.raises(FilterInvalid):
                await commands.save_filter(session, mine, name="one more", query="")
            await commands.save_filter(session, mine, name="0", query="status=open")

    @pytest.mark.parametrize("name", ["", "  ", "x" * 61], ids=["empty", "blank", "long"])
    async def test_a_name_says_something(self, tracker: Service, name: str) -> None:
        async with tracker.transaction() as session:
            with pytest.raises(FilterInvalid):
                await commands.save_filter(session, await a_person(tracker), name=name, query="")

    async def test_the_page_saves_shows_and_forgets_them(self, of_manager: httpx2.AsyncClient) -> None:
        query = "search=%D0%BF%D0%BE%D0%BF%D1%83%D0%B3%D0%B0%D0%B9&status=open"
        sent = {"name": "My <parrots>", "query": query + "&evil=1"}
        answer = await of_manager.post("/filters", data=sent)
        assert answer.headers["location"].startswith("/tracker/all?status=open&search=%D0%BF")
        page = (await of_manager.get("/all")).text
        assert "My &lt;parrots&gt;" in page
        assert "evil" not in page
        chosen = (await of_manager.get(answer.headers["location"].removeprefix("/tracker"))).text
        action = chosen.partition("/forget")[0].rpartition('action="/tracker')[2]
        await of_manager.post(f"{action}/forget")
        assert "My &lt;parrots&gt;" not in (await of_manager.get("/all")).text


class TestExport:
    async def test_holds_exactly_what_the_filter_shows(
        self, tracker: Service, of_manager: httpx2.AsyncClient
    ) -> None:
        worker = await a_person(tracker)
        shown = [await a_task(tracker, worker, f"Попугай, {number}", jira_id="POP-1") for number in range(3)]
        await a_task(tracker, worker, "Something else")
        answer = await of_manager.get("/export.csv?search=попугаи")
        assert answer.headers["content-type"].startswith("text/csv")
        assert "attachment" in answer.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        assert [row["id"] for row in rows] == [str(task.id) for task in reversed(shown)]
        assert [row["title"] for row in rows] == ["Попугай, 2", "Попугай, 1", "Попугай, 0"]

    async def test_a_day_that_is_none_is_told(self, of_manager: httpx2.AsyncClient) -> None:
        """Beside its field in the list; a download, which has none, is refused."""
        page = await of_manager.get("/all?since=2026-02-30&until=2026-03-02")
        assert page.status_code == 200
        assert 'id="field-since-error">Write the day like' in page.text
        assert "field-until-error" not in page.text
        for kind in ("csv", "xlsx"):
            assert (await of_manager.get(f"/export.{kind}?since=2026-02-30")).status_code == 422

    async def test_what_looks_like_a_formula_stays_text(
        self, tracker: Service, of_manager: httpx2.AsyncClient
    ) -> None:
        await a_task(tracker, await a_person(tracker), '=HYPERLINK("http://x","y")')
        answer = await of_manager.get("/export.csv")
        (row,) = csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig")))
        assert row["title"] == '\'=HYPERLINK("http://x","y")'

    async def test_a_workbook_has_the_same_rows(
        self, tracker: Service, of_manager: httpx2.AsyncClient
    ) -> None:
        await a_task(tracker, await a_person(tracker), "=1+1 попугай")
        answer = await of_manager.get("/export.xlsx")
        with zipfile.ZipFile(io.BytesIO(answer.content)) as book:
            sheet = book.read("xl/worksheets/sheet1.xml").decode()
        assert "=1+1 попугай" in sheet
        assert "<f>" not in sheet

    async def test_is_for_those_who_run_the_exchange(self, tracker: Service, web: Web) -> None:
        async with web.browser(await a_person(tracker)) as browser:
            assert (await browser.get("/export.csv")).status_code == 403
            assert (await browser.get("/load")).status_code == 403


class TestPrices:
    async def test_a_price_is_noted_once_and_shown_where_the_task_is(
        self, tracker: Service, web: Web, of_manager: httpx2.AsyncClient
    ) -> None:
        worker = await a_person(tracker)
        task = await a_task(tracker, worker)
        await prices(tracker, Price(task.id, 1400, 3100), Price(task.id, 1, 2), Price(UUID(int=7), 5, 6))
        await prices(tracker, Price(task.id, 3, 4))
        await complete(tracker, worker, task.id)
        page = (await of_manager.get(f"/tasks/{task.id}")).text
        assert "$14.00" in page
        assert "+$31.00" in page
        async with web.browser(worker) as browser:
            mine = (await browser.get("/")).text
            assert "$31.00" in mine[mine.index('id="done"') :]
            assert "$31.00" in (await browser.get("/done")).text

    async def test_a_distribution_tells_its_cost_beforehand(
        self, tracker: Service, of_manager: httpx2.AsyncClient
    ) -> None:
        worker = await a_person(tracker)
        tasks = [await a_task(tracker, worker, f"Task {number}") for number in range(4)]
        await prices(tracker, Price(tasks[0].id, 1000, 2000), Price(tasks[1].id, 1500, 2000))
        await prices(tracker, Price(tasks[3].id, 2000, 2000))
        await complete(tracker, worker, tasks[3].id)
        page = (await of_manager.get("/distributions/plan")).text
        assert "3 tasks are open" in page
        assert "$25.00" in page
        assert "of 1 task that has no price yet" in page

    async def test_load_counts_open_tasks_of_everybody_who_may_get_some(self, tracker: Service) -> None:
        busy = await a_person(tracker)
        await a_task(tracker, busy)
        await complete(tracker, busy, (await a_task(tracker, busy)).id)
        idle = await a_person(tracker)
        await a_person(tracker, Role.MANAGER)
        async with tracker.reading() as session:
            shares = {share.account_id: share.tasks for share in await queries.load(session)}
        assert shares == {busy.guid: 1, idle.guid: 0}


async def prices(tracker: Service, *told: Price) -> None:
    async with tracker.transaction() as session:
        await commands.record_prices(session, list(told))


@pytest.fixture
async def manager(tracker: Service) -> CurrentUser:
    return await a_person(tracker, Role.MANAGER)


@pytest.fixture
async def of_manager(web: Web, manager: CurrentUser) -> AsyncIterator[httpx2.AsyncClient]:
    async with web.browser(manager) as browser:
        yield browser
