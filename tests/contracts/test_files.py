"""The contract files themselves: sealed, compatible, described, documented."""

import json
import shutil
from pathlib import Path

import pytest

from schema_registry.domain.checks import problems, seal
from schema_registry.domain.contracts import ContractError, read_contracts
from schema_registry.domain.event_map import event_map
from tests.contracts.test_events import SAMPLES
from tests.support.schemas import SCHEMAS

ROOT = Path(__file__).parents[2]
CREATED = Path("tracker") / "task_created"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The contract files, free to be spoilt."""
    return Path(shutil.copytree(SCHEMAS, tmp_path / "schemas"))


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_all_is_well() -> None:
    """No file differs from what was published, no version breaks readers, every version has samples."""
    assert problems(SCHEMAS, SAMPLES) == []


def test_the_event_map_is_up_to_date() -> None:
    """`docs/events.md` is what the files say."""
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    assert text == event_map(read_contracts(SCHEMAS)), "run python -m schema_registry events"


def test_a_published_file_never_changes(copied: Path) -> None:
    """A changed, removed or unpublished file is named."""
    change(copied / CREATED / "1.json", description="other words")
    assert any(
        "tracker/task_created/1.json was published and has changed" in one
        for one in problems(copied, SAMPLES)
    )
    with pytest.raises(ContractError, match="must not change"):
        seal(copied)


def test_a_new_version_is_published_once(copied: Path) -> None:
    """A new file has to be sealed, and then it is like the others."""
    schema = json.loads((copied / CREATED / "2.json").read_text())
    schema["$id"] = "urn:ates:tracker:task_created:3"
    (copied / CREATED / "3.json").write_text(json.dumps(schema))
    found = problems(copied, SAMPLES)
    assert any("tracker/task_created/3.json is new" in one for one in found)
    assert any("tracker/task_created/3.json has no golden samples" in one for one in found)
    assert seal(copied) == ["tracker/task_created/3.json"]
    assert not any("is new" in one for one in problems(copied, SAMPLES))


def test_an_incompatible_version_is_named_with_its_rule(copied: Path) -> None:
    """A version whose data old readers would refuse is no next version."""
    schema = json.loads((copied / CREATED / "2.json").read_text())
    schema["$id"] = "urn:ates:tracker:task_created:3"
    schema["properties"]["title"] = {"description": "A number by mistake.", "type": "integer"}
    (copied / CREATED / "3.json").write_text(json.dumps(schema))
    assert any("3.json breaks readers" in one and "TYPE_CHANGED" in one for one in problems(copied, SAMPLES))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"title": "Other"}, "title must be 'TaskCreated'"),
        ({"x-topic": "billing.tasks"}, "x-topic must be"),
        ({"$id": "urn:other"}, r"\$id must be"),
        ({"additionalProperties": False}, "events are open"),
        ({"examples": []}, "has no example"),
        ({"examples": [{}]}, "the example is not valid"),
        ({"properties": {"taskId": {"type": "string"}}}, "field taskId has no description"),
        ({"type": "nonsense"}, "Invalid schema"),
    ],
)
def test_names_and_words_tell_one_story(copied: Path, fields: dict[str, object], complaint: str) -> None:
    """Title, topic, producer, key, id, descriptions and examples are all there and agree."""
    change(copied / CREATED / "2.json", **fields)
    found = "\n".join(problems(copied, SAMPLES))
    assert complaint.replace("\\", "") in found


def test_versions_have_no_gap(copied: Path) -> None:
    """1.json, 2.json and so on."""
    shutil.move(copied / CREATED / "2.json", copied / CREATED / "4.json")
    with pytest.raises(ContractError, match="without a gap"):
        read_contracts(copied)
