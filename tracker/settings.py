"""Settings of the tracker."""

from typing import ClassVar, Literal

from pydantic import Field

from service_kit.settings import ServiceSettings


class TrackerSettings(ServiceSettings):
    """What the tracker is told beside the settings every service has."""

    name: ClassVar[str] = "tracker"

    status_words: Literal["birds", "plain"] = "birds"
    """How people read the two states: `birds` says "birdie in a cage" and "millet in a bowl", `plain` says
    "open" and "done". Labels only: the API and the events always say open and done."""

    distribution_chunk: int = Field(default=2500, ge=1)
    """Open tasks that one transaction of a distribution assigns; they are locked for that long."""

    distribution_hands: int = Field(default=2, ge=1, le=4)
    """Transactions of a distribution that one worker process has under way at a time."""

    distribution_poll_s: float = 2
    """How often the worker looks for a distribution, should the wake-up have been lost."""

    api_writes_per_minute: int = Field(default=6000, ge=1)
    """Changes one account may make through the API per minute and web process; more are told to wait."""
