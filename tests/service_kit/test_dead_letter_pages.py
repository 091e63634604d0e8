"""What an administrator sees and does: lists, one letter beside its contract, repair, many at once."""

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from billing.settings import BillingSettings
from service_kit.context import Context
from service_kit.dead_letters import Undeliverable, put_aside
from service_kit.dead_letters.explaining import explain
from service_kit.identity import CurrentUser, Role
from tests.support.sample.events import TaskCompleted
from tests.support.schemas import schema_id
from tests.support.services import Service
from tests.support.web import Web, web_process

ADMIN = CurrentUser(UUID(int=1), Role.ADMIN)
GOOD = {
    "taskId": "01994d3e-0000-7000-8000-000000000001",
    "userGuid": "01994d3e-0000-7000-8000-000000000002",
    "cycle": 1,
    "completedAt": "2026-03-02T12:00:00Z",
}
HOME = "/dead-letters"
API = "/api/v1/dead-letters"


@pytest.fixture
async def web(billing: Service) -> AsyncIterator[Web]:
    assert isinstance(billing.settings, BillingSettings)
    async with web_process(billing) as running:
        yield running


def framed(data: Any) -> bytes:
    number = schema_id(TaskCompleted.subject(), 1)
    return b"\x00" + number.to_bytes(4, "big") + json.dumps(data).encode()


def required_headers(event_id: UUID | None = None) -> dict[str, str]:
    told = {"ce_type": TaskCompleted.type_name(), "ce_time": "2026-03-02T12:00:00Z"}
    return told | {"ce_id": str(event_id or uuid4())}


async def aside(
    service: Service, value: bytes, *, number: int = 0, reason: str = "schema_violation", **headers: str
) -> UUID:
    event_id = uuid4()
    known = required_headers(event_id)
    record = Undeliverable("tracker.tasks", 1, number, b"task-key", value, known | headers, event_id)
    async with service.transaction() as session:
        await put_aside(session, record, reason=reason, detail="/cycle: is not right")
    found: UUID = await service.scalar("select id from dead_letters where event_id = :e", e=event_id)
    return found


BAD = framed(GOOD | {"cycle": 0})


class TestRights:
    @pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
    @pytest.mark.parametrize("path", [HOME, API, f"{API}/groups"])
    async def test_they_are_for_administrators(self, web: Web, role: Role, path: str) -> None:
        async with web.api(CurrentUser(UUID(int=2), role)) as somebody:
            assert (await somebody.get(path)).status_code == 403

    @pytest.mark.parametrize("act", ["redrive", "repair", "discard", "restore"])
    async def test_nobody_else_acts(self, billing: Service, web: Web, act: str) -> None:
        letter_id = await aside(billing, BAD)
        async with web.browser(CurrentUser(UUID(int=2), Role.ACCOUNTANT)) as somebody:
            assert (await somebody.post(f"{HOME}/{letter_id}/{act}", data={})).status_code == 403
        assert await billing.scalar("select state from dead_letters") == "waiting"


