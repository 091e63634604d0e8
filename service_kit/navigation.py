"""Where a signed-in person may go, over all services of the exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from service_kit.roles import Role
from service_kit.text import message as _


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation."""

    label: str
    service: str
    path: str
    icon: str
    roles: frozenset[Role] | None = None
    """Who finds it there; everybody when None."""

    also: tuple[str, ...] = ()
    """Further paths that lie in this place."""

    brief: str | None = None
    """One word for the bar of a phone, where the label has more."""

    also_in: frozenset[str] = frozenset()
    """Services that have the same page of their own; on their pages it is theirs that is meant."""

    first_for: frozenset[Role] = frozenset()
    """Roles whose work lies here: it stands before everything else, where a phone has room for it."""

    last_for: frozenset[Role] = frozenset()
    """Roles whose work lies elsewhere: it is theirs too, but stands behind everything else."""

    def rank(self, role: Role) -> int:
        return (role in self.last_for) - (role in self.first_for)

    entrance: str | None = None
    """The path that leads there from another service, where the page itself is open to everybody and would
    not know who comes."""


@dataclass(frozen=True, slots=True)
class Link:
    """A place with its address, as one person sees it."""

    label: str
    href: str
    icon: str
    current: bool
    brief: str


EMPLOYEES = frozenset(Role) - {Role.CLIENT}
NEVER_DRAWN = frozenset({Role.MANAGER, Role.ADMIN})
"""They have a list and an account as everybody has, but no task is ever drawn for them."""

PLACES = (
    Place(_("Start"), "auth", "/", "home", first_for=frozenset(Role)),
    Place(_("My tasks"), "tracker", "/", "tasks", EMPLOYEES, brief=_("Mine"), last_for=NEVER_DRAWN),
    Place(
        _("All tasks"),
        "tracker",
        "/all",
        "board",
        EMPLOYEES,
        also=("/distributions", "/load", "/imports"),
        brief=_("All"),
    ),
    Place(_("Money"), "billing", "/", "money", EMPLOYEES, last_for=NEVER_DRAWN),
    Place(
        _("Books"),
        "billing",
        "/today",
        "days",
        frozenset({Role.ACCOUNTANT, Role.ADMIN}),
        also=("/days", "/accounts"),
        first_for=frozenset({Role.ACCOUNTANT}),
    ),
    Place(_("Analytics"), "analytics", "/", "chart", frozenset({Role.ADMIN})),
    Place(
        _("People"),
        "auth",
        "/accounts",
        "people",
        frozenset({Role.ADMIN}),
        also=("/applications", "/audit", "/clients", "/keys", "/sign-ins"),
    ),
    Place(_("Events"), "registry", "/", "events", EMPLOYEES, entrance="/login"),
    Place(
        _("Dead letters"),
        "billing",
        "/dead-letters",
        "letters",
        frozenset({Role.ADMIN}),
        also=("/trace",),
        also_in=frozenset({"tracker", "analytics"}),
    ),
)

SERVICE_LABELS = {
    "auth": _("Sign-in"),
    "tracker": _("Tracker"),
    "billing": _("Billing"),
    "analytics": _("Analytics"),
    "registry": _("Registry"),
}
"""What people call the services."""


def navigation(
    public_urls: Mapping[str, str], service: str, role: Role | None, path: str
) -> tuple[Link, ...]:
    """The links for this role; the one whose place holds the present page is marked as current."""
    if role is None:
        return ()
    open_places = [
        replace(place, service=service) if service in place.also_in else place
        for place in PLACES
        if place.service in public_urls and (place.roles is None or role in place.roles)
    ]
    open_places.sort(key=lambda place: place.rank(role))
    # The longest fitting path wins: the page of all tasks is not also the page of my tasks.
    here = max(
        (place for place in open_places if place.service == service and _depth(place, path)),
        key=lambda place: _depth(place, path),
        default=None,
    )
    return tuple(
        Link(
            place.label,
            _short(public_urls, service, place),
            place.icon,
            place is here,
            place.brief or place.label,
        )
        for place in open_places
    )


def _depth(place: Place, path: str) -> int:
    """How much of the path lies in the place; 0 when it is elsewhere."""
    return max(len(held) if _holds(held, path) else 0 for held in (place.path, *place.also))


def _holds(place: str, path: str) -> bool:
    return place in {"/", path} or path.startswith(place + "/")


def _short(public_urls: Mapping[str, str], service: str, place: Place) -> str:
    """A path is enough where the target lies on the same origin."""
    target, own = urlsplit(public_urls[place.service]), urlsplit(public_urls[service])
    entrance = place.entrance if place.entrance and place.service != service else place.path
    path = target.path.rstrip("/") + entrance
    same_origin = (target.scheme, target.netloc) == (own.scheme, own.netloc)
    return path if same_origin else f"{target.scheme}://{target.netloc}{path}"
