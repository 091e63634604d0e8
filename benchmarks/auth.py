"""Sign-in service: tokens, renewals and passwords a second, each beside the physical limit of the same run.

One web process, asked at its own port; the load generator and everything else share the machine's cores. The
generator speaks HTTP by hand, as a comfortable client would be most of the load.
"""

import argparse
import asyncio
import base64
import hashlib
import json
import os
import secrets
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import httpx2
import psutil
from argon2 import PasswordHasher
from joserfc import jwt
from joserfc.jwk import ECKey
from nacl.pwhash import argon2id

from auth_service.commands.passwords import hashed
from benchmarks import ates
from benchmarks._line import Line
from local_stack.home import installed_folder
from local_stack.ports import PortChooser, answers
from service_kit.identity.tokens import PublishedKeys, Verifier, fetch_over_http

GOALS = {"client_credentials": 1500.0, "refresh": 400.0, "verification": 8000.0}
GOAL_PASSWORDS_BY_LIMIT = 0.8
GOAL_P99_MS = 100.0
PEOPLE = 8
PEER = Path(__file__).with_name("oidc_provider.mjs")
PEER_STARTS_WITHIN_S = 20
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class Exchange:
    """The running exchange, and what a client of it knows."""

    issuer: str
    direct: str
    owner: str
    pid: int
    known: dict[str, str]
    password: str = field(default_factory=secrets.token_urlsafe)
    people: list[str] = field(default_factory=list)

    @classmethod
    def running(cls) -> "Exchange":
        status = json.loads(ates("status", "--json"))
        (web,) = [one for one in status["processes"] if one["name"] == "auth-web"]
        home = Path(os.environ.get("ATES_HOME", ".ates"))
        return cls(
            issuer=status["issuer"],
            direct=web["health"].removesuffix("/health/ready"),
            owner=status["databases"]["auth"],
            pid=web["pid"],
            known=json.loads((home / "secrets.json").read_text()),
        )

    async def bring_people(self) -> None:
        """Accounts of this run alone, so that the load asks nothing of those that are there."""
        headers = {"Authorization": f"Bearer {ates('token', 'admin').strip()}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as admin:
            for _ in range(PEOPLE):
                login = f"bench-{secrets.token_hex(6)}"
                account = {"login": login, "name": login, "role": "client", "password": self.password}
                answer = await admin.post(f"{self.issuer}/api/v1/accounts", json=account)
                answer.raise_for_status()
                self.people.append(login)

    @property
    def tracker(self) -> tuple[str, str]:
        return "tracker", self.known["tracker.client_secret"]


@dataclass
class Counted:
    """What a load saw."""

    seconds: float = 0.0
    times_ms: list[float] = field(default_factory=list)
    failed: int = 0
    cpu_s: float = 0.0
    """What the web process used of the processor meanwhile: of the same size on a busy machine."""

    @property
    def per_s(self) -> float:
        return round(len(self.times_ms) / self.seconds, 1)

    @property
    def p99_ms(self) -> float:
        return round(statistics.quantiles(self.times_ms, n=100, method="inclusive")[98], 1)

    def told(self, limit_per_s: float, **further: Any) -> dict[str, Any]:
        return {
            "per_s": self.per_s,
            "p50_ms": round(statistics.median(self.times_ms), 1),
            "p99_ms": self.p99_ms,
            "failed": self.failed,
            "cpu_ms_each": round(self.cpu_s * 1000 / len(self.times_ms), 3),
            "limit_per_s": limit_per_s,
            "by_limit": round(self.per_s / limit_per_s, 3),
            **further,
        }


async def load(
    seconds: float, callers: list[Callable[[], Awaitable[bool]]], pid: int | None = None
) -> Counted:
    """Let every caller call again and again; a call under way at the end still counts."""
    counted = Counted()
    used = cpu_s(pid)
    begun = time.perf_counter()
    until = begun + seconds

    async def call(one: Callable[[], Awaitable[bool]]) -> None:
        while (started := time.perf_counter()) < until:
            good = await one()
            counted.times_ms.append((time.perf_counter() - started) * 1000)
            counted.failed += not good

    await asyncio.gather(*(call(one) for one in callers))
    counted.seconds = time.perf_counter() - begun
    counted.cpu_s = cpu_s(pid) - used
    return counted


def cpu_s(pid: int | None) -> float:
    """Processor time of a process so far; of this one when none is named."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def basic(client: tuple[str, str]) -> dict[str, str]:
    packed = base64.b64encode(f"{quote(client[0])}:{quote(client[1])}".encode()).decode()
    return {"Authorization": f"Basic {packed}"}


async def client_credentials(address: str, client: tuple[str, str], pid: int, seconds: float) -> Counted:
    lines = [await Line.to(address) for _ in range(16)]
    headers = basic(client)

    def caller(line: Line) -> Callable[[], Awaitable[bool]]:
        async def one() -> bool:
            status, _body = await line.post("/token", headers, {"grant_type": "client_credentials"})
            return status == httpx2.codes.OK

        return one

    try:
        await load(1, [caller(line) for line in lines])
        return await load(seconds, [caller(line) for line in lines], pid)
    finally:
        for line in lines:
            line.close()


async def peer(seconds: float) -> Counted | None:
    """The same load at npm's oidc-provider, which keeps all in memory; None where it is not installed."""
    packages = installed_folder() / "node" / "node_modules"
    node = shutil.which("node")
    if node is None or not (packages / "oidc-provider").exists():
        return None
    port = PortChooser().draw()
    program = await asyncio.create_subprocess_exec(
        node, str(PEER), str(port), str(packages), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + PEER_STARTS_WITHIN_S
        while not answers(port):
            if time.monotonic() > until or program.returncode is not None:
                raise RuntimeError("oidc-provider does not start")
            await asyncio.sleep(0.1)
        return await client_credentials(
            f"http://127.0.0.1:{port}", ("bench", "bench-secret"), program.pid, seconds
        )
    finally:
        if program.returncode is None:
            program.terminate()
        await program.wait()


async def tokens_of(exchange: Exchange, login: str) -> dict[str, str]:
    """The whole way of a browser, up to the tracker's first tokens."""
    verifier = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    callback = f"{exchange.issuer.removesuffix('/auth')}/tracker/callback"
    asked = {
        "response_type": "code",
        "client_id": "tracker",
        "redirect_uri": callback,
        "scope": "openid profile",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    async with httpx2.AsyncClient(headers=SAME_ORIGIN, timeout=30) as browser:
        form = {"login": login, "password": exchange.password}
        signed_in = await browser.post(f"{exchange.issuer}/sign-in", data=form)
        if signed_in.status_code != httpx2.codes.SEE_OTHER:
            raise RuntimeError(f"{login} cannot sign in: {signed_in.status_code}")
        answer = await browser.get(f"{exchange.issuer}/authorize", params=asked)
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
    async with httpx2.AsyncClient(timeout=30) as client:
        redeemed = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        tokens = await client.post(
            f"{exchange.issuer}/token", data=redeemed, auth=httpx2.BasicAuth(*exchange.tracker)
        )
        tokens.raise_for_status()
        found: dict[str, str] = tokens.json()
        return found


async def refreshes(exchange: Exchange, seconds: float) -> Counted:
    """Eight people, each with one chain of refresh tokens."""
    chains = [(await tokens_of(exchange, login))["refresh_token"] for login in exchange.people]
    lines = [await Line.to(exchange.direct) for _ in chains]
    headers = basic(exchange.tracker)

    def caller(line: Line, first: str) -> Callable[[], Awaitable[bool]]:
        present = first

        async def one() -> bool:
            nonlocal present
            form = {"grant_type": "refresh_token", "refresh_token": present}
            status, body = await line.post("/token", headers, form)
            if status != httpx2.codes.OK:
                return False
            present = json.loads(body)["refresh_token"]
            return True

        return one

    try:
        return await load(seconds, [caller(*pair) for pair in zip(lines, chains, strict=True)], exchange.pid)
    finally:
        for line in lines:
            line.close()


async def passwords(exchange: Exchange, seconds: float) -> tuple[Counted, dict[str, float]]:
    """Sign-ins, and what one costs the web process beside the check itself, which has threads of its own."""
    raw = await asyncio.to_thread(raw_checks)
    threads = threads_cpu_s(exchange.pid)
    counted = await sign_ins(exchange, seconds)
    loop_s, checks_s = (
        after - before for before, after in zip(threads, threads_cpu_s(exchange.pid), strict=True)
    )
    calls = len(counted.times_ms)
    # The rate of a shared machine moves within a minute: both ends of this one.
    reference, own = (
        round(statistics.mean(ends), 1) for ends in zip(raw, await asyncio.to_thread(raw_checks), strict=True)
    )
    return counted, {
        "raw_per_s": reference,
        "raw_of_ours_per_s": own,
        "by_raw_of_ours": round(counted.per_s / own, 3),
        "check_ms_each": round(checks_s * 1000 / calls, 1),
        "around_it_ms_each": round(loop_s * 1000 / calls, 1),
    }


def threads_cpu_s(pid: int) -> tuple[float, float]:
    """Processor time of a process's first thread, and of all its others."""
    times = {one.id: one.user_time + one.system_time for one in psutil.Process(pid).threads()}
    return times[pid], sum(times.values()) - times[pid]


async def sign_ins(exchange: Exchange, seconds: float) -> Counted:
    lines = [await Line.to(exchange.direct) for _ in exchange.people]

    def caller(line: Line, login: str) -> Callable[[], Awaitable[bool]]:
        form = {"login": login, "password": exchange.password}

        async def one() -> bool:
            status, _body = await line.post("/sign-in", SAME_ORIGIN, form)
            return status == httpx2.codes.SEE_OTHER

        return one

    try:
        return await load(
            seconds, [caller(*pair) for pair in zip(lines, exchange.people, strict=True)], exchange.pid
        )
    finally:
        for line in lines:
            line.close()


async def verifications(exchange: Exchange, seconds: float) -> tuple[Counted, float]:
    """Tokens of several people checked as a service does it, and the raw rate of the same signature."""
    tokens = [(await tokens_of(exchange, login))["access_token"] for login in exchange.people]
    async with httpx2.AsyncClient() as http:
        keys = PublishedKeys(fetch_over_http(http, exchange.direct))
        audience = exchange.issuer.removesuffix("/auth") + "/tracker"
        verifier = Verifier(keys, issuer=exchange.issuer, audience=audience, client_id="tracker")
        await verifier.current_user(tokens[0])
        turn = 0

        async def one() -> bool:
            nonlocal turn
            turn += 1
            await verifier.current_user(tokens[turn % len(tokens)])
            return True

        counted = await load(seconds, [one])
    key = ECKey.generate_key("P-256")
    token = jwt.encode({"alg": "ES256"}, {"sub": "x"}, key)
    return counted, raw_rate(lambda: jwt.decode(token, key, algorithms=["ES256"]))


def raw_rate(work: Callable[[], object], seconds: float = 2.0) -> float:
    done, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        work()
        done += 1
    return round(done / (time.perf_counter() - begun), 1)


def raw_checks() -> tuple[float, float]:
    """Bare checks a second on all cores: the reference implementation's, then libsodium's, which we use."""
    password = "a password"  # noqa: S105  a load's, not a secret
    stored = hashed(password)
    reference = PasswordHasher()
    return (
        on_all_cores(lambda: reference.verify(stored, password)),
        on_all_cores(lambda: argon2id.verify(stored.encode(), password.encode())),
    )


def on_all_cores(work: Callable[[], object]) -> float:
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        return round(sum(pool.map(lambda _core: raw_rate(work), range(cores))), 1)


def raw_signatures() -> float:
    key = ECKey.generate_key("P-256")
    claims = {"sub": "x" * 36, "aud": ["https://exchange.test/" + "x" * 10] * 5, "jti": "x" * 36}
    return raw_rate(lambda: jwt.encode({"alg": "ES256"}, claims, key))


async def raw_commits(exchange: Exchange, seconds: float = 3.0) -> float:
    """Transactions of one small record each, flushed, over eight connections."""
    connections = [await asyncpg.connect(exchange.owner) for _ in range(8)]

    def caller(connection: asyncpg.Connection) -> Callable[[], Awaitable[bool]]:
        async def one() -> bool:
            await connection.execute("select pg_logical_emit_message(true, 'bench', repeat('x', 200))")
            return True

        return one

    try:
        return (await load(seconds, [caller(one) for one in connections])).per_s
    finally:
        for connection in connections:
            await connection.close()


async def measure(seconds: float) -> dict[str, Any]:
    exchange = Exchange.running()
    await exchange.bring_people()
    signatures = raw_signatures()
    commits = await raw_commits(exchange)
    credentials = await client_credentials(exchange.direct, exchange.tracker, exchange.pid, seconds)
    beside = await peer(seconds)
    renewals = await refreshes(exchange, seconds)
    signed_in, split = await passwords(exchange, seconds)
    argon2 = split.pop("raw_per_s")
    verified, raw_verified = await verifications(exchange, min(seconds, 5))
    beside_told = {}
    if beside is not None:
        limit = "what ours answers"
        beside_told["oidc-provider"] = beside.told(
            credentials.per_s, goal_per_s=credentials.per_s, limit=limit
        )
    return {
        "benchmark": "auth",
        "cores": os.cpu_count(),
        **beside_told,
        "client_credentials": credentials.told(
            signatures, goal_per_s=GOALS["client_credentials"], limit="ES256 signatures of one core"
        ),
        "refresh": renewals.told(commits, goal_per_s=GOALS["refresh"], limit="commits over 8 connections"),
        "passwords": signed_in.told(
            argon2,
            goal_per_s=round(argon2 * GOAL_PASSWORDS_BY_LIMIT, 1),
            limit="argon2id of the reference implementation on all cores",
            **split,
        ),
        "verification": verified.told(
            raw_verified, goal_per_s=GOALS["verification"], limit="ES256 checks of one core"
        ),
        "goal_p99_ms": GOAL_P99_MS,
    }


def _split(one: dict[str, Any]) -> str:
    if "check_ms_each" not in one:
        return ""
    return (
        f" ({one['check_ms_each']} the check, {one['around_it_ms_each']} around it;"
        f" {one['by_raw_of_ours']} of {one['raw_of_ours_per_s']}/s that libsodium checks)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each load")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options.seconds))
    if options.json:
        print(json.dumps(found))
        return
    for name in ("client_credentials", "oidc-provider", "refresh", "passwords", "verification"):
        if name not in found:
            print(f"{name:20} not installed: ./ates test brings it where there is npm")
            continue
        one = found[name]
        print(
            f"{name:20} {one['per_s']:9} /s  p50 {one['p50_ms']} ms  p99 {one['p99_ms']} ms"
            f"  processor {one['cpu_ms_each']} ms each{_split(one)}"
            f"  failed {one['failed']}"
            f"  by the goal of {one['goal_per_s']:.0f}/s: {one['per_s'] / one['goal_per_s']:.2f}"
            f"  by {one['limit']} ({one['limit_per_s']}/s): {one['by_limit']}"
        )


if __name__ == "__main__":
    main()
