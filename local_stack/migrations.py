"""Which migrations a database of this exchange has seen, so that a start with nothing new starts none."""

import hashlib
from pathlib import Path

from local_stack.home import ROOT, Home
from local_stack.services import Service
from local_stack.written_files import read_json, write_json


def is_migrated(home: Home, service: Service) -> bool:
    known = read_json(home.migrated_file) or {}
    return bool(known.get(service.name) == _fingerprint(service))


def remember_migrated(home: Home, service: Service) -> None:
    known = read_json(home.migrated_file) or {}
    write_json(home.migrated_file, known | {service.name: _fingerprint(service)})


def _fingerprint(service: Service) -> str:
    """Of every file that takes part: another byte in one of them, and the migrations are run."""
    digest = hashlib.sha256()
    for folder in (ROOT / service.package / "migrations", ROOT / "service_kit" / "migrating"):
        for file in sorted(folder.rglob("*.py")):
            digest.update(str(file.relative_to(ROOT)).encode())
            digest.update(_content(file))
    return digest.hexdigest()


def _content(file: Path) -> bytes:
    content = file.read_bytes()
    return len(content).to_bytes(8, "big") + content
