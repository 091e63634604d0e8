"""What the reasons of dead letters are called, what a person can do about each, and what was done."""

from service_kit.errors import ServiceError
from service_kit.text import message as _

LABELS = {
    "schema_violation": _("Breaks its contract"),
    "unknown_schema": _("Names a contract that the registry does not have"),
    "not_json": _("Is no JSON"),
    "unreadable": _("Has other fields than are read here"),
    "bad_headers": _("Has headers that cannot be read"),
    "no_type": _("Does not say what event it is"),
}
"""What consumers put aside by themselves; rules of a service bring codes of their own."""

ACTIONS = {
    "redrive": _("sent again as it came"),
    "repair": _("sent again, repaired"),
    "queue": _("put in line to be sent again"),
    "send": _("sent again"),
    "take_back": _("taken out of the line"),
    "failed": _("came back"),
    "discard": _("discarded"),
    "restore": _("put back"),
    "stop": _("redrive stopped"),
}

MALFORMED = _(
    "As it is it would come back. Tell whoever says this event. Repair it if it is clear what was meant; "
    "discard it if the fact is said anew."
)
CONTRACT_AWAY = _(
    "Has the registry lost contracts, or does the event come from another exchange? Send it again as it is "
    "once the registry has the contract."
)
REFUSED = _(
    "It contradicts what is known here. Follow its way to see what was said before, and discard it if that "
    "was right."
)
UNFORESEEN = _(
    "Nobody foresaw this; the log of the worker has the whole error, as event_not_handled. Send it again as "
    "it is once the service is mended, or repair it if a value makes no sense."
)


def label(reason: str) -> str:
    if reason in LABELS:
        return LABELS[reason]
    if _is_unforeseen(reason):
        return _("Could not be handled: {name}", name=reason)
    return _titles(ServiceError).get(reason, reason)


def advice(reason: str) -> str:
    if reason == "unknown_schema":
        return CONTRACT_AWAY
    if reason in LABELS:
        return MALFORMED
    return UNFORESEEN if _is_unforeseen(reason) else REFUSED


def _is_unforeseen(reason: str) -> bool:
    """Codes are written small; anything else is the name of an exception that no rule raises."""
    return reason[:1].isupper()


def _titles(kind: type[ServiceError]) -> dict[str, str]:
    """What each refusal is called, by its code; a code that is inherited is called as it was first."""
    found = {kind.code: kind.title}
    for narrower in kind.__subclasses__():
        found = _titles(narrower) | found
    return found
