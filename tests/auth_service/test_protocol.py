"""The protocol as clients meet it: codes, tokens, refresh, revocation, and what is refused."""

import asyncio
import base64
import json
import time

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey

from tests.auth_service.exchange import (
    BILLING,
    CALLBACK,
    ISSUER,
    ORIGIN,
    PUBLIC_URLS,
    TRACKER,
    Auth,
    challenge_of,
)


class TestCodeFlow:
    async def test_it_works(self, auth: Auth) -> None:
        """A signed-in person's browser comes back with a code that buys all three tokens."""
        asked = await (await auth.signed_in()).authorize()
        assert asked.location.startswith(f"{CALLBACK}?")
        assert asked.answer["state"] == "a-state"
        assert asked.answer["iss"] == ISSUER
        response = await auth.redeem(asked)
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        assert set(response.json()) >= {"access_token", "id_token", "refresh_token", "expires_in"}
        assert response.json()["expires_in"] == 300

    async def test_access_token(self, auth: Auth) -> None:
        """An ES256 at+jwt of 300 s with guid and role, for every service, checked by public keys alone."""
        person = await auth.person()
        token = (await auth.tokens(person))["access_token"]
        header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
        assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
        claims = await auth.claims(token)
        assert claims["iss"] == ISSUER
        assert claims["sub"] == claims["guid"] == person.id
        assert claims["role"] == "worker"
        assert claims["client_id"] == "tracker"
        assert claims["exp"] - claims["iat"] == 300
        assert set(claims["aud"]) == {url for name, url in PUBLIC_URLS.items() if name != "gateway"}
        assert {"jti", "sid", "scope"} <= set(claims)
        assert "name" not in claims

    async def test_id_token(self, auth: Auth) -> None:
        """It is RS256 for the client alone, with nonce, time and session of the sign-in, and the name."""
        body = await auth.tokens()
        claims = await auth.claims(body["id_token"])
        header = json.loads(base64.urlsafe_b64decode(body["id_token"].split(".")[0] + "=="))
        assert header["alg"] == "RS256"
        assert claims["aud"] == "tracker"
        assert claims["nonce"] == "a-nonce"
        assert abs(claims["auth_time"] - time.time()) < 60
        assert claims["sid"] == (await auth.claims(body["access_token"]))["sid"]
        assert claims["name"] == claims["preferred_username"] == "admin"
        # Nobody has chosen a language yet: pages speak as the browser asks.
        assert "locale" not in claims
        assert "at_hash" in claims

    async def test_without_redirect_uri_at_the_token_endpoint(self, auth: Auth) -> None:
        """An OAuth 2.1 client does not repeat the address; one that repeats another is refused."""
        browser = await auth.signed_in()
        assert (await auth.redeem(await browser.authorize(), redirect_uri="")).status_code == 200
        wrong = await auth.redeem(await browser.authorize(), redirect_uri=f"{CALLBACK}/")
        assert (wrong.status_code, wrong.json()["error"]) == (400, "invalid_grant")

    async def test_public_client(self, auth: Auth) -> None:
        """A client without a secret redeems its code by PKCE and its id."""
        browser = await auth.signed_in()
        asked = await browser.authorize(client_id="phone", redirect_uri="https://exchange.test/phone")
        response = await auth.redeem(
            asked, None, client_id="phone", redirect_uri="https://exchange.test/phone"
        )
        assert response.status_code == 200

    async def test_post_authentication(self, auth: Auth) -> None:
        """The secret may come in the form as well; in both places at once it is refused."""
        browser = await auth.signed_in()
        form = {"client_id": "tracker", "client_secret": "secret-of-the-tracker"}
        assert (await auth.redeem(await browser.authorize(), None, **form)).status_code == 200
        both = await auth.redeem(await browser.authorize(), TRACKER, **form)
        assert (both.status_code, both.json()["error"]) == (400, "invalid_request")


