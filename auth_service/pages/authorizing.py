"""The authorization endpoint: where clients send browsers, and where we send them on."""

from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from auth_service.commands.oauth import Authorized, OAuthCall, Provider, Refused, SignInNeeded, authorize
from auth_service.pages.sign_on import KeysDep, OwnSettings, Person, address_of
from service_kit.errors import Malformed
from service_kit.text import message as _
from service_kit.web import ServiceRouter, runtime_of

router = ServiceRouter(include_in_schema=False)

FIELDS_MAX = 50
SEE_OTHER = 303
ONCE_ASKED = {"login", "select_account"}
"""Prompts that are fulfilled by the sign-in; left in the address they would ask for ever."""


class UnknownClient(Malformed):
    code = "unknown_client"
    title = _("This sign-in link does not work")


@router.api_route("/authorize", methods=["GET", "POST"])
async def authorization(request: Request, person: Person, settings: OwnSettings, keys: KeysDep) -> Response:
    """Answer with a code, with an error for the client, or with the way to the sign-in."""
    pairs = request.query_params.multi_items()
    if request.method == "POST":
        form = await request.form(max_fields=FIELDS_MAX, max_files=0)
        pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    call = OAuthCall(
        method="GET", uri=f"{settings.issuer}/authorize", query=pairs, address=address_of(request)
    )
    # A GET that writes: the code it makes is of use only to the client that asked.
    async with runtime_of(request).database.transaction() as session:
        provider = Provider(settings, await keys.ring(session), request.app.state.clients)
        outcome = await authorize(session, provider, call, person)
    match outcome:
        case Authorized(location):
            return RedirectResponse(location, SEE_OTHER)
        case SignInNeeded(login_hint, again):
            address = _sign_in_address(settings.public_path, pairs, login_hint, again=again)
            return RedirectResponse(address, SEE_OTHER)
        case Refused():
            raise UnknownClient(
                _("The application that sent you here is unknown, or named a wrong address. Please go back.")
            )


def _sign_in_address(
    prefix: str, pairs: list[tuple[str, str]], login_hint: str | None, *, again: bool
) -> str:
    # The new sign-in fulfils max_age as well. A person who cheats here is noticed by the client, which reads
    # the time of the sign-in in the ID token.
    back = [(name, value) for name, value in pairs if name not in {"prompt", "max_age"}]
    kept = [prompt for prompt in dict(pairs).get("prompt", "").split() if prompt not in ONCE_ASKED]
    if kept:
        back.append(("prompt", " ".join(kept)))
    query = {"next": f"{prefix}/authorize?{urlencode(back)}"}
    if login_hint:
        query["login"] = login_hint
    if again:
        query["again"] = "1"
    return f"{prefix}/sign-in?{urlencode(query)}"
