"""The authorization endpoint: where clients send browsers, and where we send them on."""

from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import Form, Request, Response
from fastapi.responses import RedirectResponse

from auth_service.commands.oauth import (
    Authorized,
    ConsentNeeded,
    OAuthCall,
    Outcome,
    PostedBack,
    Provider,
    Refused,
    SignInNeeded,
    authorize,
)
from auth_service.domain.clients import SCOPES
from auth_service.domain.tokens import Subject
from auth_service.pages.sign_on import (
    NEXT_LENGTH_MAX,
    KeysDep,
    OwnSettings,
    Person,
    SignedIn,
)
from auth_service.queries.keys import Keys
from auth_service.settings import AuthSettings
from service_kit.errors import Malformed
from service_kit.pages import render
from service_kit.serving.frame import LOCALE_COOKIE, let_forms_lead_to
from service_kit.text import LOCALES
from service_kit.text import message as _
from service_kit.web import ServiceRouter, runtime_of

router = ServiceRouter(include_in_schema=False)

FIELDS_MAX = 50
REQUEST_LENGTH_MAX = 20_000
SEE_OTHER = 303
ONCE_ASKED = {"login", "select_account"}
"""Prompts that are fulfilled by the sign-in; left in the address they would ask for ever."""

FULFILLED = {"prompt", "max_age", "acr_values", "id_token_hint"}
"""What a new sign-in answers as well as it can; the client reads in the ID token who came, when and how."""

Pairs = list[tuple[str, str]]


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
        again = f"{settings.public_path}/authorize?{urlencode(pairs)}"
        if person is None and len(again) <= NEXT_LENGTH_MAX:
            # Browsers keep our cookie back from forms of other sites, not from addresses they are led to.
            return RedirectResponse(again, SEE_OTHER)
    outcome = await _outcome(request, settings, keys, pairs, person)
    response = _answered(request, settings, pairs, outcome)
    _speak(request, response, settings, pairs)
    return response


@router.post("/consent")
async def consent(
    request: Request,
    person: SignedIn,
    settings: OwnSettings,
    keys: KeysDep,
    asked: Annotated[str, Form(alias="request", max_length=REQUEST_LENGTH_MAX)],
    *,
    allowed: Annotated[bool, Form()],
) -> Response:
    """Take the person's word; the request is checked as if it came anew."""
    pairs = _without_prompt(parse_qsl(asked, keep_blank_values=True, max_num_fields=FIELDS_MAX), {"consent"})
    outcome = await _outcome(request, settings, keys, pairs, person, consent=allowed)
    return _answered(request, settings, pairs, outcome)


async def _outcome(
    request: Request,
    settings: AuthSettings,
    keys: Keys,
    pairs: Pairs,
    person: Subject | None,
    *,
    consent: bool | None = None,
) -> Outcome:
    call = OAuthCall(method="GET", uri=f"{settings.issuer}/authorize", query=pairs)
    # A GET that writes: the code it makes is of use only to the client that asked.
    async with runtime_of(request).database.transaction() as session:
        provider = Provider(settings, await keys.ring(session), request.app.state.clients)
        return await authorize(session, provider, call, person, consent=consent)


def _answered(request: Request, settings: AuthSettings, pairs: Pairs, outcome: Outcome) -> Response:
    match outcome:
        case Authorized(location):
            return RedirectResponse(location, SEE_OTHER)
        case PostedBack(address, fields):
            let_forms_lead_to(request, address)
            return render(request, "auth/form_post.html", {"address": address, "fields": fields})
        case SignInNeeded(login_hint, again):
            address = _sign_in_address(settings.public_path, pairs, login_hint, again=again)
            return RedirectResponse(address, SEE_OTHER)
        case ConsentNeeded():
            let_forms_lead_to(request, outcome.address)
            names = {url.rstrip("/"): name for name, url in settings.public_urls.items()}
            return render(
                request,
                "auth/consent.html",
                {
                    "asks": outcome,
                    "scopes": [SCOPES.get(scope, scope) for scope in outcome.scopes],
                    "services": [names[url] for url in outcome.services if url in names],
                    "asked": urlencode(pairs),
                },
            )
        case Refused():
            raise UnknownClient(
                _("The application that sent you here is unknown, or named a wrong address. Please go back.")
            )


def _speak(request: Request, response: Response, settings: AuthSettings, pairs: Pairs) -> None:
    """Take up the language that the client's pages speak, unless the person chose one here."""
    wanted = dict(pairs).get("ui_locales", "").replace("-", " ").lower().split()
    locale = next((one for one in wanted if one in LOCALES), None)
    if locale is not None and LOCALE_COOKIE not in request.cookies:
        response.set_cookie(LOCALE_COOKIE, locale, path="/", secure=settings.secure, samesite="lax")


def _sign_in_address(prefix: str, pairs: Pairs, login_hint: str | None, *, again: bool) -> str:
    # The new sign-in fulfils max_age as well. A person who cheats here is noticed by the client, which reads
    # the time of the sign-in in the ID token.
    kept = [(name, value) for name, value in _without_prompt(pairs, ONCE_ASKED) if name == "prompt"]
    back = [(name, value) for name, value in pairs if name not in FULFILLED] + kept
    query = {"next": f"{prefix}/authorize?{urlencode(back)}"}
    if login_hint:
        query["login"] = login_hint
    if again:
        query["again"] = "1"
    return f"{prefix}/sign-in?{urlencode(query)}"


def _without_prompt(pairs: Pairs, fulfilled: set[str]) -> Pairs:
    """The same request without prompts that somebody has just answered."""
    kept = []
    for name, value in pairs:
        left = " ".join(one for one in value.split() if one not in fulfilled) if name == "prompt" else value
        if name != "prompt" or left:
            kept.append((name, left))
    return kept
