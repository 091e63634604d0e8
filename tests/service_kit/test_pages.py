"""Pages: whole or in fragments, words in passing, assets that may be kept, the way to every place."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest
from fastapi import Request, Response
from jinja2 import DictLoader

from service_kit.clock import FixedClock
from service_kit.errors import Conflict, Invalid, Unavailable
from service_kit.identity import CurrentUser, Role
from service_kit.navigation import navigation
from service_kit.pages import Pages, day, redirect, render, render_form, role_label, toast, wants_fragment
from service_kit.text import in_locale
from service_kit.text import message as _
from service_kit.web import ServiceRouter, create_app
from tests.support.issuer import Issuer
from tests.support.sample.settings import SampleSettings
from tests.support.services import SHARED_SETTINGS

SAMPLE = "http://exchange.test/sample"
URLS = SHARED_SETTINGS["public_urls"] | {"sample": SAMPLE}
POLLY = CurrentUser(UUID("0198c0de-aaaa-7000-8000-00000000beef"), Role.WORKER, name="<Polly>")
STATIC = Path(__file__).parents[2] / "service_kit" / "static"

BIRDS = """\
{% extends "base.html" %}
{% block title %}Birds{% endblock %}
{% block main %}<h1>Birds</h1>
<ul id="birds">{% block birds %}
{% for bird in birds %}<li>{{ bird }} {{ ui.status(_("Worker")) }}</li>{% endfor %}
{{ ui.pager(query(cursor="next"), "birds") }}{% endblock %}</ul>{% endblock %}
"""

RING = """\
{% extends "base.html" %}{% block main %}{% if error %}{{ ui.problems([], error) }}{% endif %}
<form method="post">{{ ui.field("ring", "Ring", "", error=wrong.get("ring")) }}</form>{% endblock %}
"""
REFUSALS = {
    "field": Invalid.of("ring", "No such ring."),
    "whole": Conflict("The cage is full."),
    "ours": Unavailable("The aviary is closed for the moment."),
}


def routes() -> ServiceRouter:
    router = ServiceRouter()

    @router.get("/birds")
    async def birds(request: Request) -> Response:
        block = "birds" if wants_fragment(request) else None
        return render(request, "birds.html", {"birds": ["parrot", "<b>crow</b>"]}, block)

    @router.post("/birds")
    async def add(request: Request) -> Response:
        return toast(redirect(request, "/birds"), _("Sign out"))

    @router.post("/feed")
    async def feed(request: Request) -> Response:
        return toast(render(request, "birds.html", {"birds": []}, "birds"), "Попугай сыт 🦜", "info")

    @router.post("/rings/{kind}")
    async def ring(request: Request, kind: str) -> Response:
        return render_form(request, "ring.html", {}, REFUSALS[kind])

    return router


@pytest.fixture(scope="module")
async def app() -> AsyncIterator[httpx2.ASGITransport]:
    settings = SampleSettings(
        **SHARED_SETTINGS | {"public_urls": URLS}, database_url="postgresql://x@localhost:1/x"
    )
    issuer = Issuer("http://exchange.test/auth", [SAMPLE])
    composed = create_app(
        settings,
        title="Birds",
        package="service_kit",
        routers=[routes()],
        transport=issuer.transport,
        signs_in=False,
    )
    async with composed.router.lifespan_context(composed):
        pages: Pages = composed.state.runtime.pages
        pages.loader.loaders = [*pages.loader.loaders, DictLoader({"birds.html": BIRDS, "ring.html": RING})]

        async def polly(_request: Request) -> CurrentUser:
            return POLLY

        composed.state.runtime.authenticate = polly
        yield httpx2.ASGITransport(composed)


@pytest.fixture
async def client(app: httpx2.ASGITransport) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    async with httpx2.AsyncClient(transport=app, base_url=SAMPLE, headers=headers) as one:
        yield one


class TestFragments:
    async def test_a_fragment_is_part_of_its_page(self, client: httpx2.AsyncClient) -> None:
        """What htmx gets is a named block of the very template that the whole page is."""
        whole = await client.get("birds")
        part = await client.get("birds", headers={"HX-Request": "true"})
        assert part.text.strip() in whole.text
        assert "<html" in whole.text
        assert "<html" not in part.text

    async def test_going_back_needs_the_whole_page(self, client: httpx2.AsyncClient) -> None:
        """htmx asks for a page it has forgotten with a header of its own."""
        headers = {"HX-Request": "true", "HX-History-Restore-Request": "true"}
        assert "<html" in (await client.get("birds", headers=headers)).text

    async def test_content_is_text(self, client: httpx2.AsyncClient) -> None:
        """Nothing that people typed becomes markup."""
        text = (await client.get("birds")).text
        assert "&lt;b&gt;crow&lt;/b&gt;" in text
        assert "<b>crow" not in text

    async def test_caches_keep_page_and_part_apart(self, client: httpx2.AsyncClient) -> None:
        """One address has two answers, and both are personal."""
        answer = await client.get("birds")
        assert "HX-Request" in answer.headers["Vary"]
        assert answer.headers["Cache-Control"] == "no-store"

    async def test_the_next_part_keeps_the_filter(self, client: httpx2.AsyncClient) -> None:
        """'Show more' changes the cursor and nothing else of the address."""
        text = (await client.get("birds?status=open&cursor=a")).text
        assert 'href="/sample/birds?status=open&amp;cursor=next"' in text


class TestForms:
    async def test_a_mistake_stands_at_its_field(self, client: httpx2.AsyncClient) -> None:
        """What is wrong with a field is said there, what is wrong with the whole above it."""
        field, whole = await client.post("rings/field"), await client.post("rings/whole")
        assert (field.status_code, whole.status_code) == (422, 409)
        assert '<p class="error" id="field-ring-error">No such ring.</p>' in field.text
        assert 'role="alert"' not in field.text
        assert re.search(r'role="alert">\s*<p><strong>The cage is full\.', whole.text)

    async def test_what_nobody_can_mend_in_a_form_is_no_form(self, client: httpx2.AsyncClient) -> None:
        """Trouble of our own is shown as such, not as a mistake of whoever filled the form in."""
        answer = await client.post("rings/ours")
        assert (answer.status_code, "field-ring" in answer.text) == (503, False)
        assert "The aviary is closed" in answer.text


class TestToasts:
    async def test_after_a_redirect_the_next_page_tells(self, client: httpx2.AsyncClient) -> None:
        """Without scripts the words wait in a cookie for one page, in the reader's language."""
        answer = await client.post("birds", headers={"Accept-Language": "ru"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/sample/birds")
        assert "<p>Выйти</p>" in (await client.get("birds")).text
        assert "<p>Выйти</p>" not in (await client.get("birds")).text

    async def test_htmx_is_led_on(self, client: httpx2.AsyncClient) -> None:
        """The same route leads htmx on in its own way."""
        answer = await client.post("birds", headers={"HX-Request": "true"})
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/sample/birds")
        assert "HX-Trigger" not in answer.headers

    async def test_a_page_that_stays_tells_at_once(self, client: httpx2.AsyncClient) -> None:
        """A fragment brings its words in a header, whatever the script they are in."""
        answer = await client.post("feed", headers={"HX-Request": "true"})
        told = httpx2.Response(200, content=answer.headers["HX-Trigger"].encode()).json()
        assert told == {"toast": {"text": "Попугай сыт 🦜", "kind": "info"}}

    @pytest.mark.parametrize("cookie", ["nonsense", "W10=", "e30=", "eyJ0ZXh0IjoxfQ=="])
    async def test_a_bent_cookie_says_nothing(self, client: httpx2.AsyncClient, cookie: str) -> None:
        """Whoever writes into the cookie gets an ordinary page."""
        answer = await client.get("birds", headers={"Cookie": f"ates-toast={cookie}"})
        assert answer.status_code == 200
        assert 'class="toast ' not in answer.text


class TestAssets:
    async def test_every_address_in_the_page_answers(self, client: httpx2.AsyncClient) -> None:
        """Styles and scripts of a page exist, by a name that may be kept for ever."""
        found = re.findall(r'"(/sample/static/[^"]+)"', (await client.get("birds")).text)
        assert len(found) >= 4
        for address in found:
            answer = await client.get(f"http://exchange.test{address}")
            assert answer.status_code == 200
            assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"

    async def test_an_old_version_is_not_kept(self, client: httpx2.AsyncClient) -> None:
        """Content under a version that is not its own is asked for again."""
        answer = await client.get("static/app.css?v=0123456789abcdef")
        assert answer.headers["Cache-Control"] == "no-cache"
        again = await client.get("static/app.css", headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")

    @pytest.mark.parametrize(
        "name", ["nothing.css", "..%2Fweb.py", "%2e%2e%2fweb.py", "..%5Cweb.py", ".hidden"]
    )
    async def test_nothing_else_is_served(self, client: httpx2.AsyncClient, name: str) -> None:
        """Only files of the folder, none beside it."""
        assert (await client.get(f"static/{name}")).status_code == 404

    def test_the_vendored_script_is_the_pinned_one(self) -> None:
        """htmx is served by us, its version is in its name, its licence beside it."""
        (file,) = STATIC.glob("htmx-*.min.js")
        version = file.name.removeprefix("htmx-").removesuffix(".min.js")
        assert f'version:"{version}"' in file.read_text()
        assert (STATIC / "htmx.LICENSE.txt").read_text().startswith("Zero-Clause BSD")

    async def test_pages_hold_nothing_the_policy_forbids(self, client: httpx2.AsyncClient) -> None:
        """No inline style, no inline handler, no script without the nonce, nothing from elsewhere."""
        text = (await client.get("birds")).text
        assert not re.search(r'\sstyle="|\son[a-z]+="|<style|javascript:', text)
        assert not re.search(r'(src|href)="https?://(?!exchange\.test)', text)
        assert all("nonce=" in tag for tag in re.findall(r"<script[^>]*>", text))


class TestNavigation:
    @pytest.mark.parametrize(
        ("role", "labels"),
        [
            (Role.WORKER, ["Start", "My tasks", "All tasks", "Money", "Events"]),
            (Role.MANAGER, ["Start", "All tasks", "Events", "My tasks", "Money"]),
            (Role.ACCOUNTANT, ["Start", "Books", "My tasks", "All tasks", "Money", "Events"]),
            (
                Role.ADMIN,
                [
                    "Start",
                    "All tasks",
                    "Books",
                    "Analytics",
                    "People",
                    "Events",
                    "Dead letters",
                    "My tasks",
                    "Money",
                ],
            ),
            (Role.CLIENT, ["Start"]),
        ],
    )
    def test_each_role_sees_its_places(self, role: Role, labels: list[str]) -> None:
        """Nobody is shown a door that is locked to them."""
        assert [link.label for link in navigation(URLS, "tracker", role, "/")] == labels

    @pytest.mark.parametrize(
        ("service", "path", "label"),
        [
            ("tracker", "/", "My tasks"),
            ("tracker", "/tasks/1", "My tasks"),
            ("tracker", "/all", "All tasks"),
            ("tracker", "/all/2", "All tasks"),
            ("tracker", "/allotment", "My tasks"),
            ("billing", "/days/2026-03-02", "Books"),
            ("auth", "/accounts", "People"),
            ("auth", "/audit", "People"),
            ("analytics", "/dead-letters/7", "Dead letters"),
        ],
    )
    def test_one_place_is_here(self, service: str, path: str, label: str) -> None:
        """The present page belongs to the nearest place, and to one only."""
        links = navigation(URLS, service, Role.ADMIN, path)
        assert [link.label for link in links if link.current] == [label]

    def test_strangers_see_nothing(self) -> None:
        """Who is not signed in has nowhere to go but the sign-in."""
        assert navigation(URLS, "tracker", None, "/") == ()

    def test_hosts_of_their_own(self) -> None:
        """A service on another host is reached by its whole address, one on our own by a path."""
        urls = URLS | {"billing": "https://money.exchange.test"}
        links = {link.label: link.href for link in navigation(urls, "tracker", POLLY.role, "/")}
        assert (links["Money"], links["All tasks"]) == ("https://money.exchange.test/", "/tracker/all")

    def test_the_registry_is_entered_by_its_sign_in(self) -> None:
        """The registry is open to strangers, so it learns only by its sign-in who comes from elsewhere."""
        links = {link.label: link.href for link in navigation(URLS, "tracker", POLLY.role, "/")}
        inside = {link.label: link.href for link in navigation(URLS, "registry", POLLY.role, "/")}
        assert (links["Events"], inside["Events"]) == ("/registry/login", "/registry/")

    async def test_a_page_that_failed_keeps_its_navigation(self, client: httpx2.AsyncClient) -> None:
        """Somebody who mistypes an address stays signed in on the page that says so."""
        answer = await client.get("nothing")
        assert answer.status_code == 404
        assert "&lt;Polly&gt;" in answer.text
        assert 'href="/tracker/all"' in answer.text


class TestWords:
    def test_days_and_roles(self) -> None:
        """Dates and roles follow the reader."""
        with in_locale("en"):
            assert (day(date(2026, 3, 2)), role_label("admin")) == ("Mon, 2 Mar 2026", "Administrator")
        with in_locale("ru"):
            assert day(date(2026, 3, 2)).startswith("пн, 2 мар")
            assert role_label(Role.ADMIN) == "Администратор"

    def test_moments_stand_in_the_business_zone(self) -> None:
        """A point in time is shown in the zone of the business day and kept exact for machines."""
        shown = _pages().moment(datetime(2026, 3, 2, 21, 30, tzinfo=UTC))
        assert shown == '<time datetime="2026-03-02T21:30:00+00:00">3 Mar, 00:30</time>'

    def test_moments_of_other_years_say_which(self) -> None:
        """The year of the business zone stands there when it is not the present one."""
        pages = _pages()
        shown = [pages.moment(datetime(2025, 12, 31, hour, 30, tzinfo=UTC)).striptags() for hour in (20, 21)]
        assert shown == ["31 Dec 2025, 23:30", "1 Jan, 00:30"]
        with in_locale("ru"):
            assert pages.moment(datetime(2027, 1, 5, 9, tzinfo=UTC)).striptags() == "5 янв. 2027, 12:00"


class TestComponents:
    def test_a_wrong_field_says_so_to_everybody(self) -> None:
        """The error of a field is seen, announced, and found from the field."""
        html = str(_ui().field("title", "Title", value='"><b>', error="No brackets.", required=True))
        assert 'aria-invalid="true"' in html
        assert 'aria-describedby="field-title-error"' in html
        assert 'id="field-title-error">No brackets.' in html
        assert "<b>" not in html

    def test_a_password_is_never_sent_back(self) -> None:
        """The value of a password field stays with who typed it."""
        assert "secret" not in str(_ui().field("password", "Password", value="secret", type="password"))

    @pytest.mark.parametrize("values", [[], [0], [0, 0], [5], [-5], [-5, 5], list(range(-15, 16))])
    def test_a_chart_of_anything(self, values: list[int]) -> None:
        """Flat and negative series draw as well as any other, with the table behind; nothing is words."""
        points = [
            {"label": f"day {n}", "value": value, "text": f"${value}"} for n, value in enumerate(values)
        ]
        html = str(_ui().bar_chart("Income", points))
        assert html.count("<tr><td") == (len(values) if any(values) else 0)
        assert ("Nothing to show yet" in html) == (not any(values))
        assert not re.search(r'(height|width|y)="-', html)

    def test_asking_first(self) -> None:
        """A serious step is an ordinary form; the question is only an attribute of it."""
        html = str(_ui().post_button("Distribute", "/go", confirm="Shuffle all?", fields={"version": 3}))
        assert 'method="post"' in html
        assert 'data-confirm="Shuffle all?"' in html
        assert '<input type="hidden" name="version" value="3">' in html


def _pages() -> Pages:
    settings = SampleSettings(**SHARED_SETTINGS | {"public_urls": URLS}, database_url="postgresql://x/x")
    return Pages(settings, "service_kit", FixedClock(datetime(2026, 3, 2, 9, 0, tzinfo=UTC)))


def _ui() -> Any:
    return _pages().environment("en").globals["ui"]


class TestPageOfComponents:
    async def test_the_page_of_components_shows_them_all_in_both_languages(
        self, app: httpx2.ASGITransport
    ) -> None:
        macros = re.findall(
            r"\{% macro (\w+)\(", (STATIC.parent / "templates" / "components.html").read_text()
        )
        page = (STATIC.parent / "templates" / "ui.html").read_text()
        # The pager needs a list to go on with, a form that is only a button something to change.
        unseen = {name for name in macros if f"ui.{name}(" not in page}
        assert unseen == {"icon", "pager", "post_button"}
        async with httpx2.AsyncClient(transport=app, base_url=SAMPLE) as browser:
            english = await browser.get("/ui")
            russian = await browser.get("/ui", headers={"Accept-Language": "ru"})
        assert (english.status_code, russian.status_code) == (200, 200)
        assert "Words that stand out" in english.text
        assert "Слова, которые выделяются" in russian.text
