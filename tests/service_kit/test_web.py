"""The frame of every web process: transactions, failures, safety, ids, languages, health."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import httpx2
import pytest
from fastapi import Request, Response
from prometheus_client import REGISTRY
from pydantic import Field
from sqlalchemy import select, text

from service_kit.clock import FixedClock
from service_kit.errors import Conflict, Unavailable
from service_kit.identity import Actor, Role, require
from service_kit.outbox import outbox, publish
from service_kit.text import message as _
from service_kit.web import ClockDep, Line, Payload, Reading, ServiceRouter, Writing, create_app, runtime_of
from tests.conftest import NOON
from tests.support.databases import Databases
from tests.support.issuer import Issuer
from tests.support.sample.events import SAYS, TaskCompleted
from tests.support.sample.models import Effect
from tests.support.sample.settings import SampleSettings
from tests.support.sample_web import HTMX, PAGE, SAME_ORIGIN, Web, running_web, sign_in
from tests.support.services import SHARED_SETTINGS, Service

ISSUER = "http://exchange.test/auth"
SAMPLE = "http://exchange.test/sample"
NOWHERE = "postgresql://nobody@localhost:1/nothing"
EN = {"Accept-Language": "en"}


class Occupied(Conflict):
    code = "perch_occupied"
    title = _("That does not fit the present state")


class NewEffect(Payload):
    what: Line
    number: int = Field(default=0, ge=0, le=10)
    task_id: UUID | None = None


def routes() -> ServiceRouter:  # noqa: C901  a list of small routes, each one simple
    router = ServiceRouter()

    @router.post("/api/v1/effects", status_code=201)
    async def add(session: Writing, new: NewEffect) -> dict[str, str]:
        session.add(Effect(task_id=uuid4(), what=new.what))
        return {"what": new.what}

    @router.post("/api/v1/mine", status_code=201)
    async def add_mine(session: Writing, actor: Actor, new: NewEffect, response: Response) -> dict[str, str]:
        session.add(Effect(task_id=actor.guid, what=new.what))
        response.headers["Location"] = "/sample/api/v1/mine/1"
        return {"what": new.what, "answer": str(uuid4())}

    @router.post("/api/v1/refused")
    async def refused(session: Writing, actor: Actor) -> None:
        session.add(Effect(task_id=actor.guid, what="refused"))
        await session.flush()
        raise Occupied(_("At most {le}.", le=3))

    @router.post("/api/v1/broken")
    async def broken(session: Writing) -> None:
        session.add(Effect(task_id=uuid4(), what="broken"))
        await session.flush()
        raise RuntimeError("a secret of the house")

    @router.post("/api/v1/commit-fails", status_code=201)
    async def commit_fails(request: Request, session: Writing) -> dict[str, str]:
        pid = await session.scalar(text("select pg_backend_pid()"))
        async with runtime_of(request).database.reading() as another:
            await another.execute(text("select pg_terminate_backend(:pid)"), {"pid": pid})
        return {"state": "done"}

    @router.get("/api/v1/writes-in-a-read")
    async def writes_in_a_read(session: Reading) -> None:
        await session.execute(text("insert into effects (task_id, what) values (gen_random_uuid(), 'sly')"))

    @router.post("/api/v1/said")
    async def said(session: Writing, clock: ClockDep) -> None:
        fact = TaskCompleted(task_id=uuid4(), user_guid=uuid4(), cycle=1, completed_at=clock.now())
        await publish(session, fact, key=fact.task_id, occurred_at=clock.now())

    @router.get("/api/v1/effects/count")
    async def count(session: Reading) -> dict[str, int]:
        return {"effects": await session.scalar(text("select count(*) from effects")) or 0}

    @router.get("/api/v1/effects/{number}")
    async def one(number: int) -> dict[str, int]:
        return {"number": number}

    @router.get("/api/v1/now")
    async def now(clock: ClockDep) -> dict[str, datetime]:
        return {"now": clock.now()}

    @router.get("/api/v1/away")
    async def away() -> None:
        raise Unavailable(_("Please try again in a moment."))

    @router.get("/api/v1/admin", dependencies=[require(Role.ADMIN)])
    async def admin() -> dict[str, str]:
        return {"secret": "millet"}

    @router.get("/page")
    async def page(_actor: Actor) -> Response:
        return Response("<h1>In</h1>", media_type="text/html")

    @router.post("/form")
    async def form() -> Response:
        return Response(status_code=303, headers={"Location": "/sample/page"})

    return router


URLS = SHARED_SETTINGS["public_urls"] | {"sample": SAMPLE, "billing": "https://money.exchange.test"}


@pytest.fixture
def issuer() -> Issuer:
    return Issuer(ISSUER, [SAMPLE])


@pytest.fixture
def sample(make_service: Callable[..., Service]) -> Service:
    return make_service("tests.support.sample", public_urls=URLS)


@pytest.fixture
async def web(sample: Service, issuer: Issuer) -> AsyncIterator[Web]:
    async with running_web(sample, [routes()], issuer, says=SAYS) as running:
        yield running


@pytest.fixture(scope="module")
async def standing(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Web]:
    """One process for all claims that leave nothing in its database."""
    folder = tmp_path_factory.mktemp("standing")
    service = Service.made("tests.support.sample", databases, FixedClock(NOON), folder, public_urls=URLS)
    async with running_web(service, [routes()], Issuer(ISSUER, [SAMPLE]), says=SAYS) as running:
        yield running
    await service.close()
    databases.drop(service.addresses)


@pytest.fixture
async def client(standing: Web) -> AsyncIterator[httpx2.AsyncClient]:
    async with standing.client() as one:
        yield one


async def effects(service: Service) -> list[str]:
    async with service.reading() as session:
        return list(await session.scalars(select(Effect.what).order_by(Effect.id)))


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, object]:
    """Every failure has the one shape."""
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    body: dict[str, object] = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "code", "errors"}
    assert (body["status"], body["code"], body["type"]) == (status, code, f"urn:ates:problem:{code}")
    assert body["title"]
    return body


class TestTransactions:
    async def test_an_answer_means_it_is_kept(self, web: Web, sample: Service) -> None:
        """When the caller has the answer, the row is committed."""
        async with web.client() as client:
            answer = await client.post("api/v1/effects", json={"what": "seed"})
        assert answer.status_code == 201
        assert await effects(sample) == ["seed"]

    @pytest.mark.parametrize(("path", "status"), [("api/v1/refused", 409), ("api/v1/broken", 500)])
    async def test_a_failure_leaves_nothing(self, web: Web, sample: Service, path: str, status: int) -> None:
        """Whatever a route did before it raised is rolled back."""
        async with web.api() as client:
            assert (await client.post(path)).status_code == status
        assert await effects(sample) == []

    async def test_commit_comes_before_the_answer(self, client: httpx2.AsyncClient) -> None:
        """A commit that fails is never hidden behind an answer of success."""
        problem(await client.post("api/v1/commit-fails"), 503, "database_unavailable")

    async def test_reads_cannot_write(self, client: httpx2.AsyncClient, standing: Web) -> None:
        """The database itself refuses what a GET may not do."""
        problem(await client.get("api/v1/writes-in-a-read"), 500, "internal_error")
        assert await effects(standing.service) == []

    async def test_connections_that_the_server_closed_are_passed_over(
        self, web: Web, sample: Service
    ) -> None:
        """After a restart of the database nobody is told of the connections that were kept."""
        async with web.client() as client:
            for expected in (1, 2):
                assert (await client.post("api/v1/effects", json={"what": "seed"})).status_code == 201
                assert (await client.get("api/v1/effects/count")).json() == {"effects": expected}
                server = await asyncpg.connect(sample.addresses.superuser)
                ended = await server.fetch(
                    "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )
                await server.close()
                assert len(ended) > 1

    async def test_the_click_names_its_events(self, web: Web, sample: Service) -> None:
        """The request's id is the correlation id of what it said."""
        async with web.client() as client:
            answer = await client.post("api/v1/said", headers={"X-Request-Id": "click-on-complete"})
        assert answer.status_code == 200
        async with sample.reading() as session:
            assert await session.scalar(select(outbox.c.correlation_id)) == "click-on-complete"


