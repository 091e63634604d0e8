"""Kafka 4 in KRaft mode: one node that is broker and controller, on the jars of `jars.py`."""

import base64
import re
import shutil
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from local_stack.engines.jars import class_path
from local_stack.engines.program import Program
from local_stack.ports import LOOPBACK, answers
from local_stack.troubles import Trouble

_JAVA_OPTIONS = [
    # A small heap and the cheapest collector and compiler: a laptop runs all services beside it.
    *("-Xmx256m", "-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"),
    *("-Djava.awt.headless=true", "-Djava.net.preferIPv4Stack=true", "-XX:-UsePerfData", "-Xshare:auto"),
    "-Dlog4j2.disableJmx=true",
]

_LOG_SETTINGS = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601}{UTC}Z %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""


class Kafka:
    """One data folder and how to serve it on one port.

    `lines` are ports of further listeners, each with the port of the line in front of it: a client that came
    by a line is sent back to that line.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        controller_port: int,
        *,
        java: Path,
        jars: Path,
        lines: Mapping[int, int] | None = None,
    ) -> None:
        self.folder = folder
        self.port = port
        self.lines = lines or {}
        self._controller_port = controller_port
        self._java = java
        self._jars = jars

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write the settings; format the storage if that was never done."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._settings_file.write_text(self.settings())
        self._log_settings_file.write_text(_LOG_SETTINGS)
        if self._formatted_mark.exists():
            return
        shutil.rmtree(self._data, ignore_errors=True)  # a formatting that was killed half-way
        formatted = subprocess.run(
            self._command(
                "kafka.tools.StorageTool",
                *("format", "--standalone", "-t", _new_cluster_id(), "-c", str(self._settings_file)),
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        if formatted.returncode != 0:
            raise Trouble(f"Kafka could not format its storage {self._data}: {_last_line(formatted)}")
        self._formatted_mark.touch()

    def program(self) -> Program:
        return Program(command=self._command("kafka.Kafka", str(self._settings_file)), stop_within_s=30)

    def is_ready(self) -> bool:
        """Whether the broker accepts clients: it opens its port after it has caught up and been unfenced."""
        return answers(self.port)

    def cluster_id(self) -> str:
        """Which cluster the data folder belongs to; another one after the data was lost."""
        found = re.search(r"^cluster\.id=(.+)$", (self._data / "meta.properties").read_text(), re.MULTILINE)
        return found.group(1) if found else ""

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _formatted_mark(self) -> Path:
        return self._data / ".formatted"

    @property
    def _settings_file(self) -> Path:
        return self.folder / "server.properties"

    @property
    def _log_settings_file(self) -> Path:
        return self.folder / "log4j2.properties"

    def settings(self) -> str:
        """The broker's settings file."""
        # Name, where it listens, what it tells its clients.
        listeners = [("PLAINTEXT", self.port, self.port)]
        listeners += [(f"LINE{port}", port, line) for port, line in self.lines.items()]
        heard = [f"{name}://{LOOPBACK}:{port}" for name, port, _ in listeners]
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self._controller_port}",
            "controller.listener.names": "CONTROLLER",
            "listeners": ",".join([*heard, f"CONTROLLER://{LOOPBACK}:{self._controller_port}"]),
            "advertised.listeners": ",".join(f"{name}://{LOOPBACK}:{told}" for name, _, told in listeners),
            "listener.security.protocol.map": ",".join(
                f"{name}:PLAINTEXT" for name in ("CONTROLLER", *(name for name, _, _ in listeners))
            ),
            "log.dirs": str(self._data),
            # A killed broker is let in again only after its old session has run out.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            # Producers declare their topics; one that appears by accident would have the wrong shape.
            "auto.create.topics.enable": "false",
            "num.partitions": "8",
            "offsets.topic.num.partitions": "8",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "8",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # One developer's consumers do not come in waves that would be worth waiting for.
            "group.initial.rebalance.delay.ms": "0",
            # Business facts are kept: consumers rebuild themselves from the first one.
            "log.retention.ms": "-1",
            # What a service that stands still for weeks has not read yet stays unconfirmed in the outboxes.
            "offsets.retention.minutes": str(30 * 24 * 60),
            "log.segment.bytes": str(128 * 1024 * 1024),
            # Index files are allocated whole; at the default of 10 MB hundreds of partitions fill a disk.
            "log.index.size.max.bytes": str(1024 * 1024),
            "num.network.threads": "2",
            "num.io.threads": "4",
            "background.threads": "2",
            "num.recovery.threads.per.data.dir": "2",
            "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())

    def _command(self, *arguments: str) -> list[str]:
        return [
            str(self._java),
            *_JAVA_OPTIONS,
            f"-Dlog4j2.configurationFile={self._log_settings_file}",
            "-cp",
            class_path(self._jars),
            *arguments,
        ]


def _new_cluster_id() -> str:
    """22 characters as Kafka makes them. One that begins with `-` would be read as an option."""
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id


def _last_line(outcome: subprocess.CompletedProcess[str]) -> str:
    lines = (outcome.stdout + outcome.stderr).strip().splitlines()
    return lines[-1] if lines else f"exit code {outcome.returncode}"
