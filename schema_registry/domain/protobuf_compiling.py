"""Protobuf schemas are read by Google's own compiler, in a process of its own with limits.

A schema may import the schemas it names as references, Google's well-known types (`google/protobuf`,
`google/type`) and those of Confluent's clients (`confluent`), nothing else.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import BoundedSemaphore

from schema_registry.domain.errors import invalid_schema

MAIN = "the schema.proto"
"""No reference can have this name."""

TEXT_LENGTH_MAX = 400_000
"""Characters of one schema: as many as are read, linked and written again in less than a second."""

REFERENCE_LENGTH_MAX = 200
COMPILING_S_MAX = 10
COMPILER_S_MAX = 1
"""Seconds of processor: thousands of reserved numbers take the compiler time by their square."""

ERRORS_SHOWN = 5
KEPT = 512
KEPT_LENGTH_MAX = 64_000
"""What is longer is compiled anew each time it is asked for, so that memory stays small."""

_LIMITED = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, ({COMPILER_S_MAX}, {COMPILER_S_MAX}))
from grpc_tools import protoc
sys.exit(protoc.main(sys.argv))
"""

_AT_ONCE = BoundedSemaphore(2)
_REFERENCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_ERROR = re.compile(r"^(?:refs/)?(?P<file>[^:]+):(?P<line>\d+):(?P<column>\d+): (?P<words>.+)$")
_ELSEWHERE = re.compile(r"^(?:refs/|main/)?(?P<file>[^:]+): (?P<words>.+)$")


def compiled(text: str, references: Mapping[str, str]) -> bytes:
    """A serialised `FileDescriptorSet`: the schema, the last of them, after everything it imports.

    Raises `RegistryError` when the text is no Protobuf, in the compiler's words.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise invalid_schema(f"it is longer than {TEXT_LENGTH_MAX} characters")
    sources = tuple(sorted(references.items()))
    length = len(text) + sum(len(name) + len(other) for name, other in sources)
    return (_kept if length <= KEPT_LENGTH_MAX else _compiled)(text, sources)


def _compiled(text: str, references: tuple[tuple[str, str], ...]) -> bytes:
    with TemporaryDirectory(prefix="ates-protobuf-") as place:
        folder = Path(place)
        for inside in ("main", "refs"):
            (folder / inside).mkdir()
        _write(folder / "main" / MAIN, text)
        for name, other in references:
            _write(folder / "refs" / _safe(name), other)
        return _run(folder)


_kept = lru_cache(maxsize=KEPT)(_compiled)


def _run(folder: Path) -> bytes:
    command = [sys.executable, "-I", "-c", _LIMITED, "-Irefs", "-Imain", *_well_known()]
    command += ["--include_imports", "--descriptor_set_out=set", MAIN]
    with _AT_ONCE:
        try:
            done = subprocess.run(  # noqa: S603  no shell, fixed words; what was sent stands in files
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMPILING_S_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise invalid_schema("it takes too long to be compiled") from None
    if done.returncode in {-signal.SIGXCPU, -signal.SIGKILL}:
        raise invalid_schema("it takes too long to be compiled")
    if done.returncode != 0:
        raise invalid_schema(_reasons(done.stderr.decode(errors="replace")))
    return (folder / "set").read_bytes()


@cache
def _well_known() -> tuple[str, ...]:
    """Where files that are imported without being references lie, each folder under its own name."""
    compiler, types = (_folder_of(package) for package in ("grpc_tools", "google.type"))
    confluent = Path(__file__).parents[1] / "protos" / "confluent"
    return (
        f"-Igoogle/protobuf={compiler / '_proto' / 'google' / 'protobuf'}",
        f"-Igoogle/type={types}",
        f"-Iconfluent={confluent}",
    )


def _folder_of(package: str) -> Path:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(package)
    return Path(next(iter(found.submodule_search_locations)))


def _safe(name: str) -> str:
    """The name as a path below the folder of references."""
    if len(name) > REFERENCE_LENGTH_MAX or not _REFERENCE.fullmatch(name):
        raise invalid_schema(f"the reference name {name[:REFERENCE_LENGTH_MAX]!r} is not a path of an import")
    return name


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    except UnicodeEncodeError:
        raise invalid_schema("it has characters that are none") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise invalid_schema("one reference's name is a folder of another one") from None


def _reasons(output: str) -> str:
    found = [reason for line in output.splitlines() if (reason := _reason(line))]
    return "; ".join(found[:ERRORS_SHOWN]) or "the compiler refuses it"


def _reason(line: str) -> str | None:
    """What the compiler says of a place, without the paths of this machine; None for its warnings."""
    if "warning:" in line or line.startswith(("WARNING", "W0", "I0")):
        return None
    if found := _ERROR.match(line):
        name = found["file"].removeprefix("main/")
        where = "" if name == MAIN else f"{name}, "
        return f"{where}line {found['line']}, column {found['column']}: {found['words']}"
    if found := _ELSEWHERE.match(line):
        name = found["file"]
        return found["words"] if name == MAIN else f"{name}: {found['words']}"
    return None