class TestIdempotency:
    async def test_a_repeat_gets_the_first_answer(self, web: Web, sample: Service) -> None:
        """The same request under the same key is done once and answered alike."""
        async with web.api() as client:
            key = {"Idempotency-Key": "k-1"}
            first = await client.post("api/v1/mine", json={"what": "seed"}, headers=key)
            again = await client.post("api/v1/mine", json={"what": "seed"}, headers=key)
        assert (
            (first.status_code, first.content) == (again.status_code, again.content) == (201, first.content)
        )
        assert again.headers["Location"] == first.headers["Location"]
        assert ("Idempotent-Replayed" in first.headers, again.headers["Idempotent-Replayed"]) == (
            False,
            "true",
        )
        assert await effects(sample) == ["seed"]

    async def test_another_content_under_the_key_is_refused(self, web: Web, sample: Service) -> None:
        """A key belongs to one request."""
        async with web.api() as client:
            key = {"Idempotency-Key": "k-1"}
            await client.post("api/v1/mine", json={"what": "seed"}, headers=key)
            answer = await client.post("api/v1/mine", json={"what": "millet"}, headers=key)
        problem(answer, 409, "idempotency_key_reused")
        assert await effects(sample) == ["seed"]

    async def test_repeats_at_the_same_time_are_one(self, web: Web, sample: Service) -> None:
        """Requests that race under one key wait for the first and share its answer."""
        async with web.api() as client:
            key = {"Idempotency-Key": "k-1"}
            answers = await asyncio.gather(
                *(client.post("api/v1/mine", json={"what": "seed"}, headers=key) for _ in range(8))
            )
        assert {answer.content for answer in answers} == {answers[0].content}
        assert await effects(sample) == ["seed"]

    async def test_a_failure_is_not_kept(self, web: Web) -> None:
        """What was rolled back may be tried again under its key."""
        async with web.api() as client:
            key = {"Idempotency-Key": "k-1"}
            for _attempt in range(2):
                problem(await client.post("api/v1/refused", headers=key), 409, "perch_occupied")

    async def test_keys_of_two_accounts_do_not_meet(self, web: Web, sample: Service) -> None:
        """Everybody has keys of their own."""
        for account in (uuid4(), uuid4()):
            async with web.api(sub=str(account)) as client:
                await client.post("api/v1/mine", json={"what": "seed"}, headers={"Idempotency-Key": "k-1"})
        assert await effects(sample) == ["seed", "seed"]

    async def test_a_key_needs_somebody(self, client: httpx2.AsyncClient) -> None:
        """Without an account there is nobody whose key it could be."""
        answer = await client.post("api/v1/effects", json={"what": "seed"}, headers={"Idempotency-Key": "k"})
        problem(answer, 401, "unauthenticated")

    async def test_a_key_is_short_and_plain(self, web: Web) -> None:
        """Endless keys are refused before anything is stored."""
        async with web.api() as client:
            answer = await client.post(
                "api/v1/mine", json={"what": "s"}, headers={"Idempotency-Key": "k" * 256}
            )
        problem(answer, 400, "malformed")