class TestAuthorizationRequests:
    @pytest.mark.parametrize(
        "changes",
        [
            {"code_challenge": None, "code_challenge_method": None},
            {"code_challenge_method": None},
            {"code_challenge_method": "plain"},
            {"code_challenge": "short"},
            {"code_challenge": None},
            {"response_type": "token"},
            {"response_type": "code id_token"},
            {"response_type": None},
            {"response_mode": "fragment"},
            {"max_age": "soon"},
            {"prompt": "none login"},
            {"scope": "openid \u00fc"},
            {"scope": 'openid "quoted"'},
            {"state": "x" * 3000},
            {"request": "a.b.c"},
        ],
    )
    async def test_refused_at_the_client(self, auth: Auth, changes: dict[str, str | None]) -> None:
        """What a known client asks wrongly is told to it, with state and issuer, and without a code."""
        asked = await (await auth.signed_in()).ask(**changes)
        assert asked.status_code == 303
        location = httpx2.URL(asked.headers["Location"])
        assert str(location).startswith(f"{CALLBACK}?")
        assert "code" not in location.params
        assert location.params["error"]
        assert location.params["iss"] == ISSUER
        assert location.params["state"] == changes.get("state", "a-state")

    @pytest.mark.parametrize(
        "changes",
        [
            {"client_id": "nobody"},
            {"client_id": None},
            {"redirect_uri": None},
            {"redirect_uri": "https://evil.test/callback"},
            {"redirect_uri": f"{CALLBACK}/"},
            {"redirect_uri": f"{CALLBACK}?x=1"},
            {"redirect_uri": f"{CALLBACK}#x"},
            {"redirect_uri": CALLBACK.upper()},
            {"redirect_uri": "https://exchange.test/billing/callback"},
            {"redirect_uri": "javascript:alert(1)"},
            {"redirect_uri": "\u00fc\"'<>"},
            {"client_id": "tracker\x00"},
        ],
    )
    async def test_refused_on_our_page(self, auth: Auth, changes: dict[str, str | None]) -> None:
        """An unknown client, or an address that is not letter by letter its own, is never redirected to."""
        asked = await (await auth.signed_in()).ask(**changes)
        assert asked.status_code == 400
        assert "Location" not in asked.headers

    async def test_doubled_parameters(self, auth: Auth) -> None:
        """A parameter that is there twice has no meaning."""
        browser = await auth.signed_in()
        usual = str((await browser.http.get("/authorize")).url)
        twice = f"{usual}?client_id=tracker&client_id=billing&redirect_uri={CALLBACK}"
        assert (await browser.http.get(twice)).status_code == 400
        scope_twice = f"{usual}?client_id=tracker&redirect_uri={CALLBACK}&scope=openid&scope=email"
        asked = await browser.http.get(scope_twice)
        assert "error=invalid_request" in asked.headers["Location"]

    async def test_sign_in_first(self, auth: Auth) -> None:
        """Somebody who is not signed in gets the form, and comes back to the very same request."""
        browser = auth.browser()
        asked = await browser.ask(login_hint="admin")
        assert asked.headers["Location"].startswith("/auth/sign-in?next=%2Fauth%2Fauthorize%3F")
        assert "login=admin" in asked.headers["Location"]
        target = httpx2.URL(asked.headers["Location"]).params["next"]
        signed_in = await browser.http.post(
            "/sign-in",
            data={"login": "admin", "password": "a-good-password-of-the-admin", "next": target},
        )
        assert signed_in.headers["Location"] == target
        back = await browser.http.get(f"https://exchange.test{target}")
        assert back.headers["Location"].startswith(f"{CALLBACK}?code=")

    async def test_by_form_from_another_site(self, auth: Auth) -> None:
        """A form of the client's site asks as a link would; our cookie comes with an address only."""
        browser = await auth.signed_in()
        refused = await browser.ask(client_id="nobody")
        usual = dict(refused.url.params) | {"client_id": "tracker"}
        foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://client.test"}
        async with auth.client(headers=foreign) as client:
            # Browsers keep a cookie that is SameSite=Lax back here.
            asked = await client.post("/authorize", data=usual)
        assert asked.status_code == 303
        assert asked.headers["Location"].startswith("/auth/authorize?")
        answered = await browser.http.get(f"{ORIGIN}{asked.headers['Location']}")
        assert answered.headers["Location"].startswith(f"{CALLBACK}?code=")
        near = await browser.http.post("/authorize", data=usual)
        assert near.headers["Location"].startswith(f"{CALLBACK}?code=")

    async def test_prompt_none(self, auth: Auth) -> None:
        """With prompt=none nobody is asked: a code when signed in, login_required otherwise."""
        nobody = await auth.browser().ask(prompt="none")
        assert "error=login_required" in nobody.headers["Location"]
        somebody = await (await auth.signed_in()).ask(prompt="none")
        assert "code=" in somebody.headers["Location"]

    @pytest.mark.parametrize("changes", [{"prompt": "login"}, {"prompt": "select_account"}])
    async def test_prompt_login(self, auth: Auth, changes: dict[str, str]) -> None:
        """With prompt=login a person who is signed in signs in again, once."""
        asked = await (await auth.signed_in()).ask(**changes)
        location = httpx2.URL(asked.headers["Location"])
        assert location.path == "/auth/sign-in"
        assert location.params["again"] == "1"
        assert "prompt" not in location.params["next"]

    async def test_max_age(self, own_auth: Auth) -> None:
        """A sign-in that is older than max_age does not do; a fresh one does."""
        browser = await own_auth.signed_in()
        assert "code=" in (await browser.ask(max_age="600")).headers["Location"]
        await own_auth.execute("update sign_on_sessions set authenticated_at = now() - interval '1 h'")
        asked = httpx2.URL((await browser.ask(max_age="600")).headers["Location"])
        assert asked.path == "/auth/sign-in"
        assert "max_age" not in asked.params["next"]
        assert "code=" in (await browser.ask(max_age="7200")).headers["Location"]


