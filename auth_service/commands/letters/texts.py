"""What stands in the letters, in the language that is in use."""

from collections.abc import Mapping
from dataclasses import dataclass

from auth_service.domain.links import LIFE
from auth_service.models import Account
from service_kit.text import gettext


@dataclass(frozen=True)
class Text:
    to: str
    subject: str
    paragraphs: list[str]


def with_link(kind: str, account: Account, address: str) -> Text:
    hello = gettext("Hello, {name}!", name=account.name)
    if kind == "reset":
        minutes = int(LIFE["reset"].total_seconds() // 60)
        return Text(
            account.email or "",
            gettext("A new password for the task exchange"),
            [
                hello,
                gettext(
                    "Somebody asked for a new password for your login {login}. If it was you, choose one here"
                    " within {minutes} minutes:",
                    login=account.login,
                    minutes=minutes,
                ),
                address,
                gettext("If it was not you, do nothing: your password stays as it is."),
            ],
        )
    if kind == "approved":
        subject = gettext("Your request for an account is approved")
        first = gettext("Welcome to the task exchange. Your login is {login}.", login=account.login)
    else:
        subject = gettext("Your account on the task exchange")
        first = gettext("An account was made for you. Your login is {login}.", login=account.login)
    days = LIFE["invite"].days
    choose = gettext("Choose your password here within {days} days:", days=days)
    return Text(account.email or "", subject, [hello, first, choose, address])


def with_code(account: Account, code: str) -> Text:
    return Text(
        account.email or "",
        gettext("Your code for the task exchange"),
        [
            gettext("Hello, {name}!", name=account.name),
            gettext("Type this code on the page where you asked for it, within ten minutes:"),
            f"{code[:4]} {code[4:]}",
            gettext("Nobody from the exchange ever asks you for it. If you did not ask, do nothing."),
        ],
    )


def password_changed(issuer: str, account: Account) -> Text:
    return Text(
        account.email or "",
        gettext("Your password was changed"),
        [
            gettext("Hello, {name}!", name=account.name),
            gettext("The password of your login {login} was just changed.", login=account.login),
            gettext("If it was not you, ask for a new one at once, and tell an administrator:"),
            f"{issuer}/forgotten",
        ],
    )


def passkey_added(issuer: str, account: Account) -> Text:
    return Text(
        account.email or "",
        gettext("A passkey was added to your account"),
        [
            gettext("Hello, {name}!", name=account.name),
            gettext("From now on a new passkey signs in with your login {login}.", login=account.login),
            gettext("If it was not you, remove it here, change your password, and tell an administrator:"),
            f"{issuer}/security",
        ],
    )


def declined(said: Mapping[str, str]) -> Text:
    paragraphs = [
        gettext("Hello, {name}!", name=said["name"]),
        gettext("Your request for an account on the task exchange was declined."),
    ]
    if said.get("reason"):
        paragraphs += [gettext("The reason:"), said["reason"]]
    return Text(said["email"], gettext("Your request for an account was declined"), paragraphs)


def received(said: Mapping[str, str]) -> Text:
    return Text(
        said["email"],
        gettext("We have your request for an account"),
        [
            gettext("Hello, {name}!", name=said["name"]),
            gettext(
                "An administrator of the task exchange looks at your request. You get a letter either way."
            ),
            gettext("If you did not ask for an account, do nothing: this address is forgotten again."),
        ],
    )


def known_already(issuer: str, account: Account) -> Text:
    return Text(
        account.email or "",
        gettext("You have an account already"),
        [
            gettext("Hello, {name}!", name=account.name),
            gettext(
                "Somebody asked for an account with your address. You have one: your login is {login}.",
                login=account.login,
            ),
            gettext("Should you have forgotten the password, choose a new one here:"),
            f"{issuer}/forgotten",
        ],
    )