class TestFailures:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"what": "seed", "colour": "green"}, "colour"),
            ({}, "what"),
            ({"what": ""}, "what"),
            ({"what": "   "}, "what"),
            ({"what": "x" * 256}, "what"),
            ({"what": 17}, "what"),
            ({"what": "seed", "number": 11}, "number"),
            ({"what": "seed", "number": "many"}, "number"),
            ({"what": "seed", "task_id": "not-an-id"}, "task_id"),
        ],
    )
    async def test_fields_are_named(
        self, client: httpx2.AsyncClient, standing: Web, body: dict[str, object], field: str
    ) -> None:
        """Unknown, missing, endless and wrong fields are each told by name, and nothing changes."""
        told = problem(await client.post("api/v1/effects", json=body), 422, "invalid")
        assert [error["field"] for error in told["errors"]] == [field]  # type: ignore[attr-defined]
        assert await effects(standing.service) == []

    async def test_a_list_is_no_object(self, client: httpx2.AsyncClient) -> None:
        """A body of another shape is told as such."""
        problem(await client.post("api/v1/effects", json=[1, 2]), 422, "invalid")

    @pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"what": }'])
    async def test_malformed_json(self, client: httpx2.AsyncClient, content: bytes) -> None:
        """What is not JSON is a malformed request."""
        answer = await client.post(
            "api/v1/effects", content=content, headers={"Content-Type": "application/json"}
        )
        problem(answer, 400, "malformed")

    async def test_too_large(self, client: httpx2.AsyncClient) -> None:
        """A declared length over the limit is refused before it is read."""
        problem(await client.post("api/v1/effects", json={"what": "x" * 2**20}), 413, "too_large")

    async def test_too_large_without_a_length(self, client: httpx2.AsyncClient) -> None:
        """A body that does not say how long it is meets the same limit."""

        async def endless() -> AsyncIterator[bytes]:
            for _part in range(40):
                yield b"x" * 2**16

        answer = await client.post(
            "api/v1/effects", content=endless(), headers={"Content-Type": "application/json"}
        )
        problem(answer, 413, "too_large")

    async def test_no_such_address(self, client: httpx2.AsyncClient) -> None:
        """404 has the same shape."""
        problem(await client.get("api/v1/nothing"), 404, "not_found")

    async def test_no_such_method(self, client: httpx2.AsyncClient) -> None:
        """405 has it too, and says what is possible."""
        answer = await client.put("api/v1/effects")
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == "POST"

    async def test_parameters_are_checked_too(self, client: httpx2.AsyncClient) -> None:
        """A wrong path parameter is a field like any other."""
        told = problem(await client.get("api/v1/effects/x"), 422, "invalid")
        assert told["errors"] == [{"field": "number", "message": "This must be a whole number."}]

    async def test_secrets_of_the_house_stay(self, client: httpx2.AsyncClient) -> None:
        """An unexpected error tells nothing of itself, to programs or to people."""
        answer = await client.post("api/v1/broken")
        problem(answer, 500, "internal_error")
        assert "secret" not in answer.text
        shown = await client.post("api/v1/broken", headers=HTMX)
        assert "secret" not in shown.text + str(shown.headers)

    async def test_in_the_language_of_the_reader(self, web: Web) -> None:
        """Title, detail and parameters are translated."""
        async with web.api() as client:
            told = problem(
                await client.post("api/v1/refused", headers={"Accept-Language": "ru"}), 409, "perch_occupied"
            )
        assert told["title"] == "Сейчас это невозможно"
        assert told["detail"] == "Не больше 3."  # noqa: RUF001  it is Russian

    async def test_people_see_a_page(self, client: httpx2.AsyncClient) -> None:
        """A browser gets a page with the same facts."""
        answer = await client.get("nothing", headers=PAGE)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert "There is nothing here" in answer.text
        assert answer.headers["X-Request-Id"] in answer.text

    async def test_the_api_never_answers_with_a_page(self, client: httpx2.AsyncClient) -> None:
        """A browser that opens an API address is answered by the API."""
        problem(await client.get("api/v1/nothing", headers=PAGE), 404, "not_found")

    async def test_htmx_gets_a_toast(self, client: httpx2.AsyncClient) -> None:
        """A part of a page that fails leaves the page and says why in passing."""
        answer = await client.get("api/v1/away", headers=HTMX)
        problem(answer, 503, "unavailable")
        assert answer.headers["HX-Reswap"] == "none"
        assert "Please try again in a moment." in answer.headers["HX-Trigger"]

    async def test_a_russian_toast_fits_a_header(self, client: httpx2.AsyncClient) -> None:
        """Words beyond ASCII travel escaped."""
        answer = await client.get("api/v1/away", headers=HTMX | {"Accept-Language": "ru"})
        assert answer.headers["HX-Trigger"].isascii()

    async def test_away_tells_when_to_come_back(self, client: httpx2.AsyncClient) -> None:
        """503 names a pause."""
        assert (await client.get("api/v1/away")).headers["Retry-After"] == "5"


