"""Programs of other people's Java libraries: a Java that compiles them, and the jars they need."""

import asyncio
import os
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterable
from pathlib import Path

import pytest

from local_stack.engines.jars import Jar, bring_jar
from local_stack.engines.java import find_java
from local_stack.home import installed_folder
from local_stack.troubles import Trouble


def compiling_java() -> Path:
    """A Java that can compile; the one that comes as a Python package cannot. Skips where there is none."""
    try:
        found = find_java()
    except Trouble as trouble:
        pytest.skip(str(trouble))
    modules = subprocess.run([found, "--list-modules"], capture_output=True, text=True, check=False).stdout
    if "jdk.compiler" not in modules:
        pytest.skip("this Java has no compiler: install a JDK of 17 or newer")
    return found


def class_path_of(jars: Iterable[Jar]) -> str:
    """Bring the jars, once for all runs. Skips where Maven Central cannot be reached."""
    try:
        found = [bring_jar(jar, installed_folder() / "java-clients") for jar in jars]
    except Trouble:
        pytest.skip("the Java client could not be fetched from Maven Central")
    return os.pathsep.join(str(path) for path in found)


async def begin(java: Path, class_path: str, program: Path, *words: str) -> Process:
    """Compile and start a program of one file. Whoever begins it waits for its end."""
    # A short life: what the second compiler would win is less than it costs.
    options = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "--class-path", class_path)
    return await asyncio.create_subprocess_exec(
        str(java), *options, str(program), *words, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
