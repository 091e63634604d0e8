"""Kafka to ledger: how fast one billing worker turns a backlog of facts into journal, postings and new facts.

Then how fast its relay alone sends its outbox once more, and how long a replay of the whole ledger takes.

Starts engines of its own in a folder that is deleted afterwards: PostgreSQL, Kafka, the registry, later one
billing worker, all on this machine's cores. The topic is filled with the facts of N tasks (created, assigned,
completed) in the tracker's own form; then the worker starts. Time counts from its first entry to its last:
once while nobody sends what it says, and once, on engines anew, while its own relay does. Afterwards `billing
verify` must find nothing and every fact must stand in the inbox once, else the figure is void. The limit
measured beside it is the same rows written by COPY alone into tables of the same shape.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from math import inf
from random import Random
from statistics import quantiles
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2
import psutil
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks._stage import POLL_S, Stage, engines, service, until_ready
from local_stack.engines.program import Program
from local_stack.environment import environment
from local_stack.launching import Running, launch
from local_stack.services import BILLING, REGISTRY
from service_kit.relay.slots import RENEW_S, Slots

GOAL_PER_S = 25_000
PEER_S = 60
GOAL_OF_COPY = 0.4
GOAL_RELAY_PER_S = 50_000
GOAL_REPLAY_PER_S = 1_000_000 // 90
PARTITIONS = 8
TOPIC = "tracker.tasks"
WORKERS = 1_000
WRITTEN = ("inbox", "journal_entries", "postings", "outbox")
RATE_AT_REST = 300
FACTS_AT_REST = 10 * RATE_AT_REST
GOAL_AT_REST_MS = {"p50": 2.5, "p99": 15.0}
SAY_AGAIN = """
with said as (
    insert into outbox (event_id, topic, key, name, version, schema_id, data, occurred_at)
    select $1, topic, key, name, version, schema_id, data, clock_timestamp() from outbox
    where topic = 'billing.ledger' order by id limit 1)
select pg_notify('outbox', '')
"""
PEERS = ("faststream-batches", "faust-batches", "faststream", "faust")


async def schema_ids(stage: Stage) -> dict[str, int]:
    """Numbers of the tracker's contracts: `TaskCreated/2` and so on."""
    found = {}
    port = stage.layout.web["registry"]
    await until_ready(port)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
        for event, version in (("TaskCreated", 2), ("TaskAssigned", 1), ("TaskCompleted", 1)):
            answer = await client.get(f"/subjects/{TOPIC}-{event}/versions/{version}")
            found[f"{event}.v{version}"] = answer.raise_for_status().json()["id"]
    return found


Record = tuple[str, bytes, bytes, list[tuple[str, bytes]]]


def facts(tasks: int, ids: dict[str, int], seed: int = 7) -> Iterator[Record]:
    """The facts of `tasks` tasks in order: (key, type, value, headers). The same on every run."""
    random = Random(seed)
    workers = [new_id(random) for _ in range(WORKERS)]
    moment = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    for number in range(tasks):
        task, worker = new_id(random), random.choice(workers)
        created = {
            "taskId": str(task),
            "title": f"Task number {number} of a long backlog of work",
            "jiraId": f"LOAD-{number}",
            "userGuid": str(worker),
            "createdAt": moment,
        }
        moved = {"taskId": str(task), "userGuid": str(worker), "cycle": 1}
        assigned = moved | {"assignedAt": moment, "reason": "created", "distributionId": None}
        completed = moved | {"completedAt": moment}
        for kind, data in (
            ("TaskCreated.v2", created),
            ("TaskAssigned.v1", assigned),
            ("TaskCompleted.v1", completed),
        ):
            event = str(new_id(random))
            headers = {
                "ce_specversion": "1.0",
                "ce_id": event,
                "ce_type": f"{TOPIC}.{kind}",
                "ce_source": "/tracker",
                "ce_time": moment,
                "ce_subject": str(task),
                "content-type": "application/json",
                "correlationid": event,
                "traceparent": f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01",
            }
            value = b"\x00" + ids[kind].to_bytes(4, "big") + json.dumps(data).encode()
            yield str(task), kind.encode(), value, [(n, v.encode()) for n, v in headers.items()]


