"""What a request body may be: nothing unknown, nothing endless, no white space around. And a body of ours."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import Response


class Payload(BaseModel):
    """Base of every request body; a field that is not declared is refused by its name."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, str_max_length=10_000, frozen=True)


Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
"""One line of text that says something."""


def answered(body: BaseModel) -> Response:
    """A long body that is already what its route says: the framework would check and copy all of it again."""
    return Response(body.model_dump_json(), media_type="application/json")
