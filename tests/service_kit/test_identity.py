"""Who is there: tokens checked alone, sign-in of browsers, renewal that nobody notices."""

import asyncio
import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx2
import pytest
from fastapi import Response
from joserfc.jwk import ECKey
from sqlalchemy import delete, select, update

from service_kit.clock import FixedClock
from service_kit.identity import Actor, Role
from service_kit.identity.sessions import Sealer, web_sessions
from service_kit.identity.tokens import (
    REFETCH_AT_MOST_EVERY_S,
    InvalidToken,
    KeysUnavailable,
    PublishedKeys,
    Verifier,
    fetch_over_http,
)
from service_kit.web import ServiceRouter
from tests.conftest import NOON
from tests.support.databases import Databases
from tests.support.issuer import Issuer
from tests.support.sample_web import HTMX, PAGE, Web, running_web, sign_in
from tests.support.services import SHARED_SETTINGS, Service

ISSUER = "http://exchange.test/auth"
SAMPLE = "http://exchange.test/sample"
URLS = SHARED_SETTINGS["public_urls"] | {"sample": SAMPLE}


def routes() -> ServiceRouter:
    router = ServiceRouter()

    @router.get("/api/v1/me")
    async def me(actor: Actor) -> dict[str, str]:
        return {"guid": str(actor.guid), "role": actor.role}

    @router.get("/page")
    async def page(actor: Actor) -> Response:
        return Response(f"{actor.name} {actor.role}", media_type="text/html")

    return router


@pytest.fixture
def issuer() -> Issuer:
    return Issuer(ISSUER, [SAMPLE, "http://exchange.test/tracker"])


