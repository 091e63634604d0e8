"""The contract files: one folder per event, one immutable file per version."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from schema_registry.domain.documents import Document, read_document
from schema_registry.domain.errors import RegistryError

ABOUT = "event.json"
MANIFEST = "manifest.json"


class ContractError(Exception):
    """The contract files contradict themselves, or what was registered from them before."""


@dataclass(frozen=True, slots=True)
class ContractVersion:
    """One version of an event."""

    number: int
    path: str
    """Relative to the folder of schemas: `tracker/task_created/1.json`."""
    document: Document

    @property
    def schema(self) -> dict[str, Any]:
        contents = self.document.contents
        return contents if isinstance(contents, dict) else {}


@dataclass(frozen=True, slots=True)
class Contract:
    """An event: who says it where, who hears it, and its versions in their order."""

    name: str
    producer: str
    folder: str
    topic: str
    key: str
    summary: str
    consumers: Mapping[str, tuple[int, ...]]
    """The versions each service reads."""
    versions: tuple[ContractVersion, ...]
    until: Mapping[int, date]
    """Last day on which a version is said; one that is not named has no end yet."""

    def type_name(self, number: int) -> str:
        """What stands in `ce_type`."""
        return f"{self.topic}.{self.name}.v{number}"

    @property
    def subject(self) -> str:
        return f"{self.topic}-{self.name}"

    @property
    def latest(self) -> ContractVersion:
        return self.versions[-1]

    def version(self, number: int) -> ContractVersion | None:
        return next((one for one in self.versions if one.number == number), None)

    def readers_of(self, number: int) -> list[str]:
        return sorted(service for service, numbers in self.consumers.items() if number in numbers)


def read_contracts(folder: Path) -> list[Contract]:
    """Every event of the folder, by producer and name. Raises `ContractError` naming the file."""
    return [_contract(folder, about.parent) for about in sorted(folder.glob(f"*/*/{ABOUT}"))]


def version_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*/*.json") if path.name != ABOUT)


def _contract(root: Path, folder: Path) -> Contract:
    about = _json(folder / ABOUT)
    files = sorted((p for p in folder.glob("*.json") if p.name != ABOUT), key=_number)
    versions = tuple(_version(root, path) for path in files)
    if [one.number for one in versions] != list(range(1, len(versions) + 1)) or not versions:
        raise ContractError(
            f"{folder.relative_to(root)}: versions must be 1.json, 2.json and so on, without a gap"
        )
    return Contract(
        name=about["name"],
        producer=folder.parent.name,
        folder=folder.name,
        topic=about["topic"],
        key=about["key"],
        summary=about["summary"],
        consumers={service: tuple(numbers) for service, numbers in about["consumers"].items()},
        versions=versions,
        until={int(number): date.fromisoformat(day) for number, day in about.get("until", {}).items()},
    )


def _version(root: Path, path: Path) -> ContractVersion:
    name = path.relative_to(root).as_posix()
    try:
        return ContractVersion(_number(path), name, read_document(path.read_text(encoding="utf-8")))
    except RegistryError as error:
        raise ContractError(f"{name}: {error.message}") from None


def _number(path: Path) -> int:
    if not path.stem.isdigit():
        raise ContractError(f"{path.name} is not the number of a version")
    return int(path.stem)


def _json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
