"""What can go wrong for a caller, in words every edge understands; knows no framework.

A service declares its own refusals in `domain.py` as small subclasses with a stable code. The edge shows
them as problem+json, as a page or as a toast; nothing else maps errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from service_kit.text import message as _


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of the input and what is wrong with it."""

    field: str
    message: str


class ServiceError(Exception):
    """A refusal with a stable code. `title` and `detail` are translatable where they are marked."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = _("Something went wrong")

    def __init__(self, detail: str = "", *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(str(detail))
        self.detail = detail
        self.errors = tuple(errors)

    @classmethod
    def of(cls, field: str, message: str) -> Self:
        """About one field: what is wrong with it is all there is to say."""
        return cls(message, errors=[FieldError(field, message)])

    @property
    def by_field(self) -> dict[str, str]:
        """What is wrong, by field, for a form that says it there."""
        return {found.field: found.message for found in self.errors}

    @property
    def further(self) -> list[FieldError]:
        """What `detail` does not say already."""
        return [found for found in self.errors if found.message != self.detail]

    @property
    def lines(self) -> str:
        """All of it, for a terminal."""
        further = (f"  {found.field}: {found.message}" for found in self.further)
        return "\n".join([str(self.detail or self.title), *further])


class Malformed(ServiceError):
    """The request cannot even be read."""

    code = "malformed"
    status = 400
    title = _("The request cannot be read")


class Unauthenticated(ServiceError):
    """Nobody is signed in, or the token does not hold."""

    code = "unauthenticated"
    status = 401
    title = _("Please sign in")


class Forbidden(ServiceError):
    """Somebody is signed in who may not do this."""

    code = "forbidden"
    status = 403
    title = _("You may not do this")


class ForeignOrigin(Forbidden):
    """Another site tried to act with the cookies of somebody who is signed in here."""

    code = "foreign_origin"
    title = _("The request came from another site")


class NotFound(ServiceError):
    code = "not_found"
    status = 404
    title = _("There is nothing here")


class NotAllowed(ServiceError):
    """The address exists, but not for this method."""

    code = "method_not_allowed"
    status = 405
    title = _("This cannot be done here")


class Conflict(ServiceError):
    """The state of things does not allow it, though it may at another time."""

    code = "conflict"
    status = 409
    title = _("That does not fit the present state")


class IdempotencyKeyReused(Conflict):
    code = "idempotency_key_reused"
    title = _("This idempotency key was used for another request")


class TooLarge(ServiceError):
    code = "too_large"
    status = 413
    title = _("The request is too large")


class Invalid(ServiceError):
    """Well-formed, but the content cannot be accepted."""

    code = "invalid"
    status = 422
    title = _("Some of this cannot be accepted")


class TooMany(ServiceError):
    """Too many tries in too short a time."""

    code = "too_many_requests"
    status = 429
    title = _("Too many requests")

    def __init__(
        self, detail: str = "", *, errors: Sequence[FieldError] = (), retry_after_s: int | None = None
    ) -> None:
        super().__init__(detail, errors=errors)
        self.retry_after_s = retry_after_s


class Unavailable(ServiceError):
    """Something we need is away for the moment; trying again later helps."""

    code = "unavailable"
    status = 503
    title = _("For the moment this is not available")


def cleaned(**checks: Callable[[], object]) -> dict[str, Any]:
    """What each check answers, by name. Where some refuse, the first refusal with the mistakes of all.

    Whoever fills in a form hears at once of everything that is wrong in it.
    """
    values: dict[str, Any] = {}
    refusals: list[Invalid] = []
    for name, check in checks.items():
        try:
            values[name] = check()
        except Invalid as refusal:
            refusals.append(refusal)
    if refusals:
        first = refusals[0]
        raise type(first)(first.detail, errors=[error for refusal in refusals for error in refusal.errors])
    return values
