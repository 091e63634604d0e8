"""What a request body may be: nothing unknown, nothing endless, no white space around."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints


class Payload(BaseModel):
    """Base of every request body; a field that is not declared is refused by its name."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, str_max_length=10_000, frozen=True)


Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
"""One line of text that says something."""
