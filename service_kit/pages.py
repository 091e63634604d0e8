"""Server-rendered pages: templates, their fragments, toasts and redirects, with htmx and without.

A fragment is a named block of the page's own template, so a page and its live parts can never look different.
"""

import base64
import binascii
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache, partial
from typing import Any, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson
from babel.dates import format_date, format_datetime, format_time
from fastapi import Request
from jinja2 import (
    BytecodeCache,
    ChoiceLoader,
    Environment,
    PackageLoader,
    StrictUndefined,
    Template,
    nodes,
    pass_context,
)
from jinja2.bccache import Bucket
from jinja2.environment import TemplateModule
from jinja2.runtime import Context
from jinja2.visitor import NodeTransformer
from markupsafe import Markup
from starlette.responses import HTMLResponse, Response

from service_kit.assets import asset
from service_kit.charts import ticks
from service_kit.clock import Clock
from service_kit.errors import ServiceError
from service_kit.live.streams import live_of
from service_kit.money import format_cents, format_number
from service_kit.navigation import navigation
from service_kit.roles import CurrentUser, Role
from service_kit.serving.runtime import own_path, public_path, runtime_of
from service_kit.settings import ServiceSettings
from service_kit.text import (
    LOCALE_NAMES,
    add_catalogues,
    catalogues,
    gettext,
    in_locale,
    locale_in_use,
    ngettext,
    shown,
)

ToastKind = Literal["success", "info", "error"]
TOAST_COOKIE = "ates-toast"
TOAST_LASTS_S = 30
TOAST_LENGTH_MAX = 500
SEE_OTHER = 303
SERVER_ERROR = 500


class _Compiled(BytecodeCache):
    """Templates are compiled once in a process, however many applications it composes, as tests do."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        code = self._code.get((bucket.key, bucket.checksum))
        if code is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


@lru_cache
def _compiled(_locale: str, _catalogues: tuple[str, ...]) -> _Compiled:
    return _Compiled()


class _Translating(NodeTransformer):
    """Puts the translation in the place of each text that is written out in a template."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802  Jinja's visitor names it so
        self.generic_visit(node)
        match node:
            case nodes.Call(
                node=nodes.Name(name="_"),
                args=[nodes.Const(value=str() as source)],
                kwargs=[],
                dyn_args=None,
                dyn_kwargs=None,
            ):
                return nodes.Const(gettext(source), lineno=node.lineno)
            case _:
                return node


class _Template(Template):
    """A template that is imported knows what its environment knows, whoever imports it."""

    def _get_default_module(self, ctx: Context | None = None) -> TemplateModule:
        # The library would compare all names that both know, at each import.
        del ctx
        return super()._get_default_module()


class _Environment(Environment):
    """Templates in one language: most of what a page says is then text like the markup around it."""

    def __init__(self, locale: str, **options: Any) -> None:
        super().__init__(**options)
        self._locale = locale

    def _generate(self, source: nodes.Template, *arguments: Any, **options: Any) -> str:
        with in_locale(self._locale):
            return super()._generate(_Translating().visit(source), *arguments, **options)


