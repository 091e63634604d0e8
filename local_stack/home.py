"""Where things lie: what is installed once per checkout, and the state of one exchange."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""


def installed_folder() -> Path:
    """The virtual environment and Kafka's jars: shared by all exchanges of this checkout."""
    return ROOT / ".ates"


@dataclass(frozen=True)
class Home:
    """The folder that holds the state of one exchange."""

    folder: Path

    @classmethod
    def of_environment(cls) -> "Home":
        named = os.environ.get("ATES_HOME")
        return cls(Path(named).expanduser().resolve() if named else ROOT / ".ates")

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def schemas(self) -> Path:
        """What services know of the registry, for starts without it."""
        return self.folder / "schemas"

    @property
    def letters(self) -> Path:
        return self.folder / "letters"

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def kafka(self) -> Path:
        return self.folder / "kafka"

    @property
    def gateway(self) -> Path:
        return self.folder / "gateway"

    @property
    def state_file(self) -> Path:
        return self.folder / "state.json"

    @property
    def secrets_file(self) -> Path:
        return self.folder / "secrets.json"

    @property
    def clock_file(self) -> Path:
        return self.folder / "clock.json"

    @property
    def demo_file(self) -> Path:
        return self.folder / "demo.json"

    @property
    def migrated_file(self) -> Path:
        return self.folder / "migrated.json"

    def everything(self) -> list[Path]:
        """All that `reset` deletes: the state, not what was installed."""
        return [
            self.postgres,
            self.kafka,
            self.gateway,
            self.logs,
            self.letters,
            self.state_file,
            self.secrets_file,
            self.clock_file,
            self.demo_file,
            self.migrated_file,
        ]