class TestCodes:
    async def test_ten_redemptions_at_once(self, auth: Auth) -> None:
        """Of ten simultaneous redemptions one succeeds, and the replay ends what the one got."""
        asked = await (await auth.signed_in()).authorize()
        answers = await asyncio.gather(*(auth.redeem(asked) for _ in range(10)))
        good = [answer for answer in answers if answer.status_code == 200]
        assert len(good) == 1
        assert {a.json()["error"] for a in answers if a is not good[0]} == {"invalid_grant"}
        assert (await auth.refresh(good[0].json()["refresh_token"])).status_code == 400

    async def test_wrong_verifier(self, auth: Auth) -> None:
        """Without the verifier, or with another, a stolen code is worth nothing."""
        browser = await auth.signed_in()
        for verifier in ("", "w" * 43, "short"):
            response = await auth.redeem(await browser.authorize(), code_verifier=verifier)
            assert response.status_code == 400
            assert response.json()["error"] in {"invalid_grant", "invalid_request"}

    async def test_plain_verifier(self, auth: Auth) -> None:
        """The challenge itself is no verifier."""
        browser = await auth.signed_in()
        asked = await browser.authorize()
        response = await auth.redeem(asked, code_verifier=challenge_of(asked.verifier))
        assert response.json()["error"] == "invalid_grant"

    async def test_another_client(self, auth: Auth) -> None:
        """A code belongs to the client that asked; another one's try leaves it good."""
        asked = await (await auth.signed_in()).authorize()
        assert (await auth.redeem(asked, BILLING)).json()["error"] == "invalid_grant"
        assert (await auth.redeem(asked)).status_code == 200

    async def test_expiry(self, own_auth: Auth) -> None:
        """A code holds for a minute at most."""
        asked = await (await own_auth.signed_in()).authorize()
        lasts_s = "select extract(epoch from max(expires_at) - clock_timestamp()) from authorization_codes"
        assert 0 < await own_auth.value(lasts_s) <= 60
        await own_auth.execute("update authorization_codes set expires_at = now()")
        assert (await own_auth.redeem(asked)).json()["error"] == "invalid_grant"

    async def test_nothing_readable_is_stored(self, auth: Auth) -> None:
        """The database holds digests: whoever reads it can redeem nothing."""
        asked = await (await auth.signed_in()).authorize()
        body = (await auth.redeem(asked)).json()
        for table in ("authorization_codes", "refresh_tokens", "sign_on_sessions", "audit_log"):
            stored = await auth.value(f"select coalesce(string_agg(t::text, ' '), '') from {table} t")  # noqa: S608
            for secret in (asked.code, body["refresh_token"], body["access_token"]):
                assert secret not in stored
                assert secret.encode().hex() not in stored