class TestExplaining:
    async def explained(self, service: Service, value: bytes, **headers: str) -> Any:
        context = service.database.context
        assert isinstance(context, Context)
        known = required_headers()
        heard = {TaskCompleted.type_name(): TaskCompleted}
        return await explain(value, known | headers, heard=heard, schemas=context.schemas)

    async def test_the_wrong_line_is_marked_in_payload_and_contract(self, billing: Service) -> None:
        found = await self.explained(billing, BAD)
        assert [fault.where for fault in found.faults] == ["/cycle"]
        assert [line.text.strip() for line in found.payload if line.wrong] == ['"cycle": 0,']
        (marked,) = [line.text.strip() for line in found.schema if line.wrong]
        assert marked.startswith('"minimum": 1')

    async def test_every_fault_is_told_not_only_the_first(self, billing: Service) -> None:
        found = await self.explained(billing, framed({"cycle": "one"}), ce_id="nobody", ce_time="noon")
        wheres = [fault.where for fault in found.faults]
        assert wheres[:2] == ["ce_id", "ce_time"]
        assert "/cycle" in wheres
        assert any("taskId" in fault.message for fault in found.faults)

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (b"", ""),
            (b"{", "{"),
            (b"\xff\xfe\x00", "ff fe 00"),
            (b"\x00\x00\x00\xff\xff{}", "{}"),
            (b"[1, 2", "[1, 2"),
            (b'"text"', '"text"'),
            (b"null", "null"),
        ],
        ids=["nothing", "half", "no text", "unknown schema", "half a list", "a text", "null"],
    )
    async def test_anything_can_be_shown(self, billing: Service, value: bytes, text: str) -> None:
        found = await self.explained(billing, value)
        assert found.faults
        assert "".join(line.text for line in found.payload) == text

    async def test_what_is_right_has_no_fault(self, billing: Service) -> None:
        assert (await self.explained(billing, framed(GOOD))).faults == []

    async def test_a_type_that_nobody_hears_is_told(self, billing: Service) -> None:
        found = await self.explained(billing, framed(GOOD), ce_type="nobody.says.This.v1")
        assert [fault.where for fault in found.faults] == ["ce_type"]


class TestList:
    async def test_all_that_can_be_chosen(self, billing: Service, web: Web) -> None:
        """The filter as a browser sends it: what narrows nothing is there, and empty."""
        letter = await aside(billing, BAD)
        async with web.browser(ADMIN) as browser:
            await browser.post(f"{HOME}/{letter}/discard", data={"because": "known"})
            unnarrowed = {"standing": "", "reason": "", "type": "", "search": ""}
            everything = await browser.get(HOME, params=unnarrowed)
        assert everything.status_code == 200
        assert str(letter) in everything.text

    async def test_nothing_waits(self, web: Web) -> None:
        async with web.browser(ADMIN) as browser:
            assert "No letter waits" in (await browser.get(HOME)).text

    async def test_it_works(self, billing: Service, web: Web) -> None:
        for number in range(3):
            await aside(billing, BAD, number=number)
        async with web.browser(ADMIN) as browser:
            text = (await browser.get(HOME)).text
            narrowed = (await browser.get(HOME, params={"standing": "discarded"})).text
        assert text.count("/cycle: is not right") == 4, "once for the group, once for each letter"
        assert "Decide on all" in text
        assert "No such letter" in narrowed

    async def test_russian(self, billing: Service, web: Web) -> None:
        await aside(billing, BAD)
        async with web.browser(ADMIN, **{"Accept-Language": "ru"}) as browser:
            assert "Отложенные события: Расчёты" in (await browser.get(HOME)).text

    async def test_the_next_part_comes_as_rows(self, billing: Service, web: Web) -> None:
        for number in range(3):
            await aside(billing, BAD, number=number)
        async with web.api(ADMIN) as client:
            page = (await client.get(API, params={"limit": 2})).json()
        async with web.browser(ADMIN, **{"HX-Request": "true"}) as browser:
            more = (await browser.get(HOME, params={"limit": 2, "cursor": page["next"]})).text
        assert more.count("<tr") == 1

    @pytest.mark.parametrize(
        "query",
        [{"cursor": "x"}, {"standing": "lost"}, {"search": "x" * 301}, {"search": "\0"}, {"reason": "\0"}],
        ids=["cursor", "standing", "long", "NUL", "NUL in the reason"],
    )
    async def test_bad_questions_get_an_answer(self, web: Web, query: dict[str, str]) -> None:
        async with web.api(ADMIN) as client:
            assert (await client.get(API, params=query)).status_code == 422

    @pytest.mark.parametrize("value", ["'; drop table dead_letters", "%", "ё"], ids=str)
    async def test_any_search_is_only_a_search(self, web: Web, value: str) -> None:
        async with web.api(ADMIN) as client:
            assert (await client.get(API, params={"search": value})).json() == {"items": [], "next": None}


