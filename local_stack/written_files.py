"""Small JSON files that are whole or absent, whatever is killed while they are written."""

import json
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any


def write_json(path: Path, content: Any, *, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
        json.dump(content, file, indent=1)
        file.flush()
        os.fchmod(file.fileno(), mode)
    Path(file.name).replace(path)


def read_json(path: Path) -> Any | None:
    """The content, or None when the file is not there or not JSON."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