class TestSafety:
    @pytest.mark.parametrize(
        ("headers", "passes"),
        [
            ({"Sec-Fetch-Site": "same-origin"}, True),
            ({"Sec-Fetch-Site": "none"}, True),
            ({"Sec-Fetch-Site": "same-site"}, False),
            ({"Sec-Fetch-Site": "cross-site"}, False),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "http://exchange.test"}, False),
            ({"Origin": "http://exchange.test"}, True),
            ({"Origin": "http://evil.test"}, False),
            ({"Origin": "https://exchange.test"}, False),
            ({"Origin": "null"}, False),
            ({"Cookie": "ates-sample=x"}, False),
            ({}, True),
        ],
    )
    async def test_forms_of_other_sites(
        self,
        client: httpx2.AsyncClient,
        sample: Service,
        headers: dict[str, str],
        passes: bool,  # noqa: FBT001  a parameter of the table above
    ) -> None:
        """A form of another site changes nothing; a plain form of ours needs no script to pass."""
        answer = await client.post("form", headers=headers)
        if passes:
            assert answer.status_code == 303
        else:
            problem(answer, 403, "foreign_origin")

    async def test_tokens_need_no_origin(self, web: Web) -> None:
        """A bearer token is never sent by accident, so its calls may come from anywhere."""
        async with web.api() as client:
            answer = await client.post(
                "api/v1/mine", json={"what": "seed"}, headers={"Sec-Fetch-Site": "cross-site"}
            )
        assert answer.status_code == 201

    async def test_scripts_with_a_cookie_show_themselves(self, web: Web, issuer: Issuer) -> None:
        """The API takes the session's cookie only beside a header that no foreign form can send."""
        async with web.client(**SAME_ORIGIN) as client:
            await sign_in(client, issuer)
            body = {"what": "seed"}
            problem(await client.post("api/v1/mine", json=body), 403, "anti_forgery_header_missing")
            answer = await client.post("api/v1/mine", json=body, headers={"X-Requested-With": "fetch"})
        assert answer.status_code == 201

    async def test_headers_of_every_answer(self, client: httpx2.AsyncClient) -> None:
        """Pages, failures and API answers carry the same protection."""
        for path in ("api/v1/now", "nothing", "static/app.css"):
            headers = (await client.get(path)).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["Referrer-Policy"] == "same-origin"
            policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
            assert policy["default-src"] == "'self'"
            assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
            assert policy["connect-src"] == "'self' https://money.exchange.test"
            assert "unsafe" not in headers["Content-Security-Policy"]

    async def test_each_answer_has_its_own_nonce(self, client: httpx2.AsyncClient) -> None:
        """A nonce that was seen opens nothing."""
        first, second = [(await client.get("nothing", headers=PAGE)) for _ in range(2)]
        assert first.headers["Content-Security-Policy"] != second.headers["Content-Security-Policy"]
        nonce = first.headers["Content-Security-Policy"].split("'nonce-")[1].split("'")[0]
        assert f'nonce="{nonce}"' in first.text

    async def test_personal_answers_are_not_stored(self, client: httpx2.AsyncClient) -> None:
        """What is about somebody stays out of every cache."""
        assert (await client.get("api/v1/now")).headers["Cache-Control"] == "no-store"

    async def test_roles_are_kept_apart(self, standing: Web) -> None:
        """A role that is not named does not pass."""
        async with standing.api(role="worker") as client:
            problem(await client.get("api/v1/admin"), 403, "wrong_role")
        async with standing.api(role="admin") as client:
            assert (await client.get("api/v1/admin")).status_code == 200


