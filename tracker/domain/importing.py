"""Reading a file of tasks: CSV or JSON lines, checked as a whole, every fault with its line and column."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from service_kit.errors import Invalid
from service_kit.text import Message
from service_kit.text import message as _
from tracker.domain.work import TaskText, split_pasted, task_text

ROWS_MAX = 10_000
FAULTS_MAX = 200
"""More are not told: whoever has so many mends the file and tries again."""

COLUMNS = ("title", "jira_id", "description")


class ImportStatus(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class FileInvalid(Invalid):
    """The file as a whole cannot be read."""

    code = "file_invalid"
    title = _("This file cannot be taken")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in one line; `column` is empty where it is the line itself."""

    line: int
    column: str
    reason: Message | str


@dataclass(frozen=True, slots=True)
class ReadFile:
    texts: list[TaskText]
    faults: list[Fault]
    """At most `FAULTS_MAX`; with any of them nothing is taken."""


def read_tasks(content: bytes) -> ReadFile:
    """Read tasks from UTF-8 text: JSON lines when it begins with a brace, CSV with a head line otherwise.

    Raises `FileInvalid` when it is neither, is empty or has more than `ROWS_MAX` rows.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(
            _("The file is not UTF-8 text. Spreadsheets call this form “CSV UTF-8” when they save.")
        ) from error
    if not text.strip():
        raise _unreadable(_("There is no task in this file."))
    rows = _json_lines(text) if text.lstrip().startswith("{") else _csv_rows(text)
    texts: list[TaskText] = []
    faults: list[Fault] = []
    count = 0
    for line, row in rows:
        count += 1
        if count > ROWS_MAX:
            raise _unreadable(_("A file has at most {limit} tasks.", limit=ROWS_MAX))
        if len(faults) >= FAULTS_MAX:
            continue
        if isinstance(row, Fault):
            faults.append(row)
            continue
        try:
            split = split_pasted(row["title"], row["jira_id"])
            texts.append(task_text(split.title, split.jira_id, row["description"]))
        except Invalid as error:
            faults += [Fault(line, found.field, found.message) for found in error.errors]
    if not count:
        raise _unreadable(_("There is no task in this file."))
    return ReadFile(texts, faults)


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, str] | Fault]]:
    first = text.partition("\n")[0]
    # Spreadsheets of half of Europe write semicolons.
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        head = [name.strip().lower() for name in next(reader, [])]
        if "title" not in head or not set(head) <= set(COLUMNS) or len(set(head)) != len(head):
            raise _unreadable(
                _("The first line names the columns: title, and if you like jira_id and description.")
            )
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(head):
                wanted = _(
                    "{count} cells where the first line has {columns}.", count=len(cells), columns=len(head)
                )
                yield line, Fault(line, "", wanted)
                continue
            yield line, _filled(zip(head, cells, strict=True))
    except csv.Error as error:
        raise _unreadable(
            _("Line {line} is not CSV: {reason}.", line=reader.line_num, reason=str(error))
        ) from error


def _json_lines(text: str) -> Iterator[tuple[int, dict[str, str] | Fault]]:
    for line, raw in enumerate(text.split("\n"), start=1):
        if not raw.strip():
            continue
        try:
            row = json.loads(raw)
        except (ValueError, RecursionError):
            yield line, Fault(line, "", _("This is not valid JSON."))
            continue
        if not isinstance(row, dict):
            yield line, Fault(line, "", _("This must be an object."))
        elif unknown := sorted(set(row) - set(COLUMNS)):
            yield line, Fault(line, str(unknown[0])[:50], _("There is no such field."))
        elif wrong := [name for name in row if row[name] is not None and not isinstance(row[name], str)]:
            yield line, Fault(line, wrong[0], _("This must be text."))
        else:
            yield line, _filled((name, row[name] or "") for name in row)


def _filled(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    row: Mapping[str, str] = dict(pairs)
    return {name: row.get(name, "") for name in COLUMNS}


def _unreadable(text: Message) -> FileInvalid:
    return FileInvalid.of("file", text)
