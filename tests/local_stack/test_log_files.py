"""Logs are kept small and read back in the order of time."""

import json
from itertools import islice
from pathlib import Path
from threading import Timer

from local_stack import log_files


def write(folder: Path, name: str, *lines: str) -> Path:
    file = folder / f"{name}.log"
    with file.open("a") as log:
        log.writelines(f"{line}\n" for line in lines)
    return file


def said(second: int, event: str) -> str:
    return json.dumps({"event": event, "timestamp": f"2026-03-02T09:00:{second:02}.000000Z"})


def test_merged_by_time(tmp_path: Path) -> None:
    """Lines of services and engines are one stream; a stack trace stays below its line."""
    write(tmp_path, "tracker-web", said(1, "first"), "Traceback", said(4, "last"))
    write(tmp_path, "postgres", "2026-03-02 09:00:02.500 UTC [7] LOG:  ready")
    names = [line.name for line in log_files.read_merged(tmp_path)]
    assert names == ["tracker-web", "tracker-web", "postgres", "tracker-web"]


def test_one_service(tmp_path: Path) -> None:
    """The name of a service stands for all its processes."""
    for name in ("tracker-web", "tracker-worker", "billing-web"):
        write(tmp_path, name, said(1, name))
    assert {line.name for line in log_files.read_merged(tmp_path, "tracker")} == {
        "tracker-web",
        "tracker-worker",
    }
    assert {line.name for line in log_files.read_merged(tmp_path, "billing-web")} == {"billing-web"}


def test_cut_when_large(tmp_path: Path) -> None:
    """A large file moves aside, its writer goes on in the empty one, and only a few parts are kept."""
    file = write(tmp_path, "kafka", "x" * log_files.LARGEST)
    with file.open("a") as writer:
        for _ in range(log_files.KEPT + 2):
            writer.write("x" * log_files.LARGEST)
            writer.flush()
            log_files.rotate(tmp_path)
            assert file.stat().st_size == 0
        writer.write("after\n")
    assert file.read_text() == "after\n"
    assert len(list(tmp_path.glob("kafka.log.*"))) == log_files.KEPT


def test_follow(tmp_path: Path) -> None:
    """Only what is new is told, also of a file that appears later."""
    write(tmp_path, "tracker-web", said(1, "old"))
    lines = log_files.follow(tmp_path)
    Timer(0.1, write, (tmp_path, "billing-web", said(2, "new"))).start()
    assert [line.name for line in islice(lines, 1)] == ["billing-web"]
