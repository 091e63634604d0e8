"""What consumers note beside their offsets: put together, kept short, and never believed blindly."""

import json
from datetime import UTC, datetime

import pytest
from aiokafka import TopicPartition

from service_kit.readings import NOTE_BYTES_MAX, Notes, Readers, readings_in
from tests.service_kit.test_tail import settings_for

FIRST, SECOND = TopicPartition("tracker.tasks", 0), TopicPartition("tracker.tasks", 1)
OLD, NEW = "tracker.tasks.TaskCreated.v1", "tracker.tasks.TaskCreated.v2"


def at(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def test_partitions_are_put_together() -> None:
    """The latest of all partitions counts; a type that was never handled was only said."""
    notes = Notes()
    notes.read(FIRST.topic, FIRST.partition, NEW, 7_999)
    notes.read(SECOND.topic, SECOND.partition, NEW, 5_000)
    notes.passed(SECOND.topic, SECOND.partition, OLD, 9_000)
    found = readings_in(map(notes.written, (FIRST, SECOND)))
    assert found.keys() == {OLD, NEW}
    assert found[NEW].said_at == at(7)
    assert found[NEW].read_at is not None
    assert found[OLD].said_at == at(9)
    assert found[OLD].read_at is None
    assert Notes().written(FIRST) == ""


def test_the_next_consumer_goes_on() -> None:
    """What was noted before stays, unless something newer came meanwhile."""
    notes = Notes()
    notes.passed(FIRST.topic, FIRST.partition, NEW, 5_000)
    notes.take_over(FIRST, json.dumps({OLD: [3, 4], NEW: [6, 7]}))
    found = readings_in([notes.written(FIRST)])
    assert (found[OLD].read_at, found[OLD].said_at) == (at(3), at(4))
    assert (found[NEW].read_at, found[NEW].said_at) == (at(6), at(7))


def test_a_note_stays_short() -> None:
    """More types than the broker has room for: those that came last are kept."""
    notes = Notes()
    for second in range(200):
        notes.passed(FIRST.topic, FIRST.partition, f"tracker.tasks.Something{second}.v1", second * 1_000)
    note = notes.written(FIRST)
    assert len(note) <= NOTE_BYTES_MAX
    kept = readings_in([note])
    assert len(kept) > 50
    assert min(one.said_at for one in kept.values()) == at(200 - len(kept))


@pytest.mark.parametrize(
    "note",
    ["", "a note of another client", "[1]", '{"a": 1}', '{"a": [1]}', '{"a": [-1, 2]}', '{"a": ["x", 2]}'],
)
def test_notes_of_others(note: str) -> None:
    """Every client may write what it likes there."""
    assert readings_in([note]) == {}


async def test_without_a_broker() -> None:
    """It is said that nothing is known."""
    readers = Readers(settings_for("localhost:1"))
    assert await readers.readings(["billing"]) is None
    await readers.close()
