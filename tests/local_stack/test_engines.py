"""The engines survive what a developer's machine does to them."""

import asyncio
import secrets
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from local_stack.engines.databases import RIGHTS, ensure_database
from local_stack.engines.jars import bring_jars
from local_stack.engines.java import find_java
from local_stack.engines.kafka import Kafka
from local_stack.engines.postgres import Postgres
from local_stack.home import installed_folder
from local_stack.ports import PortChooser
from tests.support.engines import running, start, wait_until

pytestmark = pytest.mark.slow


def make_postgres(folder: Path) -> Postgres:
    return Postgres(folder / "postgres", PortChooser().draw(), "secret")


class TestPostgres:
    async def test_data_survives_kill_9(self, tmp_path: Path) -> None:
        """A killed server's lock and orphans do not hinder the next start; what was committed is there."""
        server = make_postgres(tmp_path)
        server.prepare()
        process = start(server.program(), tmp_path / "log")
        wait_until(server.is_ready, process, tmp_path / "log")
        connection = await asyncpg.connect(server.dsn())
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS x")
        process.kill()
        process.wait()
        connection.terminate()
        assert (server.folder / "postmaster.pid").exists()

        server.prepare()
        with running(server.program(), tmp_path / "log", server.is_ready):
            connection = await asyncpg.connect(server.dsn())
            assert await connection.fetchval("SELECT x FROM kept") == 1
            assert await connection.fetchval("SHOW server_version_num") >= "180000"
            assert await connection.fetchval("SHOW fsync") == "on"
            await connection.close()

    async def test_a_lock_of_somebody_else(self, tmp_path: Path) -> None:
        """A lock file whose pid belongs to another program by now, as after a power cut, is no obstacle."""
        server = make_postgres(tmp_path)
        server.prepare()
        lines = ["1", str(server.folder), "0", str(server.port), "", "127.0.0.1", "", "ready"]
        (server.folder / "postmaster.pid").write_text("\n".join(lines))
        server.prepare()
        with running(server.program(), tmp_path / "log", server.is_ready):
            await (await asyncpg.connect(server.dsn())).close()

    def test_a_first_start_that_was_killed(self, tmp_path: Path) -> None:
        """A data folder that is not whole is made anew."""
        server = make_postgres(tmp_path)
        (server.folder / "making" / "base").mkdir(parents=True)
        server.prepare()
        assert (server.folder / "PG_VERSION").read_text().strip() == "18"

    async def test_rights(self, postgres: Postgres) -> None:
        """The owner defines, the service does what it was granted, the reader looks, strangers stay out."""
        name = f"rights_{secrets.token_hex(4)}"
        passwords = {right: secrets.token_hex(8) for right in RIGHTS}
        for _ in range(2):  # every start does it again
            await ensure_database(postgres.dsn(), name, passwords)
        owner, service, reader = [
            await asyncpg.connect(postgres.dsn(name, f"{name}_{right}", passwords[right])) for right in RIGHTS
        ]
        await owner.execute("CREATE TABLE t (x int)")
        for connection, statement in (
            (service, "SELECT * FROM t"),
            (service, "CREATE TABLE mine (x int)"),
            (reader, "CREATE TABLE mine (x int)"),
        ):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
                await connection.execute(statement)
        assert await reader.fetch("SELECT * FROM t") == []
        await ensure_database(postgres.dsn(), f"{name}_other", passwords)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await asyncpg.connect(postgres.dsn(f"{name}_other", f"{name}_service", passwords["service"]))
        for connection in (owner, service, reader):
            await connection.close()

    async def test_every_alphabet(self, postgres: Postgres) -> None:
        """Search ignores case in Russian too, on every machine alike."""
        connection = await asyncpg.connect(postgres.dsn())
        assert await connection.fetchval("SELECT 'ПОПУГ' ILIKE 'попуг'")
        await connection.close()


class TestKafka:
    async def test_data_survives_kill_9(self, tmp_path: Path) -> None:
        """What a killed broker acknowledged is there after its next start, under the same cluster id."""
        ports = PortChooser()
        jars = installed_folder() / "java"
        bring_jars(jars)
        broker = Kafka(tmp_path / "kafka", ports.draw(), ports.draw(), java=find_java(), jars=jars)
        broker.prepare()
        process = start(broker.program(), tmp_path / "log")
        wait_until(broker.is_ready, process, tmp_path / "log")
        cluster = broker.cluster_id()
        assert not cluster.startswith("-")
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
        await admin.start()
        await admin.create_topics([NewTopic("kept", 1, 1)])
        await admin.close()
        async with AIOKafkaProducer(bootstrap_servers=broker.address, acks="all") as producer:
            await producer.send_and_wait("kept", b"fact")
        process.kill()
        process.wait()

        broker.prepare()
        with running(broker.program(), tmp_path / "log", broker.is_ready):
            assert broker.cluster_id() == cluster
            consumer = AIOKafkaConsumer(
                "kept", bootstrap_servers=broker.address, auto_offset_reset="earliest", group_id=None
            )
            async with consumer:
                message = await asyncio.wait_for(consumer.getone(), 20)
        assert message.value == b"fact"
