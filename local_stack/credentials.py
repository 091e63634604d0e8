"""Every secret of one exchange: drawn once, kept in a file that only its owner may read."""

import secrets
from pathlib import Path

from local_stack.engines.databases import RIGHTS
from local_stack.services import SERVICES
from local_stack.written_files import read_json, write_json

_WORDS = (
    *("amber", "basil", "cedar", "cobalt", "coral", "crimson", "ember", "hazel", "indigo", "ivory"),
    *("jade", "linen", "maple", "olive", "onyx", "pearl", "poppy", "quartz", "saffron", "willow"),
)


class Credentials:
    """Secrets by name. One that is missing, for instance of a new service, is drawn and added."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, str] = read_json(file) or {}
        before = len(self._known)
        self.postgres = self._secret("postgres.superuser")
        self.price_key = self._secret("billing.price_key")
        self.demo_password = self._known.setdefault("demo.password", _password())
        for service in SERVICES:
            for right in RIGHTS:
                self._secret(f"{service.name}.database.{right}")
            self._secret(f"{service.name}.client_secret")
            self._secret(f"{service.name}.secret_key")
        if len(self._known) != before:
            write_json(file, self._known, mode=0o600)

    def database(self, service: str) -> dict[str, str]:
        """Passwords of a service's database roles by right."""
        return {right: self._known[f"{service}.database.{right}"] for right in RIGHTS}

    def client_secret(self, service: str) -> str:
        return self._known[f"{service}.client_secret"]

    def secret_key(self, service: str) -> str:
        return self._known[f"{service}.secret_key"]

    def _secret(self, name: str) -> str:
        # Hex: safe in addresses and in SQL without quoting.
        return self._known.setdefault(name, secrets.token_hex(32))


def _password() -> str:
    """Easy to type from the screen, yet nobody guesses it."""
    words = [secrets.choice(_WORDS) for _ in range(3)]
    return "-".join([*words, f"{secrets.randbelow(10_000):04}"])