def new_id(random: Random) -> UUID:
    """An id of the form the exchange draws: the time first, so that neighbours in time are neighbours."""
    bits = time.time_ns() // 1_000_000 << 80 | random.getrandbits(80)
    bits = bits & ~(0xF << 76) | 0x7 << 76
    return UUID(int=bits & ~(0x3 << 62) | 0x2 << 62)


async def make_topic(stage: Stage) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stage.layout.kafka_address)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
    await admin.close()


async def fill(stage: Stage, told: Iterable[Record]) -> int:
    """Put the facts on their topic; answers how many."""
    producer = AIOKafkaProducer(
        bootstrap_servers=stage.layout.kafka_address, linger_ms=20, max_batch_size=512 * 1024
    )
    await producer.start()
    count = 0
    try:
        for key, _kind, value, headers in told:
            await producer.send(TOPIC, value, key=key.encode(), headers=headers)
            count += 1
            if count % 1000 == 0:
                # Lets the sender's own task run; the loop above never waits by itself.
                await asyncio.sleep(0)
        await producer.flush()
    finally:
        await producer.stop()
    return count


def processor_s(pid: int) -> float:
    """Processor time of the process and its children, the ended ones included."""
    root = psutil.Process(pid)
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


@asynccontextmanager
async def peer(stage: Stage, name: str) -> AsyncIterator[Running]:
    """Billing's consumer inside another framework (see `benchmarks._peers`)."""
    told = environment(BILLING, stage.home, stage.layout, stage.credentials)
    program = Program([sys.executable, "-m", "benchmarks._peers", name], environment=told)
    process = await launch(program, stage.home.logs / "billing-worker.log")
    try:
        yield process
    finally:
        # It has done its work, and some frameworks take their time to end.
        process.send_signal(9)
        await process.wait()


POSTED = "select version from ledger_accounts where kind = 'company'"


