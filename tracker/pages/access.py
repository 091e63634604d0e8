"""Who may open which page, and what forms may send."""

from random import Random
from typing import Annotated

from fastapi import Depends, Form

from service_kit.identity import Role
from tracker.domain import fair_dice

EMPLOYEES = (Role.WORKER, Role.MANAGER, Role.ACCOUNTANT, Role.ADMIN)
RUNNERS = (Role.MANAGER, Role.ADMIN)
INPUT_LENGTH_MAX = 20_000
"""Of one form field; the domain has the real limits and names the field that breaks them."""


async def _dice() -> Random:
    return fair_dice()


Dice = Annotated[Random, Depends(_dice)]
Field = Annotated[str, Form(max_length=INPUT_LENGTH_MAX)]
