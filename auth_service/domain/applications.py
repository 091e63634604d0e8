"""What somebody may say who asks for an account."""

import unicodedata

from auth_service.domain.accounts import MalformedAccount
from service_kit.errors import Conflict, NotFound
from service_kit.text import message as _

ABOUT_LENGTH_MAX = 1000
REASON_LENGTH_MAX = 500
WAITING_MAX = 500
"""A fuller queue takes nothing more: nobody would read it, and strangers could fill the disk."""


class ApplicationNotFound(NotFound):
    code = "application_not_found"


class AlreadyDecided(Conflict):
    code = "already_decided"


def clean_prose(field: str, text: str, longest: int) -> str:
    """Text of several lines without characters that nobody sees."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").split("\n")
    shown = ["".join(letter for letter in line if letter.isprintable()).rstrip() for line in lines]
    prose = "\n".join(shown).strip()
    if len(prose) > longest:
        raise MalformedAccount.of(
            field, _("This text is too long: {longest} characters at most.", longest=longest)
        )
    return prose