@asynccontextmanager
async def nobody_sends(stage: Stage) -> AsyncIterator[None]:
    """Own all slots of billing's relay, as another process would, and send nothing: facts wait meanwhile."""
    url = environment(BILLING, stage.home, stage.layout, stage.credentials)["BILLING_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    slots = Slots(cluster_id="")

    async def keep() -> None:
        while True:
            await slots.keep(connection)
            await asyncio.sleep(RENEW_S)

    await slots.keep(connection)
    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await slots.give_back(connection)
        await connection.execute("update relay_slots set cluster_id = null")
        await connection.close()


async def consume(
    stage: Stage, entries: int, framework: str | None = None, *, at_most_s: float = inf
) -> dict[str, Any]:
    """Run one worker, ours or that of another framework, until the journal has so many entries more."""
    connection = await asyncpg.connect(stage.superuser("billing"))
    posted = partial(connection.fetchval, POSTED)
    there = await posted()
    entries += there
    port = str(stage.layout.worker["billing"])
    parts = {"postgres": stage.postgres.pid, "kafka": stage.kafka.pid}
    peak_mb = 0.0
    try:
        running = (
            service(stage, BILLING, "worker", "--metrics-port", port)
            if framework is None
            else peer(stage, framework)
        )
        async with running as worker:
            while await posted() == there:
                if worker.returncode is not None:
                    raise RuntimeError((stage.home.logs / "billing-worker.log").read_text()[-2000:])
                await asyncio.sleep(POLL_S / 10)
            started, first = time.monotonic(), await posted()
            before = {name: processor_s(pid) for name, pid in {**parts, "worker": worker.pid}.items()}
            while (done := await posted()) < entries and time.monotonic() - started < at_most_s:
                if worker.returncode is not None:
                    raise RuntimeError((stage.home.logs / "billing-worker.log").read_text()[-2000:])
                peak_mb = max(peak_mb, psutil.Process(worker.pid).memory_info().rss / 2**20)
                await asyncio.sleep(POLL_S)
            seconds = time.monotonic() - started
            after = {name: processor_s(pid) for name, pid in {**parts, "worker": worker.pid}.items()}
    finally:
        await connection.close()
    # Of three facts two become entries, in the same batches.
    events = round((done - first) * 1.5)
    return {
        "events": events,
        "whole": done == entries,
        "seconds": round(seconds, 2),
        "events_per_s": round(events / seconds),
        "processor_us_per_event": {
            name: round((after[name] - before[name]) / events * 1e6, 1) for name in before
        },
        "worker_peak_mb": round(peak_mb, 1),
    }


async def drain(stage: Stage) -> dict[str, Any]:
    """Send the whole outbox once more, as after a lost broker, by a worker without other work."""
    connection = await asyncpg.connect(stage.superuser("billing"))
    reached = partial(connection.fetchval, "select min(position) from relay_slots")
    try:
        rows, last = await connection.fetchrow("select count(*), max(id) from outbox")
        await connection.execute("update relay_slots set position = 0")
        port = str(stage.layout.worker["billing"])
        async with service(stage, BILLING, "worker", "--metrics-port", port) as worker:
            while await reached() == 0:  # noqa: ASYNC110 - another process
                await asyncio.sleep(POLL_S / 10)
            first = await connection.fetchval(
                "select count(*) from outbox where id <= (select max(position) from relay_slots)"
            )
            started, before = time.monotonic(), processor_s(worker.pid)
            while await reached() < last:  # noqa: ASYNC110 - another process
                await asyncio.sleep(POLL_S)
            seconds, processor = time.monotonic() - started, processor_s(worker.pid) - before
    finally:
        await connection.close()
    sent = rows - first
    return {
        "relay_per_s": round(sent / seconds),
        "relay_processor_us_per_event": round(processor / sent * 1e6, 1),
    }


async def at_rest(stage: Stage) -> dict[str, Any]:
    """Milliseconds from the commit of a fact until a reader of the topic has it, with little to do.

    What lies between are the wake-up, the relay's read, the broker's answer and its delivery.
    """
    reader = AIOKafkaConsumer("billing.ledger", bootstrap_servers=stage.layout.kafka_address)
    connection = await asyncpg.connect(stage.superuser("billing"))
    committed: dict[str, float] = {}
    arrived: dict[str, float] = {}

    async def read() -> None:
        while len(arrived) < FACTS_AT_REST:
            record = await reader.getone()
            arrived.setdefault(dict(record.headers)["ce_id"].decode(), time.monotonic())

    await reader.start()
    await reader.seek_to_end()
    try:
        port = str(stage.layout.worker["billing"])
        async with service(stage, BILLING, "worker", "--metrics-port", port):
            owned = "select bool_and(owner is not null) from relay_slots"
            while not await connection.fetchval(owned):  # noqa: ASYNC110 - another process
                await asyncio.sleep(POLL_S)
            reading = asyncio.create_task(read())
            first = time.monotonic() + 1
            for number in range(FACTS_AT_REST):
                await asyncio.sleep(max(0.0, first + number / RATE_AT_REST - time.monotonic()))
                event = uuid4()
                await connection.execute(SAY_AGAIN, event)
                committed[str(event)] = time.monotonic()
            await asyncio.wait_for(reading, 30)
    finally:
        await connection.close()
        await reader.stop()
    waits = [(arrived[event] - at) * 1000 for event, at in committed.items()]
    cuts = quantiles(waits, n=100, method="inclusive")
    return {"commit_to_reader_ms": {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}}


async def replay(stage: Stage) -> float:
    """Seconds that `billing replay` takes, which ends with a comparison of every row."""
    started = time.monotonic()
    verdict = await stage.run(BILLING, "replay")
    if await verdict.wait() != 0:
        raise RuntimeError((stage.home.logs / "billing-replay.log").read_text()[-2000:])
    return time.monotonic() - started


async def copy_alone(stage: Stage, tables: Sequence[str]) -> float:
    """Seconds that COPY needs for the same rows into empty tables with the same indexes and checks."""
    connection = await asyncpg.connect(stage.superuser("billing"))
    try:
        seconds = 0.0
        for table in tables:
            file = stage.home.folder / f"{table}.copy"
            await connection.copy_from_query(f"select * from {table}", output=str(file), format="binary")  # noqa: S608
            await connection.execute(f"create table copied_{table} (like {table} including all)")
            started = time.monotonic()
            await connection.copy_to_table(f"copied_{table}", source=str(file), format="binary")
            seconds += time.monotonic() - started
        return seconds
    finally:
        await connection.close()


async def check(stage: Stage, events: int | None) -> None:
    """Raise when anything is missing, doubled or unbalanced: the figure would be void."""
    connection = await asyncpg.connect(stage.superuser("billing"))
    try:
        heard, dead, balance = await connection.fetchrow(
            "select (select count(*) from inbox), (select count(*) from dead_letters),"
            " (select sum(amount_cents) from postings)"
        )
    finally:
        await connection.close()
    if (heard, dead, balance) != (events or heard, 0, 0):
        raise RuntimeError(f"{heard} of {events} facts were handled, {dead} put aside, sum {balance}")
    verdict = await stage.run(BILLING, "verify")
    if await verdict.wait() != 0:
        raise RuntimeError((stage.home.logs / "billing-verify.log").read_text()[-2000:])


@asynccontextmanager
async def backlog(tasks: int) -> AsyncIterator[tuple[Stage, int]]:
    """Engines and the registry, and so many facts on the topic."""
    async with (
        engines() as stage,
        service(stage, REGISTRY, "web", "--port", str(stage.layout.web["registry"])),
    ):
        await make_topic(stage)
        yield stage, await fill(stage, facts(tasks, await schema_ids(stage)))


async def measure_peer(tasks: int, framework: str | None) -> dict[str, Any]:
    """The consumer alone, on engines of its own; slow ones do as much as they can in a minute."""
    async with backlog(tasks) as (stage, events):
        async with nobody_sends(stage):
            found = await consume(stage, 2 * tasks, framework, at_most_s=PEER_S)
        await check(stage, events if found["whole"] else None)
    return found


async def measure(tasks: int) -> dict[str, Any]:
    async with backlog(tasks) as (stage, events):
        async with nobody_sends(stage):
            found = await consume(stage, 2 * tasks)
        relayed = await drain(stage)
        replay_s = await replay(stage)
        rested = await at_rest(stage)
        await check(stage, events)
        copy_s = await copy_alone(stage, WRITTEN)
    async with backlog(tasks) as (stage, events):
        beside = await consume(stage, 2 * tasks)
        await check(stage, events)
    copy_per_s = round(events / copy_s)
    return {
        "benchmark": "backbone",
        **found,
        "with_its_relay": beside,
        **relayed,
        "goal_relay_per_s": GOAL_RELAY_PER_S,
        **rested,
        "goal_commit_to_reader_ms": GOAL_AT_REST_MS,
        "replay_s": round(replay_s, 1),
        "replay_per_s": round(events / replay_s),
        "goal_replay_per_s": GOAL_REPLAY_PER_S,
        "copy_alone_per_s": copy_per_s,
        "by_goal": round(found["events_per_s"] / GOAL_PER_S, 3),
        "by_copy": round(found["events_per_s"] / copy_per_s, 3),
        "goal_per_s": GOAL_PER_S,
        "goal_by_copy": GOAL_OF_COPY,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000, help="three facts each")
    parser.add_argument("--peers", action="store_true", help="other frameworks with the same work, beside us")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.peers:
        # Ourselves first and last, as a shared machine may have changed between; some peers take long.
        for name in (None, *PEERS, None):
            rate = asyncio.run(measure_peer(options.tasks, name))["events_per_s"]
            framework = name or "this worker"
            told = json.dumps({framework: rate}) if options.json else f"{framework}: {rate}/s"
            print(told, flush=True)
        return
    found = asyncio.run(measure(options.tasks))
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['events']} events in {found['seconds']} s: {found['events_per_s']} a second")
    print("processor per event, microseconds: ", found["processor_us_per_event"])
    print(f"peak memory of the worker {found['worker_peak_mb']} MB")
    beside = found["with_its_relay"]
    print(f"with its relay sending meanwhile: {beside['events_per_s']} a second")
    print("processor per event, microseconds: ", beside["processor_us_per_event"])
    print(f"by the goal of {GOAL_PER_S} a second: {found['by_goal']}")
    print(f"by COPY of the same rows ({found['copy_alone_per_s']} a second): {found['by_copy']}")
    relay, relay_us = found["relay_per_s"], found["relay_processor_us_per_event"]
    print(f"relay alone from a backlog: {relay} a second, {relay_us} us of processor each")
    print(f"from commit to a reader of the topic, {RATE_AT_REST} a second: {found['commit_to_reader_ms']} ms")
    print(f"replay with comparison: {found['replay_s']} s, {found['replay_per_s']} facts a second")


if __name__ == "__main__":
    main()
