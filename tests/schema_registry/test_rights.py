"""Who may read and who may change the registry, and what is written down about it."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from schema_registry import app
from service_kit.clock import FixedClock
from service_kit.identity import Role
from tests.schema_registry.conftest import Asked, Web, an_object, sent
from tests.support.databases import Databases
from tests.support.services import Service

SCHEMA = sent(an_object(a={"type": "string"}))


def basic(name: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def issuer(request: httpx2.Request) -> httpx2.Response:
    """An issuer that knows two programs with one secret."""
    known = {basic(name, "secret")["Authorization"] for name in ("tool", "looker")}
    if request.headers["Authorization"] in known:
        return httpx2.Response(200, json={"access_token": "t", "token_type": "Bearer"})
    return httpx2.Response(401, json={"error": "invalid_client"})


@pytest.fixture
async def closed(
    databases: Databases, clock: FixedClock, tmp_path: Path
) -> AsyncIterator[tuple[Service, httpx2.AsyncClient, httpx2.AsyncClient]]:
    """A registry that is closed, with programs: its own port, and the way through the gateway."""
    service = Service.made(
        "schema_registry", databases, clock, tmp_path, writing_clients=("tool",), reading_closed=True
    )
    running = app.web(service.settings)
    async with running.router.lifespan_context(running):
        running.state.runtime.http = httpx2.AsyncClient(transport=httpx2.MockTransport(issuer))
        transport = httpx2.ASGITransport(app=running)
        inside = httpx2.AsyncClient(transport=transport, base_url="http://registry.test:8081")
        outside = httpx2.AsyncClient(transport=transport, base_url=service.settings.public_url)
        async with inside, outside, running.state.runtime.http:
            yield service, inside, outside
    await service.close()


Closed = tuple[Service, httpx2.AsyncClient, httpx2.AsyncClient]


class TestPrograms:
    async def test_a_named_program_writes(self, closed: Closed) -> None:
        """Its id and secret are enough, and its name stands in the record of changes."""
        service, inside, _outside = closed
        answer = await inside.post("/subjects/t/versions", json=SCHEMA, headers=basic("tool", "secret"))
        assert answer.status_code == 200, answer.text
        assert await service.scalar("select author from changes") == "client:tool"
        assert await service.scalar("select details->>'version' from changes") == "1"

    @pytest.mark.parametrize(
        ("name", "secret", "status"), [("tool", "wrong", 401), ("looker", "secret", 403), ("none", "x", 401)]
    )
    async def test_others_do_not(self, closed: Closed, name: str, secret: str, status: int) -> None:
        """A wrong secret, or a program that was not named, changes nothing and leaves no record."""
        service, inside, _outside = closed
        answer = await inside.post("/subjects/t/versions", json=SCHEMA, headers=basic(name, secret))
        assert (answer.status_code, answer.json()["error_code"]) == (status, status)
        assert await service.scalar("select count(*) from changes") == 0

    async def test_what_is_no_credential(self, closed: Closed) -> None:
        """Nonsense is refused like a wrong secret."""
        _service, inside, _outside = closed
        answer = await inside.put("/mode", json={"mode": "READONLY"}, headers={"Authorization": "Basic ###"})
        assert answer.status_code == 401


class TestClosedReading:
    async def test_through_the_gateway(self, closed: Closed) -> None:
        """Nobody reads without a token, by the protocol or in the catalogue; the own port stays open."""
        _service, inside, outside = closed
        for path in ("/subjects", "/schemas/ids/1", "/config", "/catalogue/tracker/task_created"):
            assert (await outside.get(path)).status_code == 401
            if not path.startswith("/catalogue"):
                assert (await inside.get(path)).status_code == 200
        assert (await outside.get("/subjects", headers=basic("looker", "secret"))).status_code == 200
        assert (await outside.get("/subjects")).status_code == 401


class TestRecord:
    async def test_every_change_is_written_down(self, web: Web, asked: Asked) -> None:
        """Each with its author and its path, and nothing of what was refused."""
        await asked.post("/subjects/t/versions", SCHEMA)
        await asked.put("/config/t", {"compatibility": "NONE"})
        await asked.delete("/subjects/t")
        assert await asked.refused("DELETE", "/subjects/none") == (404, 40401)
        async with web.app.state.runtime.database.reading() as session:
            from sqlalchemy import text  # noqa: PLC0415  only this test looks behind the door

            rows = (await session.execute(text("select author, method, path from changes order by id"))).all()
        assert [(row.method, row.path) for row in rows] == [
            ("POST", "/subjects/t/versions"),
            ("PUT", "/config/t"),
            ("DELETE", "/subjects/t"),
        ]
        assert {row.author for row in rows} == {"00000000-0000-0000-0000-000000000001"}

    @pytest.mark.parametrize("role", [Role.WORKER, Role.MANAGER])
    async def test_other_roles(self, web: Web, role: Role) -> None:
        """Only administrators among people."""
        async with web.own_port(role) as client:
            assert (await client.post("/subjects/t/versions", json=SCHEMA)).status_code == 403
