"""Facts that billing posts while they are being said: how many a second, and how long each of them takes.

Starts engines of its own, as `backbone` does. This process says facts at a steady rate, with broker,
PostgreSQL and one worker of billing on the same cores. A fact's delay is from the moment it was given to the
broker until its row in the inbox was written, in the transaction that posts it. Afterwards every fact stands
in the inbox once and `billing verify` finds nothing; else the figures are void.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from benchmarks._stage import POLL_S, Stage, engines, service, until_ready
from benchmarks.backbone import TOPIC, Record, check, facts, make_topic, processor_s, schema_ids
from local_stack.services import BILLING, REGISTRY

RATE_PER_S = 10_000
SECONDS = 20
STEP_S = 0.02
"""Facts are said in steps of so long, all that are due at once."""

HANDLED = """
select count(*) as facts, extract(epoch from max(processed_at) - min(sent_at))::float as seconds,
       percentile_cont(array[0.5, 0.95, 0.99]) within group (
           order by extract(epoch from processed_at - sent_at) * 1000) as all_ms,
       percentile_cont(array[0.5, 0.95, 0.99]) within group (
           order by extract(epoch from processed_at - sent_at) * 1000)
       filter (where sent_at > (select max(sent_at) - interval '3 seconds' from inbox)) as last_ms
from inbox
"""


async def say(stage: Stage, told: Sequence[Record], rate: int) -> None:
    """Give the facts to the broker at this rate, or as fast as it takes them."""
    producer = AIOKafkaProducer(
        bootstrap_servers=stage.layout.kafka_address, linger_ms=5, max_batch_size=256 * 1024
    )
    await producer.start()
    try:
        started, said = time.monotonic(), 0
        while said < len(told):
            await asyncio.sleep(max(0.0, started + said / rate + STEP_S - time.monotonic()))
            due = min(len(told), int((time.monotonic() - started) * rate))
            for key, _kind, value, headers in told[said:due]:
                await producer.send(TOPIC, value, key=key.encode(), headers=headers)
            said = due
        await producer.flush()
    finally:
        await producer.stop()


async def measure(rate: int, seconds: int) -> dict[str, Any]:
    async with engines() as stage:
        async with service(stage, REGISTRY, "web", "--port", str(stage.layout.web["registry"])):
            told = list(facts(rate * seconds // 3, await schema_ids(stage)))
            await make_topic(stage)
            port = str(stage.layout.worker["billing"])
            connection = await asyncpg.connect(stage.superuser("billing"))
            async with service(stage, BILLING, "worker", "--metrics-port", port) as worker:
                await until_ready(stage.layout.worker["billing"])
                parts = {
                    "worker": worker.pid,
                    "postgres": stage.postgres.pid,
                    "kafka": stage.kafka.pid,
                }
                before = {name: processor_s(pid) for name, pid in parts.items()}
                own_s = time.process_time()
                await say(stage, told, rate)
                handled = "select count(*) from inbox"
                while await connection.fetchval(handled) < len(told):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(POLL_S)
                spent = {name: processor_s(pid) - before[name] for name, pid in parts.items()}
                spent["load"] = time.process_time() - own_s
            found = await connection.fetchrow(HANDLED)
            await connection.close()
        await check(stage, len(told))
    return {
        "benchmark": "live",
        "facts": found["facts"],
        "offered_per_s": rate,
        "posted_per_s": round(found["facts"] / found["seconds"]),
        "delay_ms": _named(found["all_ms"]),
        "delay_of_the_last_3_s_ms": _named(found["last_ms"]),
        "processor_us_per_event": {
            name: round(taken / found["facts"] * 1e6, 1) for name, taken in spent.items()
        },
        "by_offered": round(found["facts"] / found["seconds"] / rate, 3),
    }


def _named(cuts: Sequence[float]) -> dict[str, float]:
    return dict(zip(("p50", "p95", "p99"), (round(cut, 1) for cut in cuts), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=RATE_PER_S, help="facts a second that are said")
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(measure(options.rate, options.seconds))
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{found['facts']} facts said at {found['offered_per_s']} a second, posted at {found['posted_per_s']}"
        f" a second ({found['by_offered']} of what was offered)"
    )
    print(f"from said to posted, ms: {found['delay_ms']}")
    print(f"of those that were said in the last three seconds: {found['delay_of_the_last_3_s_ms']}")
    print("processor per event, microseconds:", found["processor_us_per_event"])


if __name__ == "__main__":
    main()
