"""A whole exchange of its own for tests: started, asked and stopped through `./ates`, as its users do it."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import psutil

from local_stack.home import Home
from local_stack.ports import PortChooser
from local_stack.state import running_state
from local_stack.status import status
from tests.support.running import eventually

ROOT = Path(__file__).parents[2]


@dataclass
class Exchange:
    """`ates("night")` types the command; `status` is its answer to `status --json`."""

    home: Path

    def ates(self, *arguments: str, check: bool = True) -> str:
        """Type a command; answers what it printed. Raises with all of its output when it fails."""
        outcome = subprocess.run(
            [sys.executable, "-m", "local_stack", *arguments],
            cwd=ROOT,
            env=os.environ | {"ATES_HOME": str(self.home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if check and outcome.returncode != 0:
            raise RuntimeError(f"ates {' '.join(arguments)}:\n{outcome.stdout}\n{outcome.stderr}")
        return outcome.stdout

    def up(self, *options: str) -> None:
        self.ates("up", "--detach", "--port", str(PortChooser().draw()), *options)

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ates("status", "--json"))
        return found

    @cached_property
    def addresses(self) -> dict[str, Any]:
        """The status as it first was: where things are found does not change."""
        return self.status

    @property
    def password(self) -> str:
        """Of the demo people."""
        secrets: dict[str, str] = json.loads((self.home / "secrets.json").read_text())
        return secrets["demo.password"]

    def process(self, name: str) -> psutil.Process:
        """The running process of that name."""
        (pid,) = (entry["pid"] for entry in self.status["processes"] if entry["name"] == name)
        return psutil.Process(pid)

    def kill(self, name: str) -> None:
        """End the process as a power cut would."""
        self.process(name).kill()

    async def all_ready(self) -> bool:
        """As the command says it; asked without one, as this is asked again and again while things start."""
        home = Home(self.home)
        state = running_state(home)
        if state is None:
            return False
        found = await asyncio.to_thread(status, home, state)
        return all(entry["ready"] for entry in found["processes"])

    def token(self, login: str) -> str:
        return self.ates("token", login).strip()

    def command_of(self, service: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Type `./ates run <service> ...`."""
        return subprocess.run(
            [sys.executable, "-m", "local_stack", "run", service, *arguments],
            cwd=ROOT,
            env=os.environ | {"ATES_HOME": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    async def rows(self, service: str, sql: str, *parameters: object) -> list[asyncpg.Record]:
        """Read from a service's database, as its reader."""
        connection = await asyncpg.connect(self.addresses["readers"][service])
        try:
            found: list[asyncpg.Record] = await connection.fetch(sql, *parameters)
            return found
        finally:
            await connection.close()


class Person:
    """Somebody who uses the JSON API; their token is asked for again before it ends."""

    def __init__(self, exchange: Exchange, login: str, client: httpx2.AsyncClient) -> None:
        self.login = login
        self._exchange = exchange
        self._client = client
        self._gateway = exchange.addresses["gateway"]
        self._token = exchange.token(login)

    async def get(self, path: str, **options: Any) -> httpx2.Response:
        return await self._send("GET", path, **options)

    async def post(self, path: str, **options: Any) -> httpx2.Response:
        return await self._send("POST", path, **options)

    async def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        answer = await self._once(method, path, options)
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            self._token = self._exchange.token(self.login)
            answer = await self._once(method, path, options)
        return answer

    async def _once(self, method: str, path: str, options: dict[str, Any]) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return await self._client.request(method, self._gateway + path, headers=headers, **options)

    @property
    def guid(self) -> str:
        payload = self._token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["guid"])


STAFF = {"manager": "manager", "accountant": "accountant"} | {f"worker{n}": "worker" for n in range(1, 6)}
"""Login and role of the people an empty exchange is staffed with, beside its admin."""


async def staffed(exchange: Exchange, client: httpx2.AsyncClient) -> dict[str, Person]:
    """People of every role by login, known to the tracker so that work can be given to them."""
    admin = Person(exchange, "admin", client)
    for login, role in STAFF.items():
        account = {"login": login, "name": login.title(), "email": f"{login}@exchange.test", "role": role}
        answer = await admin.post("/auth/api/v1/accounts", json=account)
        assert answer.status_code == httpx2.codes.CREATED, answer.text

    async def known() -> bool:
        rows = await exchange.rows("tracker", "select count(*) from accounts where active")
        return bool(rows[0][0] == len(STAFF) + 1)

    await eventually(known)
    return {"admin": admin} | {login: Person(exchange, login, client) for login in STAFF}
