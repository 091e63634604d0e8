"""Confluent's own Java client against the running registry.

Confluent publishes it outside of Maven Central; Apache Flink's connector for such registries carries it whole
under a package name of its own.
"""

from pathlib import Path

import pytest

from local_stack.engines.jars import Jar, locked_jars
from service_kit.identity import Role
from tests.schema_registry.conftest import Web
from tests.support.java import begin, class_path_of, compiling_java

CARRIER = Jar(
    "org.apache.flink",
    "flink-sql-avro-confluent-registry",
    "2.1.0",
    "f21b26fc23f2e7d989fdbc1f319c5066605805909d884666f7b4aa40840d6dca",
)
PROGRAM = Path(__file__).parent / "java" / "Client.java"
SAID = """same id = true
by id = true
compatible = true
incompatible = false
reasons = true
latest = 2
version = 2
refused = 409 40901
level = NONE
subjects of id = [java-value]
deleted = [1, 2]
json = true
references = true
looked up = 1
protobuf = true
protobuf text = true
unknown = 404 40401
mode = READWRITE
types = [JSON, PROTOBUF, AVRO]
"""


@pytest.fixture(scope="session")
def java() -> Path:
    return compiling_java()


@pytest.fixture(scope="session")
def class_path() -> str:
    """The client, and what it logs through, which Kafka needs as well."""
    return class_path_of([CARRIER, *(jar for jar in locked_jars() if jar.artifact == "slf4j-api")])


async def test_the_java_client(address: str, web: Web, java: Path, class_path: str) -> None:
    """It registers, asks, compares, configures and deletes, and reads each answer and each refusal."""
    proto = 'syntax = "proto3"; message Task { string title = 1; }'
    program = await begin(java, class_path, PROGRAM, address, web.token(Role.ADMIN), proto)
    said, errors = await program.communicate()
    assert program.returncode == 0, errors.decode()[-2000:]
    assert said.decode() == SAID
