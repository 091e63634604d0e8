"""The pages: without scripts, with htmx, in both languages."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from uuid import uuid4

import httpx2
import pytest

from service_kit.identity import CurrentUser, Role
from tests.support.services import Service
from tests.support.web import Web, web_process
from tests.tracker.makers import a_person, a_task, complete, request_distribution, run_to_the_end
from tracker.pages.markdown import description_html

HTMX = {"HX-Request": "true"}


@dataclass
class Browsers:
    worker: CurrentUser
    of_worker: httpx2.AsyncClient
    manager: CurrentUser
    of_manager: httpx2.AsyncClient


@pytest.fixture
async def browsers(tracker: Service, web: Web) -> AsyncIterator[Browsers]:
    worker, manager = await a_person(tracker), await a_person(tracker, Role.MANAGER)
    async with web.browser(worker) as of_worker, web.browser(manager) as of_manager:
        yield Browsers(worker, of_worker, manager, of_manager)


async def test_every_page_opens_for_every_employee_and_for_no_client(tracker: Service, web: Web) -> None:
    worker = await a_person(tracker)
    task = await a_task(tracker, worker)
    paths = ["/", "/all", "/tasks/new", f"/tasks/{task.id}"]
    for role in (Role.WORKER, Role.ACCOUNTANT, Role.MANAGER, Role.ADMIN):
        async with web.browser(await a_person(tracker, role)) as browser:
            assert [(await browser.get(path)).status_code for path in paths] == [200] * len(paths)
    async with web.browser(await a_person(tracker, Role.CLIENT)) as browser:
        assert [(await browser.get(path)).status_code for path in paths] == [403] * len(paths)


async def test_an_empty_exchange_offers_the_first_task_and_nothing_to_filter(
    tracker: Service, browsers: Browsers
) -> None:
    empty = (await browsers.of_manager.get("/all")).text
    assert "There are no tasks yet" in empty
    assert all(part not in empty for part in ("/export.csv", 'role="search"', 'id="distribution"'))
    assert "/imports" in empty
    await a_task(tracker, browsers.manager)
    assert 'role="search"' in (await browsers.of_manager.get("/all")).text


async def test_an_address_that_names_no_task_is_not_found(browsers: Browsers) -> None:
    for path in ("/tasks/xyz", f"/tasks/{uuid4()}"):
        answer = await browsers.of_worker.get(path, headers={"Accept": "text/html"})
        assert (answer.status_code, "If you tell somebody" in answer.text) == (404, True)


async def test_the_shortened_address_of_a_task_leads_to_all(browsers: Browsers) -> None:
    answer = await browsers.of_worker.get("/tasks")
    assert (answer.status_code, answer.headers["location"]) == (303, "/tracker/all")


async def test_a_visitor_is_led_to_the_sign_in(web: Web) -> None:
    async with web.browser() as browser:
        answer = await browser.get("/all")
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (
        303,
        "http://exchange.test/tracker/login",
    )


async def test_a_task_lies_in_the_list_in_which_its_reader_finds_it(
    tracker: Service, browsers: Browsers
) -> None:
    task = await a_task(tracker, browsers.manager)
    current = re.compile(r'href="([^"]*)"[^>]*aria-current="page"')
    for browser, list_of_theirs in ((browsers.of_worker, "/tracker/"), (browsers.of_manager, "/tracker/all")):
        for path in (f"/tasks/{task.id}", f"/tasks/{task.id}/edit", "/tasks/new"):
            assert set(current.findall((await browser.get(path)).text)) == {list_of_theirs}


class TestMyTasks:
    async def test_shows_open_ones_and_what_was_done_today(
        self, tracker: Service, browsers: Browsers
    ) -> None:
        done = await a_task(tracker, browsers.manager, "Water the plants")
        await complete(tracker, browsers.worker, done.id)
        await a_task(tracker, browsers.manager, "Feed the parrot")
        page = (await browsers.of_worker.get("/")).text
        assert page.index("Feed the parrot") < page.index("Done today") < page.index("Water the plants")
        assert "Feed the parrot" not in (await browsers.of_manager.get("/")).text

    async def test_says_when_there_is_nothing_to_do(self, browsers: Browsers) -> None:
        assert "Nothing to do" in (await browsers.of_worker.get("/")).text

    async def test_one_tap_completes_without_scripts(self, tracker: Service, browsers: Browsers) -> None:
        task = await a_task(tracker, browsers.manager)
        answer = await browsers.of_worker.post(f"/tasks/{task.id}/complete", data={"place": "mine"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/tracker/")
        assert "Nothing to do" in (await browsers.of_worker.get("/")).text

    async def test_one_tap_completes_in_place_with_htmx(self, tracker: Service, browsers: Browsers) -> None:
        task = await a_task(tracker, browsers.manager, "Feed the parrot")
        answer = await browsers.of_worker.post(
            f"/tasks/{task.id}/complete", data={"place": "mine"}, headers=HTMX
        )
        assert answer.status_code == 200
        row, _template, done_today = answer.text.partition("<template>")
        assert "Millet in a bowl" in row
        assert "<form" not in answer.text
        assert "<html" not in answer.text
        assert 'hx-swap-oob="true"' in done_today
        assert "Feed the parrot" in done_today
        assert "toast" in answer.headers["HX-Trigger"]

    async def test_more_than_one_page_is_a_link_away(self, tracker: Service, browsers: Browsers) -> None:
        for number in range(3):
            await a_task(tracker, browsers.manager, f"Task {number}")
        page = (await browsers.of_worker.get("/?limit=2")).text
        assert "Task 2" in page
        assert "Task 0" not in page
        address = page.partition('class="button button-quiet" href="')[2].partition('"')[0]
        more = (await browsers.of_worker.get(address.replace("&amp;", "&").removeprefix("/tracker"))).text
        assert "Task 0" in more


class TestNewTask:
    async def test_shows_who_got_it(self, tracker: Service, browsers: Browsers) -> None:
        answer = await browsers.of_worker.post(
            "/tasks", data={"title": "Paint", "description": "a\nb<script>"}
        )
        assert answer.status_code == 303
        page = (await browsers.of_worker.get(answer.headers["location"].removeprefix("/tracker"))).text
        assert "Drawn at random" in page
        assert str(browsers.worker.guid) in page
        assert "a<br />\nb&lt;script&gt;" in page

    async def test_a_pasted_line_is_split_and_said(self, tracker: Service, browsers: Browsers) -> None:
        answer = await browsers.of_worker.post("/tasks", data={"title": "[POP-1] - Paint"})
        page = (await browsers.of_worker.get(answer.headers["location"].removeprefix("/tracker"))).text
        assert "POP\N{NON-BREAKING HYPHEN}1 was taken out of the title" in page
        assert await tracker.scalar("select jira_id || '|' || title from tasks") == "POP-1|Paint"

    async def test_a_pasted_key_that_is_not_the_typed_one_is_left_to_the_author(
        self, tracker: Service, browsers: Browsers
    ) -> None:
        answer = await browsers.of_worker.post(
            "/tasks", data={"title": "[POP-1] - Paint", "jira_id": "POP-2"}
        )
        assert answer.status_code == 422
        assert await tracker.scalar("select count(*) from tasks") == 0

    async def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(
        self, browsers: Browsers
    ) -> None:
        typed = {"title": "Paint [now]", "jira_id": "POP-9", "description": "Green"}
        answer = await browsers.of_worker.post("/tasks", data=typed)
        assert answer.status_code == 422
        assert 'aria-invalid="true"' in answer.text
        assert "Paint [now]" in answer.text
        assert "POP-9" in answer.text
        assert "Green" in answer.text

    async def test_with_nobody_eligible_the_page_says_so(self, tracker: Service, web: Web) -> None:
        async with web.browser(await a_person(tracker, Role.ADMIN)) as browser:
            answer = await browser.post("/tasks", data={"title": "Paint"})
        assert answer.status_code == 409
        assert "There is nobody who could get a task" in answer.text

    async def test_open_work_under_the_same_key_is_pointed_out_before_creating(
        self, tracker: Service, browsers: Browsers
    ) -> None:
        first = await a_task(tracker, browsers.manager, "Paint", jira_id="POP-1")
        again = {"title": "[pop-1] - Paint it again", "description": "Green"}
        asked = await browsers.of_worker.post("/tasks", data=again)
        assert asked.status_code == 409
        assert f"/tracker/tasks/{first.id}" in asked.text
        assert "Paint it again" in asked.text
        assert "Green" in asked.text
        assert 'name="anyway" value="1"' in asked.text
        assert (await browsers.of_worker.post("/tasks", data=again | {"anyway": "1"})).status_code == 303
        await complete(tracker, browsers.worker, first.id)
        other = {"title": "Third", "jira_id": "POP-2"}
        assert (await browsers.of_worker.post("/tasks", data=other)).status_code == 303

    async def test_the_line_is_explained_while_it_is_typed(
        self, tracker: Service, browsers: Browsers
    ) -> None:
        await a_task(tracker, browsers.manager, "Paint", jira_id="POP-1")
        hint = await browsers.of_worker.get(
            "/tasks/hint", params={"title": "[pop-1] - Go on <now>"}, headers=HTMX
        )
        assert "<strong>POP-1</strong>" in hint.text
        assert "<strong>Go on &lt;now&gt;</strong>" in hint.text
        assert ">Paint</a>" in hint.text
        # It may stand where nobody looks: only who presses the button and is asked has been asked.
        assert "anyway" not in hint.text
        plain = await browsers.of_worker.get("/tasks/hint", params={"title": "Go on"}, headers=HTMX)
        assert plain.text.strip() == '<div id="hint" class="stack" role="status"></div>'


class TestDescription:
    @pytest.mark.parametrize(
        ("typed", "shown"),
        [
            ("**bold**", "<strong>bold</strong>"),
            ("- one\n- two", "<li>one</li>"),
            ("# Large", "<h3>Large</h3>"),
            ("[away](https://example.org)", 'rel="nofollow noopener noreferrer"'),
            ("<b>x</b><script>alert(1)</script>", "&lt;script&gt;"),
            ("[x](javascript:alert(1))", "[x](javascript:alert(1))"),
            ("![](https://spy.example/p.png)", "!<a"),
        ],
        ids=["bold", "list", "heading", "link", "html", "script link", "picture"],
    )
    def test_is_markdown_that_harms_nobody(self, typed: str, shown: str) -> None:
        html = description_html(typed)
        assert shown in html
        assert not re.search(r"<(script|img|b|iframe)|href=.javascript", html)


class TestTask:
    async def test_tells_its_history(self, tracker: Service, browsers: Browsers) -> None:
        task = await a_task(tracker, browsers.manager)
        await request_distribution(tracker, browsers.manager)
        await run_to_the_end(tracker)
        await complete(tracker, browsers.worker, task.id)
        page = (await browsers.of_manager.get(f"/tasks/{task.id}")).text
        history = page[page.index('id="history"') :]
        steps = ["Created", "Drawn at creation", "Drawn by a distribution, assignment no. 2", "Completed"]
        assert [history.index(step) for step in steps] == sorted(history.index(step) for step in steps)

    async def test_offers_only_what_the_reader_may_do(
        self, tracker: Service, web: Web, browsers: Browsers
    ) -> None:
        task = await a_task(tracker, browsers.manager)
        complete_form, edit_link = f"/tasks/{task.id}/complete", f"/tasks/{task.id}/edit"
        of_worker = (await browsers.of_worker.get(f"/tasks/{task.id}")).text
        of_manager = (await browsers.of_manager.get(f"/tasks/{task.id}")).text
        async with web.browser(await a_person(tracker)) as other:
            of_other = (await other.get(f"/tasks/{task.id}")).text
            assert (await other.get(f"/tasks/{task.id}/edit")).status_code == 403
        offered = [(complete_form in page, edit_link in page) for page in (of_worker, of_manager, of_other)]
        assert offered == [(True, True), (False, True), (False, False)]

    async def test_an_unknown_one_is_a_page_that_says_so(self, browsers: Browsers) -> None:
        answer = await browsers.of_worker.get(f"/tasks/{uuid4()}")
        assert answer.status_code == 404
        assert "There is no such task" in answer.text

    async def test_completing_with_htmx_shows_it_anew(self, tracker: Service, browsers: Browsers) -> None:
        task = await a_task(tracker, browsers.manager)
        answer = await browsers.of_worker.post(f"/tasks/{task.id}/complete", headers=HTMX)
        assert "Millet in a bowl" in answer.text
        again = await browsers.of_worker.post(f"/tasks/{task.id}/complete", headers=HTMX)
        assert again.status_code == 409
        assert "was completed before" in again.headers["HX-Trigger"]


class TestEditTask:
    async def test_saves_and_leads_back(self, tracker: Service, browsers: Browsers) -> None:
        task = await a_task(tracker, browsers.manager, "Feed")
        assert "Feed" in (await browsers.of_worker.get(f"/tasks/{task.id}/edit")).text
        answer = await browsers.of_worker.post(
            f"/tasks/{task.id}", data={"version": "1", "title": "Feed twice"}
        )
        assert answer.headers["location"] == f"/tracker/tasks/{task.id}"
        assert "Feed twice" in (await browsers.of_worker.get(f"/tasks/{task.id}")).text

    async def test_a_pasted_line_is_split_here_too(self, tracker: Service, browsers: Browsers) -> None:
        task = await a_task(tracker, browsers.manager, "Feed")
        typed = {"version": "1", "title": "[POP-1] - Paint"}
        assert (await browsers.of_worker.post(f"/tasks/{task.id}", data=typed)).status_code == 303
        assert await tracker.scalar("select jira_id || '|' || title from tasks") == "POP-1|Paint"

    async def test_two_authors_see_each_others_words_before_one_wins(
        self, tracker: Service, browsers: Browsers
    ) -> None:
        task = await a_task(tracker, browsers.manager, "Feed")
        await browsers.of_worker.post(f"/tasks/{task.id}", data={"version": "1", "title": "Words of one"})
        answer = await browsers.of_manager.post(
            f"/tasks/{task.id}", data={"version": "1", "title": "Words of other"}
        )
        assert answer.status_code == 409
        assert "Words of one" in answer.text
        assert "Words of other" in answer.text
        assert 'name="version" value="2"' in answer.text


class TestAllTasks:
    async def test_filters_live_in_the_address(self, tracker: Service, browsers: Browsers) -> None:
        feed = await a_task(tracker, browsers.manager, "Feed the parrot", jira_id="POP-7")
        paint = await a_task(tracker, browsers.manager, "Paint the perch")
        await complete(tracker, browsers.worker, paint.id)

        async def shown(query: str) -> list[bool]:
            page = (await browsers.of_manager.get(f"/all?{query}")).text
            return [task.title in page for task in (feed, paint)]

        assert await shown("") == [True, True]
        assert await shown("status=open&search=&worker=") == [True, False]
        assert await shown("status=done") == [False, True]
        assert await shown("search=perch") == [False, True]
        assert await shown("search=pop-7") == [True, False]
        assert await shown("worker=me") == [False, False]
        assert await shown(f"worker={browsers.worker.guid}") == [True, True]
        assert await shown("worker=nonsense&status=nonsense") == [True, True]

    async def test_only_those_who_run_the_exchange_see_distribute(
        self, tracker: Service, browsers: Browsers
    ) -> None:
        await a_task(tracker, browsers.manager)
        assert "/tracker/distributions/plan" in (await browsers.of_manager.get("/all")).text
        assert (await browsers.of_worker.get("/distributions/plan")).status_code == 403
        assert "/distributions" not in (await browsers.of_worker.get("/all")).text
        assert (await browsers.of_worker.post("/distributions")).status_code == 403


class TestDistributions:
    async def test_a_press_without_scripts_leads_to_the_run_and_its_result(
        self, tracker: Service, browsers: Browsers
    ) -> None:
        await a_task(tracker, browsers.manager)
        answer = await browsers.of_manager.post("/distributions")
        address = answer.headers["location"].removeprefix("/tracker")
        running = (await browsers.of_manager.get(address)).text
        assert 'http-equiv="refresh"' in running
        assert "<progress" in (await browsers.of_manager.get("/all")).text
        await run_to_the_end(tracker)
        finished = (await browsers.of_manager.get(address)).text
        assert "1 task has been assigned" in finished
        assert 'http-equiv="refresh"' not in finished
        assert address in (await browsers.of_manager.get("/distributions")).text

    async def test_with_htmx_the_progress_asks_for_itself_until_the_run_is_done(
        self, tracker: Service, browsers: Browsers
    ) -> None:
        await a_task(tracker, browsers.manager)
        pressed = await browsers.of_manager.post("/distributions", headers=HTMX)
        address = pressed.text.partition('hx-get="')[2].partition('"')[0].removeprefix("/tracker")
        assert "<progress" in pressed.text
        await run_to_the_end(tracker)
        finished = await browsers.of_manager.get(address, headers=HTMX)
        assert "hx-trigger" not in finished.text
        assert 'hx-get="/tracker/distributions/plan"' in finished.text  # what closes it
        # The focus goes from there to what has the same id.
        assert '<a id="distribution-told"' in finished.text
        plan = (await browsers.of_manager.get("/distributions/plan", headers=HTMX)).text
        assert plan.count('id="distribution-told"') == 1
        assert "<html" not in finished.text

    async def test_with_nobody_eligible_a_toast_says_so(self, tracker: Service, web: Web) -> None:
        async with web.browser(await a_person(tracker, Role.ADMIN)) as browser:
            answer = await browser.post("/distributions", headers=HTMX)
        assert answer.status_code == 409
        assert "No active account" in answer.headers["HX-Trigger"]


class TestWords:
    @pytest.mark.parametrize(
        ("words", "language", "labels"),
        [
            ("birds", "en", ["Birdie in a cage", "Millet in a bowl"]),
            ("plain", "en", ["Open", "Done"]),
            ("birds", "ru", ["Птичка в клетке", "Просо в миске"]),
            ("plain", "ru", ["Открыта", "Готова"]),
        ],
    )
    async def test_the_two_states_read_as_the_settings_say(
        self, make_service: Callable[..., Service], words: str, language: str, labels: list[str]
    ) -> None:
        tracker = make_service("tracker", status_words=words)
        person, headers = await a_person(tracker), {"Accept-Language": language}
        await a_task(tracker, person)
        async with (
            web_process(tracker) as web,
            web.browser(person, **headers) as browser,
        ):
            page = (await browser.get("/all")).text
        for value, label in zip(["open", "done"], labels, strict=True):
            assert f'value="{value}">{label}</option>' in page

    async def test_a_refusal_is_told_in_the_readers_language(self, web: Web, browsers: Browsers) -> None:
        async with web.browser(browsers.worker, **{"Accept-Language": "ru"}) as browser:
            answer = await browser.post("/tasks", data={"title": "[x]"})
        assert "квадратных скобок" in answer.text
