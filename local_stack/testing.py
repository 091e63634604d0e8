"""`test`: every check and test of the project, as CI runs them; and the browser they need."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from rich.console import Console

from local_stack.home import ROOT, installed_folder
from local_stack.troubles import Trouble

_SOME_FAILED = 1
"""Exit code of pytest."""

_FEW = 5
_NODE_PACKAGES = ROOT / "tests" / "schema_registry" / "node" / "package.json"
_NPM_S = 300
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

_SIDE_BY_SIDE = ("-n", "2", "--no-loadscope-reorder")
"""In the order of the files: by their number of tests, the slowest ones, which are alone, would come last."""
_TOLD = ("--durations=25", "--durations-min=5", "--cov", "--cov-report=term:skip-covered")

CHECKS = {
    "ruff, rules": ("ruff", "check", "."),
    "ruff, format": ("ruff", "format", "--check", "."),
    "types": ("mypy",),
    "import layers": ("import_linter",),
}


def run_tests(arguments: Sequence[str], console: Console) -> int:
    """All checks and tests, or with `arguments` only pytest with these. Answers the exit code."""
    environment = {**os.environ, "ATES_CHROMIUM": ensure_chromium(console)}
    ensure_prometheus(console)
    ensure_node_packages(console)
    if arguments:
        return _run(["pytest", *arguments], environment)
    failed = []
    for title, (module, *options) in CHECKS.items():
        console.rule(title, align="left")
        if _run_check(module, options, environment) != 0:
            failed.append(title)
    console.rule("tests", align="left")
    if failed:
        console.print(f"[red]Failed before the tests: {', '.join(failed)}[/]")
    sys.stdout.flush()
    # Last, so that its summary is the last line.
    tests = _run(["pytest", *_SIDE_BY_SIDE, *_TOLD], environment)
    if tests == _SOME_FAILED:
        tests = _once_more(environment, console)
    return tests or (1 if failed else 0)


def _once_more(environment: dict[str, str], console: Console) -> int:
    """Run a few failed tests again, one at a time: what fails only on a crowded machine is told apart.

    They are named, so that nobody takes them for sound; many failures are no accident and stay failures.
    """
    file = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
    names = list(json.loads(file.read_text())) if file.exists() else []
    if not 0 < len(names) <= _FEW:
        return _SOME_FAILED
    console.rule("failed tests once more, alone", align="left")
    for name in names:
        console.print(f"[yellow]failed the first time: {name}[/]", highlight=False)
    sys.stdout.flush()
    enough = _run(["coverage", "report", "--skip-covered", "--format=total"], environment)
    return enough or _run(
        ["pytest", "-n", "0", "--last-failed", "--last-failed-no-failures=none"], environment
    )


def _run_check(module: str, options: Sequence[str], environment: dict[str, str]) -> int:
    if module == "import_linter":
        # It has no `python -m`; its command stands beside the interpreter.
        program = shutil.which("lint-imports", path=os.path.dirname(sys.executable))  # noqa: PTH120
        if program is None:
            raise Trouble("lint-imports is missing; run the command through ./ates test.")
        return subprocess.run([program], cwd=ROOT, env=environment, check=False).returncode
    return _run([module, *options], environment)


def _run(module: Sequence[str], environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", *module]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def ensure_prometheus(console: Console) -> None:
    """Bring Prometheus and promtool, which check the alert rules; without them these tests are skipped."""
    if shutil.which("promtool") or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    console.print("Installing Prometheus for the tests of the alert rules: apt-get install prometheus")
    _install_package("prometheus")


def ensure_node_packages(console: Console) -> None:
    """Bring other people's tools for Node.js, which read the registry and sign in; else tests are skipped."""
    npm = shutil.which("npm")
    folder = installed_folder() / "node"
    wanted = _NODE_PACKAGES.read_bytes()
    installed = folder / "installed.json"
    if npm is None or (installed.exists() and installed.read_bytes() == wanted):
        return
    console.print("Installing the Node.js tools of the tests: npm install")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_bytes(wanted)
    quiet = ["--silent", "--no-audit", "--no-fund"]
    command = [npm, "install", *quiet, "--no-package-lock", "--ignore-scripts"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        if subprocess.run(command, cwd=folder, check=False, timeout=_NPM_S).returncode == 0:
            installed.write_bytes(wanted)
            return
    console.print("npm could not bring them; the tests that need them are skipped and say so.")


def _install_package(name: str) -> None:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    told = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update"], check=False, **quiet)  # type: ignore[call-overload]
    command = ["apt-get", "install", "--yes", "--no-install-recommends", name]
    subprocess.run(command, check=False, env=told, **quiet)  # type: ignore[call-overload]


def ensure_chromium(console: Console) -> str:
    """Path of a Chromium: the system's, else the distribution's package, else empty for Playwright's own."""
    found = _system_browser()
    if found:
        return found
    if os.geteuid() == 0 and shutil.which("apt-get"):
        console.print("Installing Chromium for the browser tests: apt-get install chromium")
        _install_package("chromium")
        found = _system_browser()
        if found:
            return found
    console.print("Installing Chromium for the browser tests: playwright install chromium")
    command = [sys.executable, "-m", "playwright", "install", "--only-shell", "chromium"]
    if subprocess.run(command, check=False).returncode != 0:
        raise Trouble(
            "Chromium could not be installed: install it from your system's packages, so that `chromium` or "
            "`google-chrome` is on the path, and run the command again."
        )
    return ""


def _system_browser() -> str | None:
    return next((path for name in _BROWSERS if (path := shutil.which(name))), None)