class TestRequestIds:
    @pytest.mark.parametrize("given", ["abcd1234", "0198c0de-aaaa-7000-8000-000000000001", "a.b_c-d-e"])
    async def test_a_sane_one_is_kept(self, client: httpx2.AsyncClient, given: str) -> None:
        """What the gateway or a caller named keeps its name."""
        answer = await client.get("api/v1/now", headers={"X-Request-Id": given})
        assert answer.headers["X-Request-Id"] == given

    @pytest.mark.parametrize("given", ["", "short", "x" * 129, "with space", '{"json":1}', "line\tbreak"])
    async def test_any_other_is_replaced(self, client: httpx2.AsyncClient, given: str) -> None:
        """Whatever could spoil a log line is not repeated."""
        answer = await client.get("api/v1/now", headers={"X-Request-Id": given})
        assert UUID(answer.headers["X-Request-Id"]).version == 7


class TestPlaces:
    async def test_with_and_without_the_gateway(self, standing: Web) -> None:
        """The same process answers behind the gateway's prefix and at its own port."""
        transport = httpx2.ASGITransport(standing.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:1234") as direct:
            for path in ("/sample/api/v1/effects/3", "/api/v1/effects/3"):
                assert (await direct.get(path)).json() == {"number": 3}

    async def test_a_similar_prefix_is_another_place(self, standing: Web) -> None:
        """Only whole path parts count."""
        transport = httpx2.ASGITransport(standing.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:1234") as direct:
            assert (await direct.get("/samples/api/v1/effects/3")).status_code == 404

    async def test_head_answers_like_get(self, client: httpx2.AsyncClient) -> None:
        """HEAD has the headers of GET and no body."""
        answer = await client.head("api/v1/effects/3")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["Content-Type"] == "application/json"

    async def test_openapi_is_published(self, client: httpx2.AsyncClient) -> None:
        """The API describes itself, with the address that callers use."""
        described = (await client.get("openapi.json")).json()
        assert described["servers"] == [{"url": SAMPLE}]
        assert "/api/v1/effects" in described["paths"]
        assert "/login" not in described["paths"]


class TestBusinessTime:
    async def test_a_loader_plays_past_days(self, client: httpx2.AsyncClient) -> None:
        """A local exchange lets one request happen at another business time."""
        played = {"X-Business-Time": "2026-01-05T10:00:00+03:00"}
        answer = await client.get("api/v1/now", headers=played)
        assert datetime.fromisoformat(answer.json()["now"]) == datetime(2026, 1, 5, 7, tzinfo=UTC)

    @pytest.mark.parametrize("moment", ["yesterday", "2026-01-05T10:00:00"])
    async def test_a_time_needs_its_zone(self, client: httpx2.AsyncClient, moment: str) -> None:
        """What is no point in time is refused."""
        problem(await client.get("api/v1/now", headers={"X-Business-Time": moment}), 400, "malformed")

    async def test_production_does_not_listen(
        self, make_service: Callable[..., Service], issuer: Issuer
    ) -> None:
        """Outside of a local exchange the header is nothing."""
        urls = SHARED_SETTINGS["public_urls"] | {"sample": SAMPLE}
        service = make_service("tests.support.sample", public_urls=urls, environment="production")
        async with running_web(service, [routes()], issuer) as web, web.client() as client:
            answer = await client.get("api/v1/now", headers={"X-Business-Time": "2026-01-05T10:00:00Z"})
        assert datetime.fromisoformat(answer.json()["now"]) == service.clock.now()


class TestLanguages:
    @pytest.mark.parametrize(
        ("headers", "word"),
        [
            ({}, "nothing here"),
            ({"Accept-Language": "ru"}, "ничего нет"),
            ({"Accept-Language": "ru", "Cookie": "ates-locale=en"}, "nothing here"),
            ({"Accept-Language": "en", "Cookie": "ates-locale=ru"}, "ничего нет"),
            ({"Accept-Language": "ru", "Cookie": "ates-locale=xx"}, "ничего нет"),
        ],
    )
    async def test_choice_before_preference(
        self, client: httpx2.AsyncClient, headers: dict[str, str], word: str
    ) -> None:
        """What was chosen in this browser stands above what the browser says."""
        assert word in (await client.get("nothing", headers=PAGE | headers)).text

    async def test_the_account_before_the_browser(self, web: Web, issuer: Issuer) -> None:
        """The language of the account stands above the browser's, below the choice."""
        issuer.locale = "ru"
        async with web.client(**PAGE, **EN) as client:
            await sign_in(client, issuer)
            assert 'lang="ru"' in (await client.get("nothing")).text
            await client.post("locale", data={"locale": "en", "back": "/sample/page"})
            assert 'lang="en"' in (await client.get("nothing")).text

    @pytest.mark.parametrize("back", ["//evil.test", "https://evil.test/", "/\\evil.test", "evil"])
    async def test_the_switch_leads_nowhere_else(self, client: httpx2.AsyncClient, back: str) -> None:
        """The way back from the switch stays on our own site."""
        answer = await client.post("locale", data={"locale": "ru", "back": back}, headers=SAME_ORIGIN)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sample/")


class TestHealth:
    async def ready(self, standing: Web) -> httpx2.Response:
        transport = httpx2.ASGITransport(standing.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:1234") as direct:
            return await direct.get("/health/ready")

    async def test_ready_when_everything_is_known(self, standing: Web) -> None:
        """With the database up and every schema known the process takes requests."""
        async with asyncio.timeout(10):
            while (answer := await self.ready(standing)).status_code != 200:
                await asyncio.sleep(0)
        assert answer.json() == {"status": "ready", "reasons": []}

    async def test_not_ready_while_something_is_missing(self, standing: Web) -> None:
        """A service's own checks are asked as well, and the reason is told."""

        async def gone() -> str | None:
            return "the letters' folder cannot be written"

        standing.runtime.readiness = [gone]
        answer = await self.ready(standing)
        standing.runtime.readiness = []
        assert answer.status_code == 503
        assert "the letters' folder cannot be written" in answer.json()["reasons"]

    async def test_not_ready_without_database_and_schemas(self, issuer: Issuer) -> None:
        """A process whose database and registry are away lives, is not ready and says why."""
        settings = SampleSettings(**SHARED_SETTINGS | {"public_urls": URLS}, database_url=NOWHERE)
        app = create_app(
            settings,
            title="Sample",
            package="service_kit",
            routers=[routes()],
            says=SAYS,
            transport=issuer.transport,
        )
        async with (
            app.router.lifespan_context(app),
            httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost:1") as direct,
        ):
            answer = await direct.get("/health/ready")
            shown = await direct.post("/api/v1/effects", json={"what": "seed"})
        assert answer.status_code == 503
        assert "the database does not answer (ConnectionRefusedError)" in answer.json()["reasons"]
        assert "the registry does not know tracker.tasks.TaskCreated.v2 yet" in answer.json()["reasons"]
        problem(shown, 503, "database_unavailable")

    async def test_alive(self, standing: Web) -> None:
        """A process that runs is alive, ready or not."""
        transport = httpx2.ASGITransport(standing.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:1234") as direct:
            assert (await direct.get("/health/live")).json() == {"status": "live"}

    @pytest.mark.parametrize("path", ["health/live", "health/ready", "metrics"])
    async def test_not_for_the_public(self, client: httpx2.AsyncClient, path: str) -> None:
        """Through the gateway nobody sees the inside."""
        problem(await client.get(path), 404, "not_found")

    async def test_requests_are_counted_by_template(self, client: httpx2.AsyncClient) -> None:
        """One time series per route and status, not per address."""
        labels = {"method": "GET", "route": "/api/v1/effects/{number}", "status": "200"}
        before = REGISTRY.get_sample_value("ates_http_requests_total", labels) or 0
        for number in range(3):
            await client.get(f"api/v1/effects/{number}")
        assert REGISTRY.get_sample_value("ates_http_requests_total", labels) == before + 3