@pytest.fixture(scope="module")
async def aviary(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("aviary")
    service = Service.made("tests.support.sample", databases, FixedClock(NOON), folder, public_urls=URLS)
    yield service
    await service.close()
    databases.drop(service.addresses)


@pytest.fixture
async def sample(aviary: Service) -> Service:
    """The same database for all, with nobody signed in."""
    async with aviary.transaction() as session:
        await session.execute(delete(web_sessions))
    return aviary


@pytest.fixture
async def web(sample: Service, issuer: Issuer) -> AsyncIterator[Web]:
    async with running_web(sample, [routes()], issuer) as running:
        yield running


@pytest.fixture
async def browser(web: Web) -> AsyncIterator[httpx2.AsyncClient]:
    async with web.client(**PAGE) as one:
        yield one


def verifier_of(issuer: Issuer) -> tuple[Verifier, httpx2.AsyncClient]:
    http = httpx2.AsyncClient(transport=issuer.transport)
    keys = PublishedKeys(fetch_over_http(http, issuer.url))
    return Verifier(keys, issuer=issuer.url, audience=SAMPLE, client_id="sample"), http


def _unpadded(part: bytes) -> str:
    return urlsafe_b64encode(part).rstrip(b"=").decode()


async def sessions(service: Service) -> list[Any]:
    async with service.reading() as session:
        return list((await session.execute(select(web_sessions))).all())


async def leave_fresh_for(service: Service, seconds: float) -> None:
    """Let the last access token of every session end in so many seconds."""
    async with service.transaction() as session:
        until = datetime.now(UTC) + timedelta(seconds=seconds)
        await session.execute(update(web_sessions).values(fresh_until=until))


async def next_answer(browser: httpx2.AsyncClient) -> int:
    """The first status that is not 200: for a while a process believes what it read of the session."""
    async with asyncio.timeout(10):
        while (status := (await browser.get("page")).status_code) == 200:
            await asyncio.sleep(0.01)
    return status


class TestIdTokens:
    @pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
    async def test_by_either_algorithm(self, issuer: Issuer, algorithm: str) -> None:
        """Sign-in and services may be updated in any order: whichever it signs with, they take it."""
        if algorithm == "ES256":
            issuer.id_key = ECKey.generate_key("P-256", {"kid": "ec-id", "alg": "ES256"})
        verifier, http = verifier_of(issuer)
        async with http:
            assert (await verifier.id_token(issuer.id_token("n"), nonce="n"))["sub"] == str(issuer.guid)
            assert (await verifier.logout_token(issuer.logout_token()))["sid"] == issuer.sid


class TestAccessTokens:
    async def test_a_good_one_tells_who_calls(self, issuer: Issuer) -> None:
        """Account and role come from the token, a name does not."""
        verifier, http = verifier_of(issuer)
        async with http:
            user = await verifier.current_user(issuer.access_token(role="accountant"))
        assert (user.guid, user.role, user.name) == (issuer.guid, Role.ACCOUNTANT, None)

    @pytest.mark.parametrize(
        "claims",
        [
            {"exp": int(time.time()) - 60},
            {"exp": None},
            {"iat": int(time.time()) + 3600},
            {"iss": "http://evil.test/auth"},
            {"iss": None},
            {"aud": ["http://exchange.test/billing"]},
            {"aud": "http://exchange.test/sample/"},
            {"aud": None},
            {"sub": "polly"},
            {"sub": None},
            {"role": "emperor"},
            {"role": None},
            {"role": ["admin"]},
        ],
    )
    async def test_wrong_claims(self, issuer: Issuer, claims: dict[str, Any]) -> None:
        """Expired, of another issuer, for another service, for nobody: none of them holds."""
        verifier, http = verifier_of(issuer)
        async with http:
            with pytest.raises(InvalidToken):
                await verifier.access_token(issuer.access_token(**claims))

    async def test_forgeries(self, issuer: Issuer) -> None:
        """Other keys, other algorithms, no algorithm, other kinds of token: none of them holds."""
        verifier, http = verifier_of(issuer)
        good = issuer.access_token()
        head, body, signature = good.split(".")
        stranger = ECKey.generate_key("P-256", {"kid": "ec-1"})
        forged_head = _unpadded(b'{"alg":"HS256","typ":"at+jwt","kid":"ec-1"}')
        public_key = issuer.access_key.as_pem(private=False)
        mac = hmac.digest(public_key, f"{forged_head}.{body}".encode(), "sha256")
        forged = {
            "signed by a stranger": issuer.access_token(key=stranger),
            "a key of unknown name": issuer.access_token({"kid": "other"}),
            "the public key as a secret": f"{forged_head}.{body}.{_unpadded(mac)}",
            "no algorithm": _unpadded(b'{"alg":"none","typ":"at+jwt","kid":"ec-1"}') + f".{body}.",
            "an ID token": issuer.id_token(),
            "an ID token for this audience": issuer.id_token(aud=SAMPLE, role="admin", client_id="x"),
            "typ JWT": issuer.access_token({"typ": "JWT"}),
            "no signature": f"{head}.{body}.",
            "a cut one": good[:-5],
            "another body": f"{head}.{body[:-4]}AAAA.{signature}",
            "nonsense": "a.b.c",
            "nothing": "",
            "not ASCII": "попугай",
            "endless": "a" * 10_000,
        }
        async with http:
            for what, token in forged.items():
                with pytest.raises(InvalidToken):
                    await verifier.access_token(token)
                    pytest.fail(f"{what} was accepted")

    async def test_a_refusal_challenges(self, browser: httpx2.AsyncClient) -> None:
        """The API says that the token is the trouble, and not why."""
        answer = await browser.get("api/v1/me", headers={"Authorization": "Bearer nonsense"})
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'

    async def test_keys_are_read_once(self, issuer: Issuer) -> None:
        """Many tokens at once cost one look at the issuer's keys, and none while it is away."""
        verifier, http = verifier_of(issuer)
        async with http:
            await asyncio.gather(*(verifier.access_token(issuer.access_token()) for _ in range(20)))
            issuer.away = True
            await verifier.access_token(issuer.access_token())
        assert issuer.keys_read == 1

    async def test_invented_key_names_are_no_hammer(
        self, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An unknown key name is looked up at most once a minute, and a new key is found then."""
        verifier, http = verifier_of(issuer)
        passed = 0.0
        monotonic = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + passed)
        async with http:
            await verifier.access_token(issuer.access_token())
            issuer.access_key = ECKey.generate_key("P-256", {"kid": "ec-2", "alg": "ES256"})
            for _attempt in range(5):
                with pytest.raises(InvalidToken):
                    await verifier.access_token(issuer.access_token())
            assert issuer.keys_read == 1
            passed = REFETCH_AT_MOST_EVERY_S + 1
            await verifier.access_token(issuer.access_token())
            assert issuer.keys_read == 2

    async def test_no_keys_is_not_a_bad_token(self, issuer: Issuer) -> None:
        """As long as the issuer never answered, nobody is told that the token is wrong."""
        verifier, http = verifier_of(issuer)
        issuer.away = True
        async with http:
            with pytest.raises(KeysUnavailable):
                await verifier.access_token(issuer.access_token())


class TestSignIn:
    async def test_a_page_leads_to_the_sign_in_and_back(
        self, browser: httpx2.AsyncClient, issuer: Issuer
    ) -> None:
        """Somebody who opens a deep link signs in and stands there."""
        refused = await browser.get("page?tab=2")
        assert refused.status_code == 303
        assert refused.headers["Location"] == f"{SAMPLE}/login?next=%2Fsample%2Fpage%3Ftab%3D2"
        leaving = await browser.get(refused.headers["Location"])
        asked = parse_qs(urlsplit(leaving.headers["Location"]).query)
        assert leaving.headers["Location"].startswith(f"{ISSUER}/authorize?")
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["redirect_uri"] == [f"{SAMPLE}/callback"]
        back = await browser.get(issuer.authorize(leaving.headers["Location"]))
        assert (back.status_code, back.headers["Location"]) == (303, "/sample/page?tab=2")
        assert (await browser.get("page")).text == "Polly worker"

    async def test_the_browser_holds_no_token(
        self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """The cookie is a random number, the database has its hash, and tokens lie there sealed."""
        answer = await sign_in(browser, issuer)
        cookie = answer.headers["Set-Cookie"]
        assert cookie.startswith("ates-sample=")
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        value = browser.cookies["ates-sample"]
        assert len(value) >= 43
        (row,) = await sessions(sample)
        stored = b"".join(part for part in row if isinstance(part, bytes))
        assert value.encode() not in stored
        # The dot as well: three letters alone turn up in what is sealed, by chance.
        assert b".eyJ" not in stored
        assert b"refresh-" not in stored

    async def test_secure_cookies_on_https(
        self, make_service: Callable[..., Service], issuer: Issuer
    ) -> None:
        """On a secure address the cookie carries the host prefix, which ties it to this host."""
        urls = URLS | {"sample": "https://sample.exchange.test"}
        issuer.audiences = ["https://sample.exchange.test"]
        service = make_service("tests.support.sample", public_urls=urls)
        async with running_web(service, [routes()], issuer) as web, web.client(**PAGE) as browser:
            answer = await sign_in(browser, issuer)
            assert answer.headers["Set-Cookie"].startswith("__Host-ates-sample=")
            assert "Secure" in answer.headers["Set-Cookie"]
            assert (await browser.get("page")).status_code == 200

    async def test_each_sign_in_has_a_new_id(
        self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """An id that was there before the sign-in is worth nothing after it."""
        browser.cookies.set("ates-sample", "planted", domain="exchange.test")
        await sign_in(browser, issuer)
        first = [c.value for c in browser.cookies.jar if c.name == "ates-sample"]
        assert "planted" not in first[-1:]
        assert len(await sessions(sample)) == 1

    @pytest.mark.parametrize(
        "target",
        ["https://evil.test/", "//evil.test", "/\\evil.test", "evil", "/a\nb", "javascript:alert(1)"],
    )
    async def test_sign_in_leads_nowhere_else(
        self, browser: httpx2.AsyncClient, issuer: Issuer, target: str
    ) -> None:
        """After the sign-in everybody stands on our own site."""
        back = await sign_in(browser, issuer, target)
        assert back.headers["Location"] == "/sample/"

    async def test_only_the_browser_that_began(
        self, web: Web, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """Nobody is signed in by a link that somebody else sends."""
        leaving = await browser.get("login")
        async with web.client(**PAGE) as victim:
            answer = await victim.get(issuer.authorize(leaving.headers["Location"]))
        assert answer.status_code == 400
        assert "not begun in this browser" in answer.text
        assert await sessions(sample) == []

    @pytest.mark.parametrize("wrong", ["state", "nonce", "code", "iss", "error"])
    async def test_every_broken_way_back(
        self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service, wrong: str
    ) -> None:
        """Another state, nonce, code or issuer, or a refusal: a page that says so, and no session."""
        leaving = (await browser.get("login")).headers["Location"]
        asked = parse_qs(urlsplit(leaving).query)
        if wrong == "nonce":
            leaving = leaving.replace(asked["nonce"][0], "another")
        back = issuer.authorize(leaving)
        if wrong == "state":
            back = back.replace(asked["state"][0], asked["state"][0][:-1])
        elif wrong == "code":
            back = back.replace("code=code-0", "code=guessed")
        elif wrong == "iss":
            back = back.replace("exchange.test%2Fauth", "evil.test%2Fauth")
        elif wrong == "error":
            back = back.replace("code=code-0", "error=access_denied")
        answer = await browser.get(back)
        assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
        assert await sessions(sample) == []

    async def test_two_tabs_at_once(self, browser: httpx2.AsyncClient, issuer: Issuer) -> None:
        """Two tabs on their way to the issuer do not disturb each other."""
        first, second = [await browser.get("login", params={"next": f"/sample/{tab}"}) for tab in "ab"]
        for leaving, tab in ((second, "b"), (first, "a")):
            back = await browser.get(issuer.authorize(leaving.headers["Location"]))
            assert back.headers["Location"] == f"/sample/{tab}"

    async def test_the_issuer_is_away(self, browser: httpx2.AsyncClient, issuer: Issuer) -> None:
        """Somebody who comes back while the issuer is away is asked to try again."""
        leaving = await browser.get("login")
        issuer.away = True
        answer = await browser.get(issuer.authorize(leaving.headers["Location"]))
        assert answer.status_code == 503

    async def test_htmx_leads_the_whole_page(self, browser: httpx2.AsyncClient) -> None:
        """A part of a page whose session has ended sends the page to the sign-in."""
        headers = HTMX | {"HX-Current-URL": f"{SAMPLE}/page?tab=2"}
        answer = await browser.get("page", headers=headers)
        assert answer.status_code == 204
        assert answer.headers["HX-Redirect"] == f"{SAMPLE}/login?next=%2Fsample%2Fpage%3Ftab%3D2"

    async def test_the_api_is_told_plainly(self, browser: httpx2.AsyncClient) -> None:
        """A program without a token gets 401, never a redirect."""
        answer = await browser.get("api/v1/me")
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


class TestRenewal:
    async def test_nobody_notices(self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service) -> None:
        """A token that has ended is renewed within the request, and a new role is seen."""
        await sign_in(browser, issuer)
        await leave_fresh_for(sample, -1)
        issuer.role = Role.MANAGER
        assert (await browser.get("page")).text == "Polly manager"
        assert issuer.refreshes == 1

    async def test_before_the_end_nobody_waits(
        self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """In the last minute of a token the page is answered at once and the renewal runs beside it."""
        await sign_in(browser, issuer)
        await leave_fresh_for(sample, 30)
        may_go_on, begun = asyncio.Event(), asyncio.Event()

        async def hold() -> None:
            begun.set()
            await may_go_on.wait()

        issuer.before_refresh = hold
        assert (await browser.get("page")).status_code == 200
        async with asyncio.timeout(10):
            await begun.wait()
            may_go_on.set()
            while (await sessions(sample))[0].fresh_until < datetime.now(UTC) + timedelta(seconds=120):
                await asyncio.sleep(0.01)
        assert issuer.refreshes == 1

    async def test_one_renewal_for_many_requests(
        self, web: Web, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """Requests of one session over two processes use its refresh token once."""
        await sign_in(browser, issuer)
        await leave_fresh_for(sample, -1)
        async with (
            running_web(sample, [routes()], issuer) as twin,
            twin.client(**PAGE) as other,
        ):
            other.cookies = browser.cookies
            answers = await asyncio.gather(*(c.get("page") for c in (browser, other) for _ in range(10)))
        assert {answer.text for answer in answers} == {"Polly worker"}
        assert (issuer.refreshes, issuer.refused) == (1, 0)

    async def test_the_end_of_the_session(
        self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """When the issuer renews no longer, pages lead to the sign-in and the row is gone."""
        await sign_in(browser, issuer)
        await leave_fresh_for(sample, -1)
        issuer.refresh_tokens.clear()
        answer = await browser.get("page")
        assert (answer.status_code, urlsplit(answer.headers["Location"]).path) == (303, "/sample/login")
        assert await sessions(sample) == []

    async def test_a_good_token_outlives_the_issuer(
        self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """While the issuer is away its last word counts until its end; then people are asked for patience."""
        await sign_in(browser, issuer)
        issuer.away = True
        await leave_fresh_for(sample, 30)
        for _press in range(3):
            assert (await browser.get("page")).status_code == 200
        await leave_fresh_for(sample, -1)
        assert await next_answer(browser) == 503
        assert len(await sessions(sample)) == 1
        issuer.away = False
        assert (await browser.get("page")).status_code == 200


class TestSignOut:
    async def test_everything_ends(
        self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """Signing out ends the session here, its tokens and then the one at the issuer."""
        await sign_in(browser, issuer)
        (token,) = issuer.refresh_tokens
        answer = await browser.post("logout")
        leaving = urlsplit(answer.headers["Location"])
        asked = parse_qs(leaving.query)
        assert (answer.status_code, leaving.path) == (303, "/auth/logout")
        assert asked["post_logout_redirect_uri"] == [f"{SAMPLE}/"]
        assert asked["id_token_hint"][0].count(".") == 2
        assert issuer.revoked == [token]
        assert await sessions(sample) == []
        assert "ates-sample" not in browser.cookies
        assert (await browser.get("page")).status_code == 303

    async def test_an_old_cookie_is_worth_nothing(
        self, web: Web, browser: httpx2.AsyncClient, issuer: Issuer
    ) -> None:
        """A copy of the cookie ends with the session."""
        await sign_in(browser, issuer)
        copied = browser.cookies["ates-sample"]
        await browser.post("logout")
        async with web.client(**PAGE, Cookie=f"ates-sample={copied}") as thief:
            assert (await thief.get("page")).status_code == 303

    async def test_signing_out_at_another_process(
        self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """What was read of sessions is believed until one ends, wherever it does: then they are read anew."""
        await sign_in(browser, issuer)
        assert (await browser.get("page")).status_code == 200
        async with running_web(sample, [routes()], issuer) as twin, twin.client(**PAGE) as other:
            other.cookies = browser.cookies
            await other.post("logout")
        assert await next_answer(browser) == 303

    async def test_signing_out_without_the_issuer(
        self, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service
    ) -> None:
        """Nobody stays signed in because the issuer is away."""
        await sign_in(browser, issuer)
        issuer.away = True
        assert (await browser.post("logout")).status_code == 303
        assert await sessions(sample) == []

    @pytest.mark.parametrize("names", ["sid", "sub"])
    async def test_the_issuer_ends_sessions(
        self, web: Web, browser: httpx2.AsyncClient, issuer: Issuer, sample: Service, names: str
    ) -> None:
        """A logout token ends the session it names, or all of an account."""
        await sign_in(browser, issuer)
        claims: dict[str, Any] = {"sid": None, "sub": str(issuer.guid)} if names == "sub" else {}
        async with web.client() as caller:
            answer = await caller.post(
                "backchannel-logout", data={"logout_token": issuer.logout_token(**claims)}
            )
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        assert await sessions(sample) == []

    @pytest.mark.parametrize(
        ("typ", "claims"),
        [
            ("JWT", {}),
            ("logout+jwt", {"aud": "tracker"}),
            ("logout+jwt", {"iss": "http://evil.test"}),
            ("logout+jwt", {"events": {}}),
            ("logout+jwt", {"events": None}),
            ("logout+jwt", {"nonce": "n"}),
            ("logout+jwt", {"sid": None}),
            ("logout+jwt", {"exp": int(time.time()) - 60}),
        ],
    )
    async def test_only_real_logout_tokens(
        self,
        web: Web,
        browser: httpx2.AsyncClient,
        issuer: Issuer,
        sample: Service,
        typ: str,
        claims: dict[str, Any],
    ) -> None:
        """Anything but a logout token for us ends nothing."""
        await sign_in(browser, issuer)
        async with web.client() as caller:
            answer = await caller.post(
                "backchannel-logout", data={"logout_token": issuer.logout_token(typ, **claims)}
            )
        assert answer.status_code == 400
        assert len(await sessions(sample)) == 1

    async def test_sessions_of_others_stay(self, web: Web, issuer: Issuer, sample: Service) -> None:
        """Ending one session leaves the others."""
        for sid in ("one", "two"):
            issuer.sid = sid
            async with web.client(**PAGE) as browser:
                await sign_in(browser, issuer)
        async with web.client() as caller:
            await caller.post("backchannel-logout", data={"logout_token": issuer.logout_token(sid="one")})
        assert [row.provider_session_id for row in await sessions(sample)] == ["two"]


class TestSealer:
    def test_opens_what_it_sealed(self) -> None:
        """What was sealed for one purpose opens for that purpose and no other."""
        secret = str(uuid4()) * 2
        sealed = Sealer(secret, "sessions").seal("millet")
        assert Sealer(secret, "sessions").open(sealed) == "millet"
        assert Sealer(secret, "sign-in").open(sealed) is None
        assert Sealer(secret[::-1], "sessions").open(sealed) is None
        assert Sealer(secret, "sessions").open(b"nonsense") is None
