"""The import rules are seen to bite: each planted violation is reported, the project itself is clean."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RULES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

VIOLATIONS = {
    "a service imports another": ("billing/domain", "import tracker.domain", "never import each other"),
    "the kit imports a service": ("service_kit/money", "import billing.domain", "The kit stands below"),
    "the local stack imports the kit": (
        "local_stack/ports",
        "import service_kit.ids",
        "imports none of them",
    ),
    "a domain imports the database": ("tracker/domain", "import sqlalchemy", "The domain knows no"),
    "a command knows HTTP": ("billing/commands", "import fastapi", "know no HTTP"),
    "a page writes SQL": ("tracker/pages", "import sqlalchemy", "Edges write no SQL"),
    "a worker speaks to the broker itself": ("tracker/worker", "import aiokafka", "Only the kit speaks"),
    "a command calls a query": ("tracker/commands", "import tracker.queries", "point downwards"),
    "a model calls a command": ("tracker/models", "import tracker.commands", "point downwards"),
    "production code imports tests": ("service_kit/money", "import pytest", "Nothing imports the tests"),
}


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project's packages and rules, to be spoilt."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in RULES["root_packages"]:
        ignored = shutil.ignore_patterns("__pycache__", "static", "schemas", "locale")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    return tmp_path


def file_of(folder: Path, module: str) -> Path:
    """A module is a file or, past some size, a package of the same name."""
    single = folder / f"{module}.py"
    return single if single.exists() else folder / module / "__init__.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_planted_violation_is_reported(copy: Path, name: str) -> None:
    module, line, contract = VIOLATIONS[name]
    with file_of(copy, module).open("a") as file:
        file.write(f"\n{line}\n")
    outcome = lint(copy)
    assert outcome.returncode == 1
    broken = [text for text in outcome.stdout.splitlines() if text.endswith("BROKEN")]
    assert any(contract in text for text in broken), outcome.stdout


@pytest.mark.slow
def test_a_file_with_a_name_of_its_own_is_reported(copy: Path) -> None:
    (copy / "tracker" / "helpers.py").write_text("")
    outcome = lint(copy)
    assert outcome.returncode == 1
    assert "tracker.helpers" in outcome.stdout
