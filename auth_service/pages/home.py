"""The start page: what is where, for the role that is signed in."""

from dataclasses import dataclass

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from auth_service.pages.sign_on import BEGIN, SEE_OTHER
from auth_service.queries.accounts import anybody_in
from service_kit.identity import Role, Visitor
from service_kit.pages import render
from service_kit.text import message as _
from service_kit.web import Reading, ServiceRouter, SettingsDep

router = ServiceRouter(include_in_schema=False)


@dataclass(frozen=True)
class Card:
    """One place to go to, and why."""

    service: str
    path: str
    title: str
    text: str
    icon: str
    roles: frozenset[Role]


EVERYBODY = frozenset(Role)
WORKING = frozenset({Role.WORKER, Role.ACCOUNTANT})
MANAGING = frozenset({Role.MANAGER, Role.ADMIN})
COUNTING = frozenset({Role.ACCOUNTANT, Role.ADMIN})
ADMINS = frozenset({Role.ADMIN})

CARDS = (
    Card(
        "tracker",
        "/",
        _("My tasks"),
        _("What is assigned to you now, and what you have done."),
        "tasks",
        WORKING,
    ),
    Card(
        "tracker",
        "/all",
        _("All tasks"),
        _("Create a task, see who has which, distribute the open ones."),
        "board",
        MANAGING,
    ),
    Card(
        "tracker",
        "/all",
        _("All tasks"),
        _("Create a task and see who has which."),
        "board",
        WORKING,
    ),
    Card(
        "billing",
        "/",
        _("Money"),
        _("Your balance, what you earned today, and every entry with its reason."),
        "money",
        WORKING,
    ),
    Card(
        "billing",
        "/today",
        _("Books"),
        _("What the company earned today and on each day before."),
        "days",
        COUNTING,
    ),
    Card(
        "analytics",
        "/",
        _("Analytics"),
        _("Today's income, accounts below zero, the dearest tasks."),
        "chart",
        ADMINS,
    ),
    Card(
        "auth",
        "/accounts",
        _("People"),
        _("Who works here, in which role, and who is blocked."),
        "people",
        ADMINS,
    ),
    Card(
        "registry",
        "/",
        _("Events"),
        _("Every event of the exchange with its schema and versions."),
        "events",
        ADMINS,
    ),
    Card(
        "billing",
        "/dead-letters",
        _("Dead letters"),
        _("Events that a service could not handle, and what to do with them."),
        "letters",
        ADMINS,
    ),
    Card(
        "auth",
        "/profile",
        _("My profile"),
        _("Your name, language, time zone and password."),
        "person",
        EVERYBODY,
    ),
)


FIRST_PLACES = {
    Role.WORKER: ("tracker", "/"),
    Role.MANAGER: ("tracker", "/all"),
    Role.ACCOUNTANT: ("billing", "/today"),
}
"""Where the day of a role begins. Whoever has no one work chooses on the start page."""


@router.get(BEGIN)
async def begin(visitor: Visitor, settings: SettingsDep) -> Response:
    """Lead whoever has just signed in straight to the work."""
    service, path = FIRST_PLACES.get(visitor.role, ("auth", "/")) if visitor else ("auth", "/")
    return RedirectResponse(settings.public_urls[service].rstrip("/") + path, SEE_OTHER)


@router.get("/")
async def home(request: Request, visitor: Visitor, session: Reading) -> Response:
    cards = [] if visitor is None else [card for card in CARDS if visitor.role in card.roles]
    hires = visitor is not None and visitor.is_any(Role.ADMIN)
    return render(
        request,
        "auth/home.html",
        {"cards": cards, "nobody_works": hires and not await anybody_in(session, WORKING)},
    )