class TestLetter:
    async def test_payload_stands_beside_its_contract_with_the_error_marked(
        self, billing: Service, web: Web
    ) -> None:
        letter_id = await aside(billing, BAD)
        async with web.browser(ADMIN) as browser:
            answer = await browser.get(f"{HOME}/{letter_id}")
        assert answer.status_code == 200
        assert answer.text.count("line-wrong") == 2
        assert "&#34;cycle&#34;: 0" in answer.text

    @pytest.mark.parametrize(
        ("reason", "called", "advice"),
        [
            ("schema_violation", "Breaks its contract", "Tell whoever says this event."),
            ("unknown_schema", "Names a contract", "Has the registry lost contracts"),
            ("contradicting_fact", "The ledger already holds another fact", "see what was said before"),
            ("OverflowError", "Could not be handled: OverflowError", "event_not_handled"),
        ],
    )
    async def test_each_reason_has_words_and_says_what_to_do(
        self, billing: Service, web: Web, reason: str, called: str, advice: str
    ) -> None:
        letter_id = await aside(billing, BAD, reason=reason)
        async with web.browser(ADMIN) as browser:
            text = (await browser.get(f"{HOME}/{letter_id}")).text
            many = (await browser.get(f"{HOME}/many", params={"reason": reason})).text
        assert f"<h1>{called}" in text
        assert advice in text
        assert advice in many

    async def test_a_fault_quotes_little_of_a_large_value(self, billing: Service, web: Web) -> None:
        letter_id = await aside(billing, framed(GOOD | {"cycle": "x" * 500_000}))
        async with web.browser(ADMIN) as browser:
            text = (await browser.get(f"{HOME}/{letter_id}")).text
        assert "is not of type" in text
        assert text.count("x" * 1000) < 600, "in the form, once"

    async def test_the_bytes_can_be_had(self, billing: Service, web: Web) -> None:
        letter_id = await aside(billing, b"\x00\xff<script>")
        async with web.browser(ADMIN) as browser:
            answer = await browser.get(f"{HOME}/{letter_id}/value")
            page = await browser.get(f"{HOME}/{letter_id}")
        assert answer.content == b"\x00\xff<script>"
        assert "attachment" in answer.headers["Content-Disposition"]
        assert page.status_code == 200

    async def test_what_is_in_it_is_no_markup(self, billing: Service, web: Web) -> None:
        letter_id = await aside(billing, b'{"x": "<script>alert(1)</script>"}', ce_subject="<b>bold</b>")
        async with web.browser(ADMIN) as browser:
            text = (await browser.get(f"{HOME}/{letter_id}")).text
        assert "<script>alert" not in text
        assert "<b>bold" not in text

    @pytest.mark.parametrize("letter_id", [uuid4(), "nonsense"], ids=["unknown", "no id"])
    async def test_there_is_none(self, web: Web, letter_id: object) -> None:
        async with web.browser(ADMIN) as browser:
            assert (await browser.get(f"{HOME}/{letter_id}")).status_code in {404, 422}

    async def test_sent_again_by_one_press(self, billing: Service, web: Web) -> None:
        letter_id = await aside(billing, BAD)
        async with web.browser(ADMIN) as browser:
            answer = await browser.post(f"{HOME}/{letter_id}/redrive")
            again = await browser.post(f"{HOME}/{letter_id}/redrive")
            shown = (await browser.get(f"{HOME}/{letter_id}")).text
            asked = await browser.get(f"{HOME}/{letter_id}", headers={"HX-Request": "true"})
        assert answer.status_code == 303
        assert again.status_code == 409
        assert "sent again, on its way" in shown
        assert (asked.status_code, asked.headers.get("HX-Refresh")) == (204, None)
        sent = [row for row in await billing.said() if row["topic"] == "billing.redrive"]
        assert [row["data"] for row in sent] == [BAD]

    async def test_repaired_in_the_form(self, billing: Service, web: Web) -> None:
        letter_id = await aside(billing, BAD)
        headers = required_headers()
        async with web.browser(ADMIN) as browser:
            path = f"{HOME}/{letter_id}/repair"
            wrong = await browser.post(path, data=headers | {"value": json.dumps(GOOD | {"cycle": -1})})
            not_json = await browser.post(path, data=headers | {"value": "{"})
            bad_header = await browser.post(path, data=headers | {"value": json.dumps(GOOD), "ce_id": "7"})
            checked = await browser.post(path, data=headers | {"value": json.dumps(GOOD), "act": "check"})
            unsent = await billing.scalar("select state from dead_letters")
            sent = await browser.post(path, data=headers | {"value": json.dumps(GOOD, indent=4)})
        assert [a.status_code for a in (wrong, not_json, bad_header)] == [422, 422, 422]
        assert "&#34;cycle&#34;: -1" in wrong.text, "what was typed is not lost"
        assert (checked.status_code, unsent) == (200, "waiting")
        assert "Everything is right with it now" in checked.text
        assert sent.status_code == 303
        (row,) = [row for row in await billing.said() if row["topic"] == "billing.redrive"]
        assert row["data"][:5] == BAD[:5]
        assert json.loads(row["data"][5:]) == GOOD
        assert row["headers"]["ce_id"] == headers["ce_id"]

    async def test_bad_forms_are_refused_in_words(self, billing: Service, web: Web) -> None:
        letter_id = await aside(billing, BAD)
        async with web.browser(ADMIN) as browser:
            nul = await browser.post(f"{HOME}/{letter_id}/discard", data={"because": "a\0b"})
            header = await browser.post(f"{HOME}/{letter_id}/repair", data={"value": "{}", "ce_type": "\0"})
        async with web.api(ADMIN) as client:
            replaced = await client.post(f"{API}/{letter_id}/redrive", json={"headers": {"x": "\0"}})
        assert [a.status_code for a in (nul, header, replaced)] == [422, 422, 422]

    async def test_discarded_with_a_reason_and_put_back(self, billing: Service, web: Web) -> None:
        letter_id = await aside(billing, BAD)
        async with web.browser(ADMIN) as browser:
            unreasoned = await browser.post(f"{HOME}/{letter_id}/discard", data={"because": " "})
            given_up = await browser.post(f"{HOME}/{letter_id}/discard", data={"because": "a test of ours"})
            shown = (await browser.get(f"{HOME}/{letter_id}")).text
            asked = await browser.get(f"{HOME}/{letter_id}", headers={"HX-Request": "true"})
            back = await browser.post(f"{HOME}/{letter_id}/restore")
        assert [a.status_code for a in (unreasoned, given_up, back)] == [422, 303, 303]
        assert (asked.status_code, asked.headers["HX-Refresh"]) == (204, "true")
        assert "a test of ours" in shown
        assert str(ADMIN.guid) in shown
        assert await billing.scalar("select state from dead_letters") == "waiting"