class Pages:
    """The templates of one service: its own before those of the kit."""

    def __init__(self, settings: ServiceSettings, package: str, clock: Clock) -> None:
        add_catalogues(package)
        self._settings = settings
        self._clock = clock
        self._package = package
        loaders = [PackageLoader("service_kit")]
        if package != "service_kit":
            loaders.insert(0, PackageLoader(package))
        self.loader = ChoiceLoader(loaders)
        self._environments: dict[str, Environment] = {}
        # Everybody of one role sees the same on one page.
        self._navigation = lru_cache(partial(navigation, settings.public_urls, settings.name))
        self._known: dict[str, Any] = {}

    def environment(self, locale: str) -> Environment:
        """The templates in one language, made when somebody reads it first: programs read no pages at all."""
        if locale not in self._environments:
            self._environments[locale] = self._environment(locale)
        return self._environments[locale]

    def _environment(self, locale: str) -> Environment:
        environment = _Environment(
            locale,
            loader=self.loader,
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            bytecode_cache=_compiled(locale, catalogues()),
            # Looking at the file of each template anew would cost every page a handful of calls.
            auto_reload=False,
        )
        environment.template_class = _Template
        environment.globals.update(
            _=gettext,
            gettext=gettext,
            ngettext=ngettext,
            url=self.url,
            static=lru_cache(self.static),
            service_url=self.service_url,
            money=format_cents,
            short_money=partial(format_cents, short=True),
            number=format_number,
            moment=self.moment,
            day=day,
            role_label=role_label,
            locale=locale_in_use,
            locale_names=LOCALE_NAMES,
            person_code=person_code,
            query=_with_query,
            ticks=ticks,
            remembered=_remembered,
            each=_each,
        )
        environment.globals.update(self._known)
        # A fragment is rendered without the top of its template, so the components cannot be an import there.
        environment.globals["ui"] = environment.get_template("components.html").module
        environment.globals["ways"] = environment.get_template("navigation.html").module
        return environment

    def know(self, **names: Any) -> None:
        """Let all templates use what a service adds of its own."""
        self._known.update(names)
        for environment in self._environments.values():
            environment.globals.update(names)

    def render(
        self,
        request: Request,
        template: str,
        context: Mapping[str, Any] | None = None,
        *,
        block: str | None = None,
        status: int = 200,
    ) -> HTMLResponse:
        """Render a page, or only one named block of it."""
        found = self.environment(locale_in_use()).get_template(template)
        values = self._of_request(request, **(context or {}))
        if block is None:
            text = found.render(values)
        else:
            text = "".join(found.blocks[block](found.new_context(values)))
        response = HTMLResponse(text, status)
        response.headers["Cache-Control"] = "no-store"
        # One address answers whole pages and fragments; a cache in between must keep them apart.
        response.headers["Vary"] = "HX-Request, Cookie, Accept-Language"
        if block is None and TOAST_COOKIE in request.cookies:
            response.delete_cookie(TOAST_COOKIE, path="/", httponly=True, samesite="lax")
        return response

    def url(self, path: str) -> str:
        """A path of this service as browsers reach it."""
        return self._settings.public_path + path

    def service_url(self, service: str, path: str = "/") -> str:
        """An address of another service."""
        return self._settings.public_urls[service].rstrip("/") + path

    def static(self, name: str) -> str:
        found = asset(self._package, name)
        if found is None:
            raise FileNotFoundError(name)
        return self.url(f"/static/{name}?v={found.version}")

    def moment(self, value: datetime, style: Literal["short", "time", "long"] = "short") -> Markup:
        """A point in time in the business zone, for machines as well; the present year is left out."""
        zone = self._settings.zone
        return _moment_markup(value, zone, style, locale_in_use(), self._clock.today(zone).year)

    def _of_request(self, request: Request, *, lies_in: str | None = None, **shown: Any) -> dict[str, Any]:
        """What every page knows beside what it is `shown`.

        `lies_in` is the path of the place it belongs to, where its own address does not say so.
        """
        user: CurrentUser | None = getattr(request.state, "user", None)
        settings = self._settings
        live = live_of(request)
        place = own_path(request) if lies_in is None else lies_in
        return {
            "request": request,
            "user": user,
            "navigation": self._navigation(None if user is None else user.role, place),
            "lies_in": place,
            "here": public_path(request),
            "csp_nonce": request.state.csp_nonce,
            "toasts": _waiting_toasts(request),
            "request_id": request.state.request_id,
            "signs_out_at": self.url("/logout"),
            "signs_in_at": self.url(runtime_of(request).sign_in_path),
            "people_url": self._settings.issuer + "/people",
            "locale_url": self.url("/locale"),
            "tracker_url": settings.public_urls.get("tracker", "").rstrip("/"),
            "live_url": self.url("/live") if live is not None and user is not None else "",
            "live_mark": live.mark() if live is not None else "",
            **shown,
        }


def render(
    request: Request,
    template: str,
    context: Mapping[str, Any] | None = None,
    block: str | None = None,
    *,
    status: int = 200,
) -> HTMLResponse:
    """Render `template` of the service that answers this request."""
    return runtime_of(request).pages.render(request, template, context, block=block, status=status)


