"""Confluent's own Java client against the running registry.

Confluent publishes it outside of Maven Central; Apache Flink's connector for such registries carries it whole
under a package name of its own.
"""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from local_stack.engines.jars import Jar, bring_jar, locked_jars
from local_stack.engines.java import find_java
from local_stack.home import installed_folder
from local_stack.troubles import Trouble
from service_kit.identity import Role
from tests.schema_registry.conftest import Web

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
    """A Java that can compile; the one that comes as a Python package cannot."""
    try:
        found = find_java()
    except Trouble as trouble:
        pytest.skip(str(trouble))
    modules = subprocess.run([found, "--list-modules"], capture_output=True, text=True, check=False).stdout
    if "jdk.compiler" not in modules:
        pytest.skip("this Java has no compiler: install a JDK of 17 or newer")
    return found


@pytest.fixture(scope="session")
def class_path() -> str:
    """The client, and what it logs through, which Kafka needs as well."""
    logging = [jar for jar in locked_jars() if jar.artifact == "slf4j-api"]
    try:
        found = [bring_jar(jar, installed_folder() / "java-clients") for jar in [CARRIER, *logging]]
    except Trouble:
        pytest.skip("Confluent's Java client could not be fetched from Maven Central")
    return os.pathsep.join(str(path) for path in found)


async def test_the_java_client(address: str, web: Web, java: Path, class_path: str) -> None:
    """It registers, asks, compares, configures and deletes, and reads each answer and each refusal."""
    proto = 'syntax = "proto3"; message Task { string title = 1; }'
    words = ["--class-path", class_path, str(PROGRAM), address, web.token(Role.ADMIN), proto]
    said = await asyncio.to_thread(
        subprocess.run, [str(java), *words], capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr[-2000:]
    assert said.stdout == SAID