class TestMany:
    async def test_asked_first_then_queued_with_progress(self, billing: Service, web: Web) -> None:
        for number in range(3):
            await aside(billing, BAD, number=number)
        meant = {"reason": "schema_violation", "type": TaskCompleted.type_name()}
        async with web.browser(ADMIN) as browser:
            asked = (await browser.get(f"{HOME}/many", params=meant)).text
            begun = await browser.post(f"{HOME}/many/redrive", data=meant | {"rate_per_s": "5"})
            where = begun.headers["Location"].removeprefix("/billing")
            shown = (await browser.get(where)).text
            part = await browser.get(where, headers={"HX-Request": "true"})
            stopped = await browser.post(f"{where}/stop")
            over = await browser.post(f"{where}/stop")
        assert "3 letters wait" in asked
        assert "0 of 3" in shown
        assert part.status_code == 200
        assert 'id="progress"' in part.text
        assert "<html" not in part.text
        assert (stopped.status_code, over.status_code) == (303, 409)
        assert await billing.scalar("select count(*) from dead_letters where state = 'waiting'") == 3

    async def test_what_came_back_is_found_from_there(self, billing: Service, web: Web) -> None:
        letters = [await aside(billing, BAD, number=number) for number in range(2)]
        async with web.browser(ADMIN) as browser:
            begun = await browser.post(f"{HOME}/many/redrive", data={"rate_per_s": "5"})
            redrive = begun.headers["Location"].removeprefix("/billing")
            before = (await browser.get(redrive)).text
            async with billing.transaction() as session:
                back = text("update dead_letters set state = 'waiting' where id = :id")
                await session.execute(back, {"id": letters[0]})
            (way,) = re.findall(r'href="(/billing/dead-letters\?[^"]*)"', (await browser.get(redrive)).text)
            found = (await browser.get(unescape(way).removeprefix("/billing"))).text
        assert "dead-letters?" not in before
        assert str(letters[0]) in found
        assert str(letters[1]) not in found

    async def test_discarded_and_put_back(self, billing: Service, web: Web) -> None:
        for number in range(2):
            await aside(billing, BAD, number=number)
        meant = {"reason": "schema_violation", "type": ""}
        async with web.browser(ADMIN) as browser:
            unreasoned = await browser.post(f"{HOME}/many/discard", data=meant)
            done = await browser.post(f"{HOME}/many/discard", data=meant | {"because": "known"})
            nothing = await browser.post(f"{HOME}/many/discard", data=meant | {"because": "known"})
            back = await browser.post(f"{HOME}/many/restore", data=meant)
        assert [a.status_code for a in (unreasoned, done, nothing, back)] == [422, 303, 409, 303]