class TestRefresh:
    async def test_rotation(self, auth: Auth) -> None:
        """Each use gives a new refresh token, and an ID token that tells of the old sign-in."""
        first = await auth.tokens()
        second = (await auth.refresh(first["refresh_token"])).json()
        assert second["refresh_token"] != first["refresh_token"]
        old, new = await auth.claims(first["id_token"]), await auth.claims(second["id_token"])
        assert (old["auth_time"], old["sid"], old["sub"]) == (new["auth_time"], new["sid"], new["sub"])
        assert (await auth.refresh(second["refresh_token"])).status_code == 200

    async def test_reuse_ends_the_family(self, own_auth: Auth) -> None:
        """A used token in somebody's hands is a theft: the whole family ends, and the log says so."""
        first = await own_auth.tokens()
        second = (await own_auth.refresh(first["refresh_token"])).json()
        assert (await own_auth.refresh(first["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await own_auth.refresh(second["refresh_token"])).json()["error"] == "invalid_grant"
        assert await own_auth.value("select count(*) from audit_log where act = 'refresh_token_reused'") == 1

    async def test_ten_at_once(self, auth: Auth) -> None:
        """Of ten simultaneous uses of one token exactly one succeeds."""
        token = (await auth.tokens())["refresh_token"]
        answers = await asyncio.gather(*(auth.refresh(token) for _ in range(10)))
        assert sorted(a.status_code for a in answers) == [200] + [400] * 9

    async def test_another_client(self, auth: Auth) -> None:
        """A refresh token belongs to its client; another one's try does not end it."""
        token = (await auth.tokens())["refresh_token"]
        assert (await auth.refresh(token, BILLING)).json()["error"] == "invalid_grant"
        assert (await auth.refresh(token)).status_code == 200

    async def test_scope_may_only_narrow(self, auth: Auth) -> None:
        """Less scope on request, never more."""
        token = (await auth.tokens())["refresh_token"]
        assert (await auth.refresh(token, scope="openid email")).json()["error"] == "invalid_scope"
        assert (await auth.refresh(token, scope="openid")).json()["scope"] == "openid"

    async def test_absolute_end(self, own_auth: Auth) -> None:
        """No rotation carries a family beyond the end of the sign-on session."""
        first = await own_auth.tokens()
        end = await own_auth.value("select expires_at from token_families")
        assert end == await own_auth.value("select expires_at from sign_on_sessions order by id desc limit 1")
        await own_auth.refresh(first["refresh_token"])
        assert await own_auth.value("select max(expires_at) from refresh_tokens") <= end
        await own_auth.execute("update token_families set expires_at = now()")
        second = await own_auth.refresh(first["refresh_token"])
        assert second.json()["error"] == "invalid_grant"


class TestClients:
    async def test_client_credentials(self, auth: Auth) -> None:
        """A service acts in its own name: no person, no refresh token, a subject no person can have."""
        response = await auth.token({"grant_type": "client_credentials"})
        assert response.status_code == 200
        assert "refresh_token" not in response.json()
        claims = await auth.claims(response.json()["access_token"])
        assert claims["sub"] == "client:tracker"
        assert "guid" not in claims
        assert "role" not in claims

    async def test_an_answer_with_tokens_is_not_kept(self, auth: Auth) -> None:
        """A key against repetition, which some libraries send with every call, keeps no token anywhere."""
        async with auth.client(auth=TRACKER, headers={"Idempotency-Key": "one"}) as client:
            form = {"grant_type": "client_credentials"}
            first, second = [(await client.post("/token", data=form)).json() for _ in range(2)]
        assert first["access_token"] != second["access_token"]
        assert await auth.value("select count(*) from idempotency_keys") == 0

    @pytest.mark.parametrize("grant_type", ["password", "implicit", "", "urn:x"])
    async def test_other_grants(self, auth: Auth, grant_type: str) -> None:
        """No password grant, no implicit grant, nothing else."""
        response = await auth.token({"grant_type": grant_type, "username": "admin", "password": "x"})
        assert response.status_code == 400
        assert response.json()["error"] in {"unsupported_grant_type", "invalid_request"}

    @pytest.mark.parametrize("auth_of", [httpx2.BasicAuth("tracker", "wrong"), httpx2.BasicAuth("no", "no")])
    async def test_wrong_secret(self, auth: Auth, auth_of: httpx2.BasicAuth) -> None:
        """401 with a challenge, the same for an unknown client."""
        response = await auth.token({"grant_type": "client_credentials"}, auth_of)
        assert (response.status_code, response.json()["error"]) == (401, "invalid_client")
        assert response.headers["WWW-Authenticate"].startswith("Basic")

    async def test_no_secret(self, auth: Auth) -> None:
        """A confidential client has to prove itself; a public one never acts in its own name."""
        for client_id in ("tracker", "phone"):
            response = await auth.token({"grant_type": "client_credentials", "client_id": client_id}, None)
            assert response.json()["error"] == "invalid_client"

    @pytest.mark.parametrize(
        "content",
        [b"", b"grant_type=client_credentials&grant_type=x", b"\xff\xfe", b"{", b"code=%00&grant_type=x"],
    )
    async def test_malformed_bodies(self, auth: Auth, content: bytes) -> None:
        """Whatever is sent, the answer is an OAuth error and never a 500."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with auth.client() as client:
            for path in ("/token", "/introspect", "/revoke"):
                response = await client.post(path, content=content, headers=headers, auth=TRACKER)
                assert response.status_code == 400, path
                assert response.json()["error"]


class TestIntrospectionAndRevocation:
    async def test_active(self, auth: Auth) -> None:
        """A token that holds is told with what it says."""
        token = (await auth.tokens())["access_token"]
        told = await auth.introspected(token)
        assert told["active"] is True
        assert told["role"] == "admin"

    async def test_block_shows_at_once(self, auth: Auth) -> None:
        """The token of a blocked person is inactive long before it expires."""
        person = await auth.person()
        tokens = await auth.tokens(person)
        await auth.change(person, blocked=True)
        assert await auth.introspected(tokens["access_token"]) == {"active": False}
        assert await auth.introspected(tokens["refresh_token"]) == {"active": False}

    async def test_revocation(self, auth: Auth) -> None:
        """A revoked access token is inactive; a revoked refresh token ends its family."""
        tokens = await auth.tokens()
        async with auth.client() as client:
            for token in (tokens["access_token"], tokens["refresh_token"], "never-was"):
                response = await client.post("/revoke", data={"token": token}, auth=TRACKER)
                assert response.status_code == 200
        assert await auth.introspected(tokens["access_token"]) == {"active": False}
        assert (await auth.refresh(tokens["refresh_token"])).status_code == 400

    async def test_foreign_tokens(self, auth: Auth) -> None:
        """A client neither revokes nor reads another one's refresh token."""
        token = (await auth.tokens())["refresh_token"]
        async with auth.client() as client:
            revoked = await client.post("/revoke", data={"token": token}, auth=BILLING)
            told = await client.post("/introspect", data={"token": token}, auth=BILLING)
        assert revoked.status_code == 400
        assert told.json() == {"active": False}
        assert (await auth.refresh(token)).status_code == 200

    async def test_garbage(self, auth: Auth) -> None:
        """What is no token is inactive, and nothing more is said."""
        for token in ("x", "a.b.c", "\u00fc", "x" * 9000):
            assert await auth.introspected(token) == {"active": False}


class TestTokensThatDoNotHold:
    async def test_each_is_refused(self, auth: Auth) -> None:
        """Forged, expired, foreign or other tokens open no door of the API."""
        tokens = await auth.tokens()
        claims = await auth.claims(tokens["access_token"])
        header = json.loads(base64.urlsafe_b64decode(tokens["access_token"].split(".")[0] + "=="))
        own = ECKey.generate_key("P-256")
        async with auth.client() as client:
            published = (await client.get("/.well-known/jwks.json")).json()["keys"]
        public = json.dumps(next(key for key in published if key["kid"] == header["kid"]))
        body = tokens["access_token"].split(".")
        unsigned = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').rstrip(b"=").decode()
        last = "A" if body[2][-6] != "A" else "B"
        bad = {
            "ID token": tokens["id_token"],
            "own key": jwt.encode(header, claims, own),
            "HS256 with the public key": jwt.encode(
                header | {"alg": "HS256"}, claims, OctKey.import_key(public), algorithms=["HS256"]
            ),
            "no signature": f"{unsigned}.{body[1]}.",
            "changed signature": f"{body[0]}.{body[1]}.{body[2][:-6]}{last}{body[2][-5:]}",
            "nothing": "",
            "words": "let me in",
        }
        async with auth.client() as client:
            for name, token in bad.items():
                headers = {"Authorization": f"Bearer {token}"}
                for path in ("/api/v1/accounts", "/userinfo"):
                    response = await client.get(path, headers=headers)
                    assert response.status_code == 401, f"{name} at {path}"
                    assert response.headers["WWW-Authenticate"].startswith("Bearer")

    async def test_not_in_an_address(self, auth: Auth) -> None:
        """A token in a query is not looked at."""
        token = (await auth.tokens())["access_token"]
        async with auth.client() as client:
            response = await client.get("/userinfo", params={"access_token": token})
        assert response.status_code == 401


class TestDescriptions:
    async def test_discovery(self, auth: Auth) -> None:
        """Both documents describe the same provider, and every endpoint in them exists."""
        async with auth.client() as client:
            openid = (await client.get("/.well-known/openid-configuration")).json()
            oauth = (await client.get("/.well-known/oauth-authorization-server")).json()
            assert openid["issuer"] == oauth["issuer"] == ISSUER
            assert openid["code_challenge_methods_supported"] == ["S256"]
            assert oauth.items() <= openid.items()
            for name, address in openid.items():
                if name.endswith(("_endpoint", "jwks_uri")):
                    assert (await client.get(address)).status_code != 404, name

    async def test_keys(self, auth: Auth) -> None:
        """Public parts of the signing keys and of their successors, to be kept for a while."""
        async with auth.client() as client:
            response = await client.get("/.well-known/jwks.json")
        keys = response.json()["keys"]
        assert sorted(key["alg"] for key in keys) == ["ES256", "ES256", "RS256", "RS256"]
        assert not any({"d", "p", "q"} & set(key) for key in keys)
        assert "max-age" in response.headers["Cache-Control"]

    async def test_user_info(self, auth: Auth) -> None:
        """What the scopes allow about the person, by GET and by POST."""
        token = (await auth.tokens())["access_token"]
        async with auth.client(headers={"Authorization": f"Bearer {token}"}) as client:
            got, posted = await client.get("/userinfo"), await client.post("/userinfo")
        assert got.json() == posted.json()
        assert got.json()["name"] == "admin"
        assert "email" not in got.json()