def render_form(
    request: Request, template: str, context: Mapping[str, Any], refused: ServiceError | None = None
) -> HTMLResponse:
    """Render a form with what is wrong in it: `wrong` by field, or else `error`, for above them all.

    A refusal that whoever filled it in cannot mend is raised again, to be shown as what it is.
    """
    if refused is None:
        return render(request, template, {**context, "wrong": {}, "error": None})
    if refused.status >= SERVER_ERROR:
        raise refused
    said = {"wrong": refused.by_field, "error": None if refused.errors else refused.detail}
    return render(request, template, {**context, **said}, status=refused.status)


def wants_fragment(request: Request) -> bool:
    """Whether htmx asks for a part of a page; going back in the history needs the whole one."""
    return "HX-Request" in request.headers and "HX-History-Restore-Request" not in request.headers


def redirect(request: Request, path: str) -> Response:
    """Lead the browser to a path of this service after a form was taken."""
    target = runtime_of(request).pages.url(path) if path.startswith("/") else path
    if "HX-Request" in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": target})
    return Response(status_code=SEE_OTHER, headers={"Location": target})


def toast(response: Response, text: str, kind: ToastKind = "success") -> Response:
    """Tell something in passing: at once when the page stays, on the next page after a redirect."""
    told = {"text": str(shown(text))[:TOAST_LENGTH_MAX], "kind": kind}
    if "Location" in response.headers or "HX-Redirect" in response.headers:
        packed = base64.urlsafe_b64encode(orjson.dumps(told)).decode()
        response.set_cookie(
            TOAST_COOKIE, packed, max_age=TOAST_LASTS_S, path="/", httponly=True, samesite="lax"
        )
    else:
        response.headers["HX-Trigger"] = _ascii_json({"toast": told})
    return response


def day(value: date, style: Literal["short", "long"] = "short") -> str:
    """A business date."""
    return str(
        format_date(value, "EEE, d MMM y" if style == "short" else "EEEE, d MMMM y", locale=locale_in_use())
    )


def role_label(role: Role | str) -> str:
    return str(shown(Role(role).label))


def person_code(guid: object) -> str:
    """What stands for a person until the browser has asked for the name; ids differ at their end."""
    return str(guid)[-6:]


# The same rows are shown to many people, and asked for anew by every page that follows along.
@lru_cache(maxsize=8192)
def _moment_markup(value: datetime, zone: ZoneInfo, style: str, locale: str, this_year: int) -> Markup:
    if style == "time":
        text = format_time(value, "HH:mm", tzinfo=zone, locale=locale)
    else:
        short = "d MMM, HH:mm" if value.astimezone(zone).year == this_year else "d MMM y, HH:mm"
        pattern = short if style == "short" else "d MMMM y, HH:mm:ss"
        text = format_datetime(value, pattern, tzinfo=zone, locale=locale)
    return Markup('<time datetime="{}">{}</time>').format(value.isoformat(timespec="seconds"), text)


def _remembered(macro: Callable[..., Markup], at_most: int = 8192) -> Callable[..., Markup]:
    """A macro that is asked for the same things all the time; its parameters say all that it shows."""
    return lru_cache(maxsize=at_most)(macro)


def _each(line: Callable[..., Markup], shown: Iterable[Any], *further: Any) -> Markup:
    """A macro's answers for each of these: a loop would escape each of them twice over."""
    return Markup("".join([line(one, *further) for one in shown]))  # noqa: S704  a macro writes markup


def _waiting_toasts(request: Request) -> list[dict[str, str]]:
    packed = request.cookies.get(TOAST_COOKIE)
    if not packed:
        return []
    try:
        told = orjson.loads(base64.urlsafe_b64decode(packed))
        return [{"text": str(told["text"])[:TOAST_LENGTH_MAX], "kind": str(told["kind"])}]
    except (binascii.Error, ValueError, KeyError, TypeError):
        return []


def _ascii_json(value: object) -> str:
    """JSON for a header, where nothing but ASCII may stand."""
    return json.dumps(value, ensure_ascii=True)


@pass_context
def _with_query(context: Context, **changes: object) -> str:
    """The present address with some query parameters changed; None takes one away."""
    request: Request = context["request"]
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name not in changes]
    pairs += [(name, str(value)) for name, value in changes.items() if value is not None]
    path = runtime_of(request).pages.url(own_path(request))
    return f"{path}?{urlencode(pairs)}" if pairs else path