class TestApi:
    async def test_one_letter_all_the_way(self, billing: Service, web: Web) -> None:
        letter_id = await aside(billing, BAD)
        async with web.api(ADMIN) as client:
            (group,) = (await client.get(f"{API}/groups")).json()
            found = (await client.get(f"{API}/{letter_id}")).json()
            refused = await client.post(f"{API}/{letter_id}/redrive", json={"value": GOOD | {"cycle": -1}})
            given_up = await client.post(f"{API}/{letter_id}/discard", json={"because": "known"})
            back = await client.post(f"{API}/{letter_id}/restore")
            sent = await client.post(f"{API}/{letter_id}/redrive", json={"value": GOOD})
        assert (group["count"], group["reason"]) == (1, "schema_violation")
        assert [fault["where"] for fault in found["faults"]] == ["/cycle"]
        assert found["value"]["cycle"] == 0
        assert refused.status_code == 422
        assert [error["field"] for error in refused.json()["errors"]] == ["/cycle"]
        assert [a.json()["standing"] for a in (given_up, back, sent)] == ["discarded", "waiting", "redriven"]
        assert [act["action"] for act in sent.json()["acts"]] == ["discard", "restore", "repair"]
        assert sent.json()["faults"] == []

    async def test_many(self, billing: Service, web: Web) -> None:
        await aside(billing, BAD)
        async with web.api(ADMIN) as client:
            begun = await client.post(f"{API}/redrives", json={"reason": "schema_violation", "rate_per_s": 1})
            seen = await client.get(f"{API}/redrives/{begun.json()['id']}")
            stopped = await client.post(f"{API}/redrives/{begun.json()['id']}/stop")
            too_fast = await client.post(f"{API}/redrives", json={"rate_per_s": 100000})
            given_up = await client.post(f"{API}/discards", json={"because": "known"})
            nothing = await client.post(f"{API}/redrives", json={})
            unknown = await client.get(f"{API}/redrives/{uuid4()}")
        assert begun.status_code == 202
        assert (seen.json()["total"], seen.json()["state"]) == (1, "running")
        assert (stopped.json(), given_up.json()) == ({"letters": 1}, {"letters": 1})
        assert [a.status_code for a in (too_fast, nothing, unknown)] == [422, 409, 404]
        assert nothing.json()["code"] == "no_dead_letters_match"
