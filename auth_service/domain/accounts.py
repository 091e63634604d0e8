"""What an account may be called, who is an employee, and what can go wrong with one."""

import re
import unicodedata
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from auth_service.domain.common_passwords import is_common
from service_kit.errors import Conflict, Forbidden, Invalid, NotFound
from service_kit.roles import Role
from service_kit.text import LOCALES
from service_kit.text import message as _

EMPLOYEES = frozenset(Role) - {Role.CLIENT}

LOGIN = re.compile(r"[a-z0-9](?:[a-z0-9._@+-]{0,62}[a-z0-9])?")
EMAIL = re.compile(r"""[^@\s,;:<>()"\\\[\]]{1,64}@[^@\s,;:<>()"\\\[\]]{1,190}\.[^@\s.,;:<>()"\\\[\]]{1,63}""")
NO_EMAIL = _("This is not an e-mail address.")
PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
NAME_LENGTH_MAX = 120
ADDRESS_LENGTH_MAX = 300
PASSWORD_LENGTH_MIN = 10
PASSWORD_LENGTH_MAX = 256


class AccountNotFound(NotFound):
    code = "account_not_found"


class LoginTaken(Conflict):
    code = "login_taken"


class EmailTaken(Conflict):
    code = "email_taken"


class MalformedAccount(Invalid):
    code = "malformed_account"


class WeakPassword(Invalid):
    code = "weak_password"


class WrongPassword(Invalid):
    code = "wrong_password"


class OwnAccount(Forbidden):
    code = "own_account"


class EditedMeanwhile(Conflict):
    code = "edited_meanwhile"


def clean_login(value: str) -> str:
    """One spelling per login: case and compatibility forms never make two accounts look alike."""
    login = unicodedata.normalize("NFKC", value).strip().lower()
    if not LOGIN.fullmatch(login):
        raise MalformedAccount.of(
            "login",
            _("A login has 1 to 64 letters a-z, digits and . _ @ + -, with a letter or digit at both ends."),
        )
    return login


def clean_email(value: str | None) -> str | None:
    email = (value or "").strip().lower()
    if not email:
        return None
    # Nothing invisible, nothing that means something in the head of a letter.
    if not EMAIL.fullmatch(email) or not email.isprintable():
        raise MalformedAccount.of("email", NO_EMAIL)
    return email


def needed_email(value: str | None, absent: str = NO_EMAIL) -> str:
    """An address where there has to be one; `absent` says why."""
    if (email := clean_email(value)) is None:
        raise MalformedAccount.of("email", absent)
    return email


def clean_name(value: str) -> str:
    name = " ".join(unicodedata.normalize("NFC", value).split())
    if not 1 <= len(name) <= NAME_LENGTH_MAX or not name.isprintable():
        raise MalformedAccount.of("name", _("A name has 1 to 120 characters."))
    return name


def clean_phone(value: str) -> str:
    """As it is dialled from abroad (E.164), however it was typed; nothing is nothing."""
    phone = re.sub(r"[\s().-]", "", value)
    if phone and not PHONE.fullmatch(phone):
        raise MalformedAccount.of(
            "phone", _("Write a telephone number with its country, for instance +7 495 123-45-67.")
        )
    return phone


def clean_postal_address(value: str) -> str:
    lines = unicodedata.normalize("NFC", value).replace("\r\n", "\n").strip().split("\n")
    cleaned = "\n".join(" ".join(line.split()) for line in lines)
    if len(cleaned) > ADDRESS_LENGTH_MAX or not cleaned.replace("\n", "").isprintable():
        raise MalformedAccount.of("postal_address", _("A postal address has 300 characters at most."))
    return cleaned


def clean_locale(value: str) -> str:
    """One of the languages there are, or nothing: then pages speak as the browser asks."""
    if value and value not in LOCALES:
        raise MalformedAccount.of("locale", _("This language is not offered."))
    return value


@cache
def _time_zones() -> frozenset[str]:
    """Asking for them walks through hundreds of files."""
    return frozenset(available_timezones())


def clean_time_zone(value: str) -> str:
    if value not in _time_zones():
        raise MalformedAccount.of("time_zone", _("This time zone is not known."))
    return ZoneInfo(value).key


def check_new_password(password: str, login: str) -> None:
    """Length is what makes a password strong; composition rules only make it predictable (NIST 800-63B)."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        raise WeakPassword.of("password", _("A password has 10 to 256 characters."))
    few = len(set(password)) < 4  # noqa: PLR2004  three letters repeated are no secret
    if login in password.lower() or few or is_common(password):
        raise WeakPassword.of("password", _("This password is too easy to guess."))
