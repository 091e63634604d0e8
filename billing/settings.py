"""What billing is told beside the settings every service has."""

from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr

from service_kit.settings import ServiceSettings


class BillingSettings(ServiceSettings):
    name: ClassVar[str] = "billing"

    price_key: SecretStr = Field(min_length=16)
    """Secret from which prices are derived. Tasks priced before keep their price when it changes."""

    letters_folder: Path | None = None
    """Where letters about payouts are written where no mail server takes them, one `.eml` file each."""

    letters_domain: str = Field(default="exchange.invalid", pattern=r"^[A-Za-z0-9.-]+$")
    """Letters go to `<account id>@<this domain>`; billing knows neither names nor addresses."""

    letters_from: str | None = Field(default=None, pattern=r"^[^@\s<>,;]+@[A-Za-z0-9.-]+$")
    """Sender of these letters; `payroll@<letters_domain>` when absent."""

    letters_at_once: int = Field(default=500, ge=1)
    """Files that are written in one transaction. A mail server gets one letter in each."""

    close_delay_s: float = Field(default=60, ge=0)
    """How long after midnight a day waits for stragglers before it is closed."""

    close_quiet_s: float = Field(default=1, ge=0)
    """How long a day has to be seen due before it closes: facts may still be on their way to the broker."""

    close_wait_s: float = Field(default=900, ge=0)
    """How long a day that is due waits for unread events before it is closed without them."""

    tick_s: float = Field(default=5, gt=0)
    """How often the worker asks which days are due and which letters are to be written."""

    @property
    def letters_sender(self) -> str:
        return self.letters_from or f"payroll@{self.letters_domain}"

    @property
    def close_delay(self) -> timedelta:
        return timedelta(seconds=self.close_delay_s)
