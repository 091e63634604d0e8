"""One log file per process: kept small, and read back merged by time.

Processes write to their files themselves, so that they need nobody to read a pipe and a log line costs the
supervisor nothing. The price: a file cannot be renamed under its writer, it is copied and cut.
"""

import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

LARGEST = 10 * 1024 * 1024
KEPT = 3

_POLL_S = 0.2
_LEADING_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)[.,]?(\d*)")


@dataclass(frozen=True, order=True)
class LogLine:
    """One line of a log, in the order of `moment`."""

    moment: float
    name: str
    text: str


def rotate(folder: Path) -> None:
    """Cut files that have grown too large, keeping `KEPT` older parts of each.

    Writers append, so after the cut they go on at the new end. A line written between copy and cut is lost,
    which a developer's log can bear.
    """
    for file in folder.glob("*.log"):
        if file.stat().st_size < LARGEST:
            continue
        for number in range(KEPT - 1, 0, -1):
            older = file.with_name(f"{file.name}.{number}")
            if older.exists():
                older.replace(file.with_name(f"{file.name}.{number + 1}"))
        shutil.copyfile(file, file.with_name(f"{file.name}.1"))
        with file.open("r+b") as writer:
            writer.truncate(0)


def names(folder: Path) -> list[str]:
    return sorted(file.stem for file in folder.glob("*.log"))


def read_merged(folder: Path, only: str | None = None) -> list[LogLine]:
    """All lines of the current files (`only`: a process, or every process of a service) by time."""
    return sorted(line for file in _files(folder, only) for line in _lines(file))


def follow(folder: Path, only: str | None = None) -> Iterator[LogLine]:
    """New lines as they come, until the caller stops asking."""
    positions = {file: file.stat().st_size for file in _files(folder, only)}
    while True:
        fresh: list[LogLine] = []
        for file in _files(folder, only):
            start = positions.get(file, 0)
            size = file.stat().st_size
            if size < start:
                start = 0  # it was cut
            with file.open("rb") as reader:
                reader.seek(start)
                data = reader.read(size - start)
            whole = data[: data.rfind(b"\n") + 1]
            positions[file] = start + len(whole)
            fresh += _parse(file.stem, whole.decode(errors="replace"), time.time())
        yield from sorted(fresh)
        time.sleep(_POLL_S)


def last_words(file: Path, lines: int = 5) -> str:
    """The end of a log, for a person who must learn why a process ended."""
    if not file.exists():
        return ""
    with file.open("rb") as reader:
        reader.seek(max(0, file.stat().st_size - 32768))
        found = reader.read().decode(errors="replace").splitlines()[-lines:]
    return "\n".join(_plain(line) for line in found)


def _plain(line: str) -> str:
    """What a structured line says, without its frame: of a stack trace the last line, which names why."""
    try:
        said = json.loads(line)
        text = "\n".join(str(said[part]) for part in ("event", "exception", "detail") if said.get(part))
    except (json.JSONDecodeError, TypeError, AttributeError):
        text = line
    return f"  {text.strip().splitlines()[-1][:500]}" if text.strip() else ""


def _files(folder: Path, only: str | None) -> list[Path]:
    return [
        file
        for file in sorted(folder.glob("*.log"))
        if only is None or file.stem == only or file.stem.startswith(f"{only}-")
    ]


def _lines(file: Path) -> list[LogLine]:
    return _parse(file.stem, file.read_text(errors="replace"), 0.0)


def _parse(name: str, text: str, otherwise: float) -> list[LogLine]:
    """A line without a time of its own, such as one of a stack trace, belongs to the line before it."""
    lines = []
    moment = otherwise
    for line in text.splitlines():
        moment = _moment(line) or moment
        lines.append(LogLine(moment, name, line))
    return lines


def _moment(line: str) -> float | None:
    if line.startswith("{"):
        try:
            said = json.loads(line)
            stamp = said.get("timestamp") or said.get("ts")
        except (json.JSONDecodeError, AttributeError):
            return None
        if isinstance(stamp, int | float):
            return float(stamp)
        return _parse_time(stamp) if isinstance(stamp, str) else None
    found = _LEADING_TIME.match(line)
    return _parse_time(f"{found[1]}T{found[2]}.{(found[3] or '0')[:6]}") if found else None


def _parse_time(stamp: str) -> float | None:
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
