"""Lines of the specifications that no other file of tests holds, each as a client would meet it."""

import httpx2
import pytest

from tests.auth_service.conftest import MakeAuth
from tests.auth_service.exchange import (
    BILLING,
    CLIENTS,
    DEVICE_CODE,
    ISSUER,
    ORIGIN,
    PUBLIC_URLS,
    TRACKER,
    Auth,
)

RETURN = f"{ORIGIN}/tracker/"
GUEST = {
    "secret": "secret-of-the-guest",
    "redirect_uris": [f"{ORIGIN}/guest"],
    "third_party": True,
    "scopes": ["openid"],
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def user_info(auth: Auth, token: str) -> httpx2.Response:
    async with auth.client() as client:
        return await client.get("/userinfo", headers=bearer(token))


async def revoke(auth: Auth, token: str) -> None:
    async with auth.client() as client:
        answer = await client.post("/revoke", data={"token": token}, auth=TRACKER)
    assert answer.status_code == 200


class TestUserInfo:
    async def test_token_in_the_form(self, auth: Auth) -> None:
        """RFC 6750, 2.2: the token may come in the body, but not in two places and never in the address."""
        token = (await auth.tokens())["access_token"]
        async with auth.client() as client:
            by_form = await client.post("/userinfo", data={"access_token": token})
            twice = await client.post("/userinfo", data={"access_token": token}, headers=bearer(token))
            by_address = await client.get("/userinfo", params={"access_token": token})
        assert by_form.json() == (await user_info(auth, token)).json()
        assert by_form.headers["Cache-Control"] == "no-store"
        assert (twice.status_code, by_address.status_code) == (400, 401)
        assert twice.headers["WWW-Authenticate"] == 'Bearer error="invalid_request"'

    async def test_challenges(self, auth: Auth) -> None:
        """RFC 6750, 3.1: no token is no error; a wrong one and a narrow one are told apart."""
        browser = await auth.signed_in()
        own = (await auth.token({"grant_type": "client_credentials"})).json()["access_token"]
        narrow = (await auth.redeem(await browser.authorize(scope="profile"))).json()["access_token"]
        async with auth.client() as client:
            nobody = await client.get("/userinfo")
        told = [nobody, await user_info(auth, "x.y.z"), await user_info(auth, own)]
        told.append(await user_info(auth, narrow))
        assert [one.status_code for one in told] == [401, 401, 401, 403]
        assert [one.headers["WWW-Authenticate"] for one in told] == [
            "Bearer",
            'Bearer error="invalid_token"',
            'Bearer error="invalid_token"',
            'Bearer error="insufficient_scope"',
        ]

    async def test_claims_of_an_address(self, auth: Auth) -> None:
        """OpenID Connect Core, 5.4: what a person typed as an address is told, and that nobody checked it."""
        person = await auth.person(email="person@example.org")
        browser = await auth.signed_in(person)
        tokens = (await auth.redeem(await browser.authorize(scope="openid email"))).json()
        told = (await user_info(auth, tokens["access_token"])).json()
        assert told == {"sub": person.id, "email": "person@example.org", "email_verified": False}


class TestWithdrawnTokens:
    @pytest.mark.parametrize("what", ["access_token", "refresh_token"])
    async def test_by_its_client(self, auth: Auth, what: str) -> None:
        """RFC 7009, 2.1: an access token ends by itself and with its refresh token, at every door."""
        tokens = await auth.tokens()
        access = tokens["access_token"]
        async with auth.client(headers=bearer(access)) as client:
            for path in ("/userinfo", "/api/v1/accounts", "/verify"):
                assert (await client.get(path)).status_code == 200, path
            await revoke(auth, tokens[what])
            for path in ("/userinfo", "/api/v1/accounts", "/verify"):
                assert (await client.get(path)).status_code == 401, path
        assert await auth.introspected(access) == {"active": False}
        renewed = await auth.refresh(tokens["refresh_token"])
        assert renewed.status_code == (200 if what == "access_token" else 400)

    async def test_by_a_replay(self, auth: Auth) -> None:
        """RFC 6749, 4.1.2: a code that is shown again takes the access token back as well."""
        asked = await (await auth.signed_in()).authorize()
        access = (await auth.redeem(asked)).json()["access_token"]
        assert (await user_info(auth, access)).status_code == 200
        await auth.redeem(asked)
        assert (await user_info(auth, access)).status_code == 401

    async def test_of_a_client_that_is_switched_off(self, own_auth: Auth) -> None:
        """Its own token is not active any more."""
        answer = await own_auth.token({"grant_type": "client_credentials"}, BILLING)
        token = answer.json()["access_token"]
        assert (await own_auth.introspected(token))["sub"] == "client:billing"
        await own_auth.execute("update oauth_clients set disabled = true where client_id = 'billing'")
        own_auth.app.state.clients.forget()
        assert await own_auth.introspected(token) == {"active": False}


class TestIntrospection:
    async def test_by_an_application_of_others(self, make_auth: MakeAuth) -> None:
        """RFC 7662, 4: it asks about its own tokens; what our services were given is not told to it."""
        auth = await make_auth(clients=CLIENTS | {"guest": GUEST})
        guest = httpx2.BasicAuth("guest", "secret-of-the-guest")
        ours = (await auth.tokens())["access_token"]
        own = (await auth.token({"grant_type": "client_credentials"}, guest)).json()["access_token"]
        async with auth.client(auth=guest) as client:
            assert (await client.post("/introspect", data={"token": ours})).json() == {"active": False}
            assert (await client.post("/introspect", data={"token": own})).json()["active"] is True
        assert (await auth.introspected(own))["client_id"] == "guest"


class TestAuthorizationRequests:
    @pytest.mark.parametrize("name", ["request", "request_uri"])
    async def test_request_objects(self, auth: Auth, name: str) -> None:
        """OpenID Connect Core, 3.1.2.6: each of the two ways has an error of its own."""
        asked = await (await auth.signed_in()).ask(**{name: "https://client.test/request"})
        assert httpx2.URL(asked.headers["Location"]).params["error"] == f"{name}_not_supported"

    async def test_unknown_scopes(self, auth: Auth) -> None:
        """OpenID Connect Core, 3.1.2.1: they are left out, and the answer says what was granted."""
        browser = await auth.signed_in()
        tokens = (await auth.redeem(await browser.authorize(scope="openid fly profile"))).json()
        assert tokens["scope"] == "openid profile"
        nothing = await browser.ask(scope="fly")
        assert httpx2.URL(nothing.headers["Location"]).params["error"] == "invalid_scope"

    @pytest.mark.parametrize(
        ("asked", "error"),
        [(None, "invalid_request"), ("token", "unsupported_response_type")],
    )
    async def test_response_type(self, auth: Auth, asked: str | None, error: str) -> None:
        """RFC 6749, 4.1.2.1: a missing one and one that is not there are told apart."""
        refused = await (await auth.signed_in()).ask(response_type=asked)
        answer = httpx2.URL(refused.headers["Location"]).params
        assert answer["error"] == error
        assert answer["error_description"].count("support") <= 1

    async def test_parameters_that_change_nothing_here(self, auth: Auth) -> None:
        """OpenID Connect Core, 15.1: they may be ignored, but are no mistake."""
        browser = await auth.signed_in()
        asked = await browser.ask(
            display="popup", claims_locales="ru en", ui_locales="fr ru", acr_values="urn:x", claims="{}"
        )
        assert "code=" in asked.headers["Location"]


class TestTokenEndpoint:
    async def test_nothing_is_asked_for(self, auth: Auth) -> None:
        """RFC 6749, 5.2: a missing parameter is an invalid request, not an unknown grant."""
        nothing, unknown = await auth.token({}), await auth.token({"grant_type": "urn:x"})
        assert nothing.json()["error"] == "invalid_request"
        assert unknown.json()["error"] == "unsupported_grant_type"

    @pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect", "/device_authorization"])
    async def test_a_body_of_another_kind(self, auth: Auth, path: str) -> None:
        """RFC 6749, 3.2 and appendix B: a form alone is read; the same words in another shape say nothing."""
        said = {"grant_type": "client_credentials", "client_id": "tracker", "token": "x"}
        parts = {name: (None, value) for name, value in said.items()}
        async with auth.client(auth=TRACKER) as client:
            for answer in (
                await client.post(path, files=parts),
                await client.post(path, json=said),
                await client.post(path, content=b"grant_type=client_credentials"),
            ):
                assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
                assert "x-www-form-urlencoded" in answer.json()["error_description"]

    async def test_the_kind_of_a_body_has_parameters(self, auth: Auth) -> None:
        """RFC 9110, 8.3.1: a type is written in any case, and may name a character set."""
        headers = {"Content-Type": "Application/X-WWW-Form-urlencoded; charset=UTF-8"}
        async with auth.client(auth=TRACKER) as client:
            form = b"grant_type=client_credentials"
            assert (await client.post("/token", content=form, headers=headers)).status_code == 200

    async def test_the_challenge_names_a_realm(self, auth: Auth) -> None:
        """RFC 7617, 2: without a realm it is none; what went wrong is told in the body."""
        answer = await auth.token({"grant_type": "client_credentials"}, httpx2.BasicAuth("tracker", "wrong"))
        assert answer.headers.get_list("WWW-Authenticate") == [f'Basic realm="{ISSUER}"']
        assert answer.json()["error"] == "invalid_client"

    async def test_two_clients_at_once(self, auth: Auth) -> None:
        """RFC 6749, 3.2.1: `client_id` in the form says who asks, and is who has proven it."""
        form = {"grant_type": "client_credentials", "client_id": "billing"}
        assert (await auth.token(form)).json()["error"] == "invalid_request"
        assert (await auth.token(form | {"client_id": "tracker"})).status_code == 200

    async def test_scopes_of_which_none_is_granted(self, auth: Auth) -> None:
        """RFC 6749, 5.2: such a request is refused; a token without what was asked for helps nobody."""
        form = {"grant_type": "client_credentials"}
        assert (await auth.token(form | {"scope": "fly"})).json()["error"] == "invalid_scope"
        assert (await auth.token(form | {"scope": "fly openid"})).json()["scope"] == "openid"
        async with auth.client() as client:
            device = {"client_id": "television", "scope": "fly"}
            refused = await client.post("/device_authorization", data=device)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")

    async def test_hints_that_nobody_knows(self, auth: Auth) -> None:
        """RFC 7009, 2.1 and 7662, 2.1: a hint helps to search; an unknown or wrong one changes nothing."""
        tokens = await auth.tokens()
        form = {"token": tokens["refresh_token"], "token_type_hint": "urn:x"}
        async with auth.client(auth=TRACKER) as client:
            assert (await client.post("/introspect", data=form)).json()["active"] is True
            assert (await client.post("/revoke", data=form)).status_code == 200
        assert await auth.introspected(tokens["refresh_token"]) == {"active": False}


class TestDevices:
    async def test_for_one_service(self, auth: Auth) -> None:
        """RFC 8707: a device asks for one service at the beginning, and its tokens are for this one."""
        billing = PUBLIC_URLS["billing"]
        form = {"client_id": "television", "scope": "openid", "resource": billing}
        async with auth.client() as client:
            device = (await client.post("/device_authorization", data=form)).json()
            unknown = form | {"resource": "https://elsewhere.test"}
            refused = (await client.post("/device_authorization", data=unknown)).json()
        assert refused["error"] == "invalid_target"
        allowed = {"user_code": device["user_code"], "allowed": "true"}
        await (await auth.signed_in()).http.post("/device/decide", data=allowed)
        redeemed = {
            "grant_type": DEVICE_CODE,
            "device_code": device["device_code"],
            "client_id": "television",
        }
        tokens = (await auth.token(redeemed, None)).json()
        assert (await auth.claims(tokens["access_token"]))["aud"] == [billing]
        renewed = await auth.refresh(tokens["refresh_token"], None, client_id="television")
        assert (await auth.claims(renewed.json()["access_token"]))["aud"] == [billing]

    async def test_a_code_of_another_client(self, make_auth: MakeAuth) -> None:
        """RFC 6749, 5.2: it holds for nobody else, and their try neither slows nor ends it."""
        auth = await make_auth(clients=CLIENTS | {"radio": CLIENTS["television"]})
        async with auth.client() as client:
            begun = (await client.post("/device_authorization", data={"client_id": "television"})).json()
        form = {"grant_type": DEVICE_CODE, "device_code": begun["device_code"]}
        foreign = await auth.token(form | {"client_id": "radio"}, None)
        assert (foreign.status_code, foreign.json()["error"]) == (400, "invalid_grant")
        own = await auth.token(form | {"client_id": "television"}, None)
        assert own.json()["error"] == "authorization_pending"

    async def test_a_client_that_may_not(self, auth: Auth) -> None:
        """RFC 6749, 5.2: it is told that this grant is not for it."""
        async with auth.client() as client:
            answer = await client.post("/device_authorization", data={"client_id": "tracker"}, auth=TRACKER)
        assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")


class TestLogout:
    async def test_by_a_form_of_the_client(self, auth: Auth) -> None:
        """RP-Initiated Logout 1.0, 2: a form asks as a link does.

        Our cookie comes with the address that it leads to.
        """
        browser = await auth.signed_in()
        tokens = (await auth.redeem(await browser.authorize())).json()
        form = {
            "id_token_hint": tokens["id_token"],
            "post_logout_redirect_uri": RETURN,
            "state": "s 1",
            "more": "x",
        }
        foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://client.test"}
        async with auth.client(headers=foreign) as client:
            led = await client.post("/logout", data=form)
        assert led.status_code == 303
        assert (await browser.http.get("/profile")).status_code == 200
        left = await browser.http.get(f"{ORIGIN}{led.headers['Location']}")
        assert left.headers["Location"] == f"{RETURN}?state=s+1"
        assert (await browser.http.get("/profile")).status_code == 303

    async def test_a_foreign_form_without_proof(self, auth: Auth) -> None:
        """It signs nobody out, even with the cookie: the person is asked."""
        browser = await auth.signed_in()
        foreign = {"Sec-Fetch-Site": "cross-site"}
        led = await browser.http.post("/logout", data={"client_id": "tracker"}, headers=foreign)
        page = await browser.http.get(f"{ORIGIN}{led.headers['Location']}")
        assert page.status_code == 200
        assert (await browser.http.get("/profile")).status_code == 200


class TestDiscovery:
    async def test_it_says_what_is_there(self, auth: Auth) -> None:
        """RFC 8414, 2: proofs by key have algorithms; what is listed works."""
        async with auth.client() as client:
            told = (await client.get("/.well-known/openid-configuration")).json()
        for name in ("token", "revocation", "introspection"):
            assert "private_key_jwt" in told[f"{name}_endpoint_auth_methods_supported"]
            algorithms = told[f"{name}_endpoint_auth_signing_alg_values_supported"]
            assert sorted(algorithms) == ["ES256", "RS256"]
        assert "offline_access" in told["scopes_supported"]
        browser = await auth.signed_in()
        for mode in told["response_modes_supported"]:
            answer = await browser.ask(response_mode=mode)
            assert answer.status_code == (303 if mode == "query" else 200)
        for prompt in told["prompt_values_supported"]:
            asked = await browser.ask(prompt=prompt)
            assert "error=" not in asked.headers.get("Location", ""), prompt
        tokens = (await auth.redeem(await browser.authorize(scope="openid profile"))).json()
        claims = await auth.claims(tokens["id_token"])
        assert set(claims) - {"at_hash"} <= set(told["claims_supported"])
