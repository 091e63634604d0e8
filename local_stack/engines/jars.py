"""Kafka's jars: brought once from Maven Central, each checked against the hash in `kafka_jars.lock`.

The lock lists coordinates only; jgo's resolver knows where they live. To take another version change
`KAFKA` and write the lock anew: `python -m local_stack.engines.jars > local_stack/engines/kafka_jars.lock`.
"""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local_stack.troubles import Trouble

KAFKA = "org.apache.kafka:kafka_2.13:4.3.1"

# Kafka logs through SLF4J; its release archive binds that to Log4j, its published dependencies do not.
LOG_BINDING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"

LOCK = Path(__file__).with_name("kafka_jars.lock")
_AT_ONCE = 8


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinates(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def locked_jars() -> list[Jar]:
    jars = []
    for line in LOCK.read_text().splitlines():
        if line and not line.startswith("#"):
            coordinates, digest = line.split()
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, digest.removeprefix("sha256:")))
    return jars


def bring_jars(folder: Path, progress: Callable[[int, int], None] = lambda _done, _all: None) -> None:
    """Fill `folder` with the locked jars. What is there already is not fetched again."""
    jars = locked_jars()
    if _complete_mark(folder).exists():
        return
    missing = [jar for jar in jars if not _matches(folder / jar.file_name, jar)]
    progress(len(jars) - len(missing), len(jars))
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        # On the same file system as the folder, so that each jar appears by a rename, whole or not at all.
        with TemporaryDirectory(dir=folder) as cache, ThreadPoolExecutor(_AT_ONCE) as threads:
            context = _maven(Path(cache))
            fetched = threads.map(lambda jar: _bring(context, jar, folder), missing)
            for done, _ in enumerate(fetched, start=len(jars) - len(missing) + 1):
                progress(done, len(jars))
    _complete_mark(folder).touch()


def bring_jar(jar: Jar, folder: Path) -> Path:
    """One jar beside Kafka's, checked like them. Raises `Trouble` when it cannot be had."""
    if not _matches(folder / jar.file_name, jar):
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder) as cache:
            _bring(_maven(Path(cache)), jar, folder)
    return folder / jar.file_name


def class_path(folder: Path) -> str:
    return os.pathsep.join(str(folder / jar.file_name) for jar in locked_jars())


def _complete_mark(folder: Path) -> Path:
    # Hashing 44 MB on every start would cost more than it proves; the mark names the lock it was made for.
    return folder / f".complete-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"


def _matches(file: Path, jar: Jar) -> bool:
    return file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == jar.sha256


def _bring(context: Any, jar: Jar, folder: Path) -> None:
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    try:
        fetched = Path(artifact.resolve())
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
        raise Trouble(
            "Kafka could not be fetched from Maven Central: the first start needs the network. "
            f"Connect and run the command again ({jar.file_name}: {type(error).__name__})."
        ) from error
    if not _matches(fetched, jar):
        raise Trouble(
            f"{jar.file_name} as fetched is not the file that was locked (its SHA-256 differs), so it is not "
            "used. Something on the way changed it, perhaps a proxy: try another network."
        )
    fetched.rename(folder / jar.file_name)


def _maven(cache: Path) -> Any:
    # Imported here, as only the first start and the lock need it.
    from jgo.maven import MavenContext  # noqa: PLC0415

    return MavenContext(repo_cache=cache, timeout=60)


def _resolve(cache: Path) -> list[Jar]:
    """Ask Maven Central what `KAFKA` needs at run time."""
    context = _maven(cache)
    group, artifact, version = KAFKA.split(":")
    root = context.create_dependency(f"{group}:{artifact}:jar:{version}:runtime")
    # The binding is added by itself: resolved together, the management section of Log4j's parent would
    # change the versions that Kafka asks for.
    components = [context.project(*LOG_BINDING.split(":")[:2]).at_version(LOG_BINDING.split(":")[2])]
    named, needed = context.resolver.resolve([root])
    components += [dependency.artifact.component for dependency in (*named, *needed)]
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        files = list(threads.map(lambda component: component.artifact().resolve(), components))
    return [
        Jar(
            component.groupId,
            component.artifactId,
            component.version,
            hashlib.sha256(Path(file).read_bytes()).hexdigest(),
        )
        for component, file in zip(components, files, strict=True)
    ]


def _print_lock() -> None:
    with TemporaryDirectory() as cache:
        lines = sorted(f"{jar.coordinates} sha256:{jar.sha256}" for jar in _resolve(Path(cache)))
    print(f"# What {KAFKA} needs at run time, written by python -m local_stack.engines.jars")
    print("\n".join(lines))


if __name__ == "__main__":
    _print_lock()
