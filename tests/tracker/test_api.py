"""The JSON API: what it answers, and how it refuses what is wrong."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from joserfc.jwk import ECKey

from service_kit.identity import CurrentUser, Role
from tests.support.services import Service
from tests.support.web import Web, web_process
from tests.tracker.makers import a_person, a_task, people, run_to_the_end
from tracker.domain import Rates

PROBLEM = "application/problem+json"
UNKNOWN = "01990000-0000-7000-8000-000000000000"
"""A task that never was."""


@dataclass
class Staff:
    """One of each, with a client that carries the person's token."""

    worker: CurrentUser
    as_worker: httpx2.AsyncClient
    manager: CurrentUser
    as_manager: httpx2.AsyncClient
    as_client: httpx2.AsyncClient


@pytest.fixture
async def staff(tracker: Service, web: Web) -> AsyncIterator[Staff]:
    worker, manager = await a_person(tracker), await a_person(tracker, Role.MANAGER)
    client = await a_person(tracker, Role.CLIENT)
    async with web.api(worker) as as_worker, web.api(manager) as as_manager, web.api(client) as as_client:
        yield Staff(worker, as_worker, manager, as_manager, as_client)


def problem(answer: httpx2.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The one shape of every error."""
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (status, PROBLEM), (
        answer.text
    )
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert {"type", "title", "detail", "code"} <= set(body)
    if code is not None:
        assert body["code"] == code
    return body


class TestTasks:
    async def test_a_new_task_comes_back_with_its_assignee(self, staff: Staff) -> None:
        new = {"title": "Paint the perch", "jira_id": "popug-17", "description": "Green"}
        answer = await staff.as_manager.post("/api/v1/tasks", json=new)
        assert answer.status_code == 201
        task = answer.json()
        assert (task["title"], task["jira_id"], task["description"]) == (
            "Paint the perch",
            "POPUG-17",
            "Green",
        )
        assert (task["status"], task["cycle"], task["version"]) == ("open", 1, 1)
        assert task["assignee_id"] == str(staff.worker.guid)
        assert task.pop("open_with_same_key") == []
        assert (await staff.as_worker.get(f"/api/v1/tasks/{task['id']}")).json() == task

    async def test_every_employee_creates_and_a_client_does_not(
        self, tracker: Service, web: Web, staff: Staff
    ) -> None:
        for role in (Role.WORKER, Role.MANAGER, Role.ACCOUNTANT, Role.ADMIN):
            async with web.api(await a_person(tracker, role)) as as_role:
                assert (await as_role.post("/api/v1/tasks", json={"title": "x"})).status_code == 201
        problem(await staff.as_client.post("/api/v1/tasks", json={"title": "x"}), 403, "wrong_role")

    @pytest.mark.parametrize("title", ["[POP-1] - Paint", "Paint [now", "Paint now]"])
    async def test_a_title_with_brackets_is_refused_by_its_field(
        self, tracker: Service, staff: Staff, title: str
    ) -> None:
        body = problem(
            await staff.as_worker.post("/api/v1/tasks", json={"title": title}), 422, "title_has_brackets"
        )
        assert [error["field"] for error in body["errors"]] == ["title"]
        assert await tracker.said() == []

    async def test_with_nobody_eligible_creation_is_refused(self, tracker: Service, web: Web) -> None:
        async with web.api(await a_person(tracker, Role.ADMIN)) as as_admin:
            answer = await as_admin.post("/api/v1/tasks", json={"title": "x"})
        problem(answer, 409, "nobody_to_assign")

    async def test_lists_page_through_everything_once_newest_first(
        self, tracker: Service, staff: Staff
    ) -> None:
        made = [str((await a_task(tracker, staff.manager, f"Task {n}")).id) for n in range(5)]
        seen, cursor = [], None
        while True:
            params = {"limit": 2, **({"cursor": cursor} if cursor else {})}
            page = (await staff.as_worker.get("/api/v1/tasks", params=params)).json()
            seen += [item["id"] for item in page["items"]]
            if (cursor := page["next"]) is None:
                break
        assert seen == made[::-1]

    async def test_lists_filter_by_status_assignee_and_text(
        self, tracker: Service, web: Web, staff: Staff
    ) -> None:
        feed = await a_task(tracker, staff.manager, "Feed 100% of them", jira_id="POP-7")
        paint = await a_task(tracker, staff.manager, "Paint")
        await staff.as_worker.post(f"/api/v1/tasks/{paint.id}/complete")

        async def found(client: httpx2.AsyncClient, **params: str) -> list[str]:
            page = (await client.get("/api/v1/tasks", params=params)).json()
            return [item["title"] for item in page["items"]]

        assert await found(staff.as_worker, status="open") == [feed.title]
        assert await found(staff.as_worker, status="done", assignee="me") == ["Paint"]
        assert await found(staff.as_manager, assignee="me") == []
        assert await found(staff.as_manager, assignee=str(staff.worker.guid)) == ["Paint", feed.title]
        assert await found(staff.as_worker, search="100%") == [feed.title]
        assert await found(staff.as_worker, search="pop-") == [feed.title]
        assert await found(staff.as_worker, search="%") == []
        assert await found(staff.as_worker, search="nul\x00") == []

    async def test_history_tells_what_happened(self, tracker: Service, staff: Staff) -> None:
        task = await a_task(tracker, staff.manager)
        await staff.as_worker.post(f"/api/v1/tasks/{task.id}/complete")
        page = (await staff.as_manager.get(f"/api/v1/tasks/{task.id}/history")).json()
        assert [item["kind"] for item in page["items"]] == ["created", "assigned", "completed"]
        assert page["next"] is None


class TestComplete:
    async def test_once_by_the_assignee(self, tracker: Service, staff: Staff) -> None:
        task = await a_task(tracker, staff.manager)
        address = f"/api/v1/tasks/{task.id}/complete"
        problem(await staff.as_manager.post(address), 403, "not_the_assignee")
        done = await staff.as_worker.post(address)
        assert (done.status_code, done.json()["status"]) == (200, "done")
        assert done.json()["completed_at"] is not None
        problem(await staff.as_worker.post(address), 409, "task_already_done")

    async def test_two_at_once_are_one_200_and_one_409(self, tracker: Service, staff: Staff) -> None:
        task = await a_task(tracker, staff.manager)
        address = f"/api/v1/tasks/{task.id}/complete"
        answers = await asyncio.gather(*(staff.as_worker.post(address) for _ in range(2)))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 1}

    async def test_a_repeat_under_one_idempotency_key_gets_the_first_answer(
        self, tracker: Service, staff: Staff
    ) -> None:
        task = await a_task(tracker, staff.manager)
        address, once = f"/api/v1/tasks/{task.id}/complete", {"Idempotency-Key": "click-1"}
        first, again = [await staff.as_worker.post(address, headers=once) for _ in range(2)]
        assert first.status_code == again.status_code == 200
        assert first.json() == again.json()


class TestUpdate:
    async def test_changes_what_is_named(self, tracker: Service, staff: Staff) -> None:
        task = await a_task(tracker, staff.manager, "Feed", jira_id="POP-1")
        address = f"/api/v1/tasks/{task.id}"
        answer = await staff.as_worker.patch(address, json={"version": 1, "jira_id": None})
        assert answer.status_code == 200
        assert (answer.json()["title"], answer.json()["jira_id"], answer.json()["version"]) == (
            "Feed",
            None,
            2,
        )

    async def test_an_edit_on_an_older_text_is_a_conflict(self, tracker: Service, staff: Staff) -> None:
        task = await a_task(tracker, staff.manager)
        address = f"/api/v1/tasks/{task.id}"
        await staff.as_worker.patch(address, json={"version": 1, "title": "Mine"})
        answer = await staff.as_manager.patch(address, json={"version": 1, "title": "Mine instead"})
        problem(answer, 409, "version_conflict")
        assert (await staff.as_worker.get(address)).json()["title"] == "Mine"


class TestDistributions:
    async def test_a_press_is_accepted_and_its_progress_can_be_read(
        self, tracker: Service, staff: Staff
    ) -> None:
        await people(tracker, 2)
        for _ in range(3):
            await a_task(tracker, staff.manager)
        answer = await staff.as_manager.post("/api/v1/distributions")
        assert answer.status_code == 202
        run = answer.json()
        assert (run["status"], run["tasks_total"], run["tasks_assigned"]) == ("running", 3, 0)
        await run_to_the_end(tracker)
        address = answer.headers["Location"].removeprefix("/tracker")
        finished = (await staff.as_manager.get(address)).json()
        assert (finished["id"], finished["status"], finished["tasks_assigned"]) == (run["id"], "done", 3)
        listed = (await staff.as_manager.get("/api/v1/distributions")).json()
        assert [item["id"] for item in listed["items"]] == [run["id"]]

    async def test_presses_at_once_answer_one_run(self, tracker: Service, staff: Staff) -> None:
        await a_task(tracker, staff.manager)
        answers = await asyncio.gather(*(staff.as_manager.post("/api/v1/distributions") for _ in range(3)))
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1

    @pytest.mark.parametrize("role", [Role.WORKER, Role.ACCOUNTANT, Role.CLIENT])
    async def test_is_for_managers_and_admins(self, tracker: Service, web: Web, role: Role) -> None:
        async with web.api(await a_person(tracker, role)) as as_role:
            problem(await as_role.post("/api/v1/distributions"), 403, "wrong_role")
            problem(await as_role.get("/api/v1/distributions"), 403, "wrong_role")


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "status", "field"),
        [
            (b'{"title": ', 400, None),
            (b"[]", 422, None),
            (b"{}", 422, "title"),
            (b'{"title": 7}', 422, "title"),
            (b'{"title": null}', 422, "title"),
            (b'{"title": "x", "assignee_id": "me"}', 422, "assignee_id"),
            (b'{"title": "x", "jira_id": "no key"}', 422, "jira_id"),
            (b'{"title": "' + b"x" * 201 + b'"}', 422, "title"),
            (b'{"title": "' + b"x" * 20_000 + b'"}', 422, "title"),
            (b'{"title": "   "}', 422, "title"),
            (b'{"title": "a\\u0000b"}', 422, "title"),
            (b'{"title": "a\\ud800b"}', 422, "title"),
            (b'{"title": "x", "description": "' + b"x" * 10_001 + b'"}', 422, "description"),
            (b"\xff\xfe", 400, None),
        ],
    )
    async def test_a_wrong_body_is_refused_and_changes_nothing(
        self, tracker: Service, staff: Staff, body: bytes, status: int, field: str | None
    ) -> None:
        answer = await staff.as_worker.post(
            "/api/v1/tasks", content=body, headers={"Content-Type": "application/json"}
        )
        said = problem(answer, status)
        if field is not None:
            assert field in {error["field"].split(".")[-1] for error in said["errors"]}
        assert await tracker.said() == []

    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", f"/api/v1/tasks/{UNKNOWN}", 404, "task_not_found"),
            ("GET", f"/api/v1/tasks/{UNKNOWN}/history", 404, "task_not_found"),
            ("POST", f"/api/v1/tasks/{UNKNOWN}/complete", 404, "task_not_found"),
            ("GET", "/api/v1/tasks/not-an-id", 422, None),
            ("GET", "/api/v1/tasks?limit=0", 422, None),
            ("GET", "/api/v1/tasks?limit=many", 422, None),
            ("GET", "/api/v1/tasks?cursor=nonsense", 422, None),
            ("GET", "/api/v1/tasks?status=closed", 422, None),
            ("GET", "/api/v1/tasks?assignee=somebody", 422, None),
            ("GET", "/api/v1/nothing", 404, None),
            ("DELETE", "/api/v1/tasks", 405, None),
        ],
    )
    async def test_a_wrong_address_is_a_clear_problem(
        self, staff: Staff, method: str, path: str, status: int, code: str | None
    ) -> None:
        problem(await staff.as_worker.request(method, path), status, code)

    async def test_an_unknown_distribution_is_not_found(self, staff: Staff) -> None:
        answer = await staff.as_manager.get(f"/api/v1/distributions/{uuid4()}")
        problem(answer, 404, "distribution_not_found")


class TestTokens:
    async def test_nobody_gets_in_without_a_token_that_holds(self, web: Web, staff: Staff) -> None:
        forged = web.token(staff.worker, key=ECKey.generate_key("P-256", {"kid": "test-key"}))
        wrong = [
            forged,
            web.token(staff.worker, exp=1),
            web.token(staff.worker, aud="http://exchange.test/billing"),
            web.token(staff.worker, iss="http://elsewhere.test"),
            web.token(staff.worker, role="emperor"),
            "nonsense",
        ]
        for headers in [{}, *({"Authorization": f"Bearer {token}"} for token in wrong)]:
            async with web.client(headers=headers) as caller:
                problem(await caller.get("/api/v1/tasks"), 401)
                problem(await caller.post("/api/v1/tasks", json={"title": "x"}), 401)

    async def test_a_form_of_another_site_is_refused(self, tracker: Service, web: Web, staff: Staff) -> None:
        task = await a_task(tracker, staff.manager)
        async with web.browser(staff.worker, **{"Sec-Fetch-Site": "cross-site"}) as foreign:
            assert (await foreign.post(f"/tasks/{task.id}/complete")).status_code == 403
        async with web.browser(staff.worker) as own:
            answer = await own.post(f"/api/v1/tasks/{task.id}/complete")
            assert answer.json()["code"] == "anti_forgery_header_missing"
            answer = await own.post(f"/api/v1/tasks/{task.id}/complete", headers={"X-Requested-With": "page"})
            assert answer.status_code == 200


async def test_the_documented_routes_are_in_the_openapi_description(staff: Staff) -> None:
    paths = (await staff.as_worker.get("/openapi.json")).json()["paths"]
    own = {path: sorted(methods) for path, methods in paths.items() if "dead-letters" not in path}
    assert own == {
        "/api/v1/tasks": ["get", "post"],
        "/api/v1/tasks/batch": ["post"],
        "/api/v1/tasks/{task_id}": ["get", "patch"],
        "/api/v1/tasks/{task_id}/history": ["get"],
        "/api/v1/tasks/{task_id}/complete": ["post"],
        "/api/v1/distributions": ["get", "post"],
        "/api/v1/distributions/{distribution_id}": ["get"],
    }


class TestBatch:
    async def test_each_row_has_its_own_outcome(self, tracker: Service, staff: Staff) -> None:
        rows = [
            {"title": "Feed"},
            {"title": "[x] bad"},
            {"title": "Paint", "jira_id": "pop-1"},
            {"title": " "},
        ]
        answer = await staff.as_manager.post("/api/v1/tasks/batch", json={"tasks": rows})
        assert answer.status_code == 200
        told = answer.json()
        assert told["created"] == 2
        assert [(row["row"], row["status"]) for row in told["results"]] == [
            (0, 201),
            (1, 422),
            (2, 201),
            (3, 422),
        ]
        assert told["results"][1]["problem"]["code"] == "title_has_brackets"
        assert told["results"][3]["problem"]["errors"][0]["field"] == "title"
        assert told["results"][2]["task"]["jira_id"] == "POP-1"
        assert await tracker.scalar("select count(*) from tasks") == 2

    async def test_a_repeat_under_its_key_creates_nothing_again(self, tracker: Service, staff: Staff) -> None:
        for _time in range(2):
            answer = await staff.as_manager.post(
                "/api/v1/tasks/batch", json={"tasks": [{"title": "Feed"}]}, headers={"Idempotency-Key": "one"}
            )
            assert answer.json()["created"] == 1
        assert await tracker.scalar("select count(*) from tasks") == 1

    @pytest.mark.parametrize("count", [0, 501])
    async def test_has_a_size(self, staff: Staff, count: int) -> None:
        rows = [{"title": "Feed"}] * count
        answer = await staff.as_manager.post("/api/v1/tasks/batch", json={"tasks": rows})
        problem(answer, 422, "invalid")


class TestEditions:
    async def test_if_match_saves_on_the_present_edition_and_refuses_an_older_one(
        self, tracker: Service, staff: Staff
    ) -> None:
        task = await a_task(tracker, staff.manager)
        address = f"/api/v1/tasks/{task.id}"
        etag = (await staff.as_manager.get(address)).headers["etag"]
        saved = await staff.as_manager.patch(address, json={"title": "One"}, headers={"If-Match": etag})
        assert (saved.status_code, saved.json()["title"]) == (200, "One")
        assert saved.headers["etag"] != etag
        late = await staff.as_manager.patch(address, json={"title": "Two"}, headers={"If-Match": etag})
        problem(late, 412, "precondition_failed")
        problem(await staff.as_manager.patch(address, json={"title": "Two"}), 422, "edition_missing")
        assert (await staff.as_manager.get(address)).json()["title"] == "One"

    @pytest.mark.parametrize("tag", ['"1-gzip"', '"1-zstd"', 'W/"1"', '"7", "1"', "*"])
    async def test_a_tag_that_a_gateway_changed_names_the_same_edition(
        self, tracker: Service, staff: Staff, tag: str
    ) -> None:
        """Caddy adds the coding of the body to the tag, nginx makes the tag weak."""
        task = await a_task(tracker, staff.manager)
        saved = await staff.as_manager.patch(
            f"/api/v1/tasks/{task.id}", json={"title": "One"}, headers={"If-Match": tag}
        )
        assert saved.status_code == 200

    @pytest.mark.parametrize("tag", ['"2-gzip"', '"11"', "1", '"1', '"none"', ""])
    async def test_a_tag_of_another_edition_saves_nothing(
        self, tracker: Service, staff: Staff, tag: str
    ) -> None:
        task = await a_task(tracker, staff.manager)
        refused = await staff.as_manager.patch(
            f"/api/v1/tasks/{task.id}", json={"title": "One"}, headers={"If-Match": tag}
        )
        problem(refused, 412, "precondition_failed")

    async def test_a_repeated_creation_tells_its_edition_again(self, staff: Staff) -> None:
        once = {"Idempotency-Key": "one"}
        first, again = [
            await staff.as_manager.post("/api/v1/tasks", json={"title": "Feed"}, headers=once)
            for _ in range(2)
        ]
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["etag"] == first.headers["etag"] == '"1"'

    async def test_a_new_task_tells_where_it_is_and_what_is_open_under_its_key(
        self, tracker: Service, staff: Staff
    ) -> None:
        first = await a_task(tracker, staff.manager, jira_id="POP-1")
        answer = await staff.as_manager.post("/api/v1/tasks", json={"title": "Again", "jira_id": "pop-1"})
        assert answer.headers["location"] == f"/tracker/api/v1/tasks/{answer.json()['id']}"
        assert answer.json()["open_with_same_key"] == [str(first.id)]


async def test_too_many_changes_are_told_when_to_come_again(
    make_service: Callable[..., Service],
) -> None:
    slow = make_service("tracker", api_writes_per_minute=2)
    async with web_process(slow) as web:
        one, other = await a_person(slow, Role.MANAGER), await a_person(slow)
        async with web.api(one) as hasty, web.api(other) as calm:
            codes = [
                (await hasty.post("/api/v1/tasks", json={"title": "Feed"})).status_code for _ in range(2)
            ]
            refused = await hasty.post("/api/v1/tasks", json={"title": "Feed"})
            assert codes == [201, 201]
            problem(refused, 429, "too_many_requests")
            assert 1 <= int(refused.headers["retry-after"]) <= 30
            assert (await hasty.get("/api/v1/tasks")).status_code == 200
            assert (await calm.post("/api/v1/tasks", json={"title": "Feed"})).status_code == 201


def test_a_bucket_fills_again_and_forgets_nobody_too_early() -> None:
    rates, someone = Rates(60), UUID(int=1)
    assert [rates.take(someone, 0.0) for _ in range(60)] == [0] * 60
    assert rates.take(someone, 0.5) == 1
    assert rates.take(someone, 1.0) == 0
    assert rates.take(someone, 1.0) == 1
    assert [rates.take(someone, 100.0) for _ in range(61)] == [0] * 60 + [1]
