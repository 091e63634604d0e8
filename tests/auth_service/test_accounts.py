"""Accounts: the API and pages of administrators, names for other services, and the facts said."""

import pytest

from tests.auth_service.exchange import Auth


class TestApi:
    async def test_create_and_find(self, auth: Auth) -> None:
        """A created account is found by login, and said with role but without name."""
        person = await auth.person(role="accountant", email="Anna.Lee@Example.org")
        async with await auth.api() as api:
            found = (await api.get("/api/v1/accounts", params={"search": person.login})).json()
            one = (await api.get(f"/api/v1/accounts/{person.id}")).json()
        assert [item["id"] for item in found["items"]] == [person.id]
        assert one["email"] == "anna.lee@example.org"
        assert "password_hash" not in one
        created = next(fact for fact in await auth.service.said() if fact["key"] == person.id)
        assert created["name"] == "AccountCreated"
        assert created["data"]["role"] == "accountant"
        assert created["data"]["active"] is True

    async def test_role_and_block(self, auth: Auth) -> None:
        """Each change is said once, in order; repeating it says nothing."""
        person = await auth.person()
        for changes in ({"role": "manager"}, {"role": "manager"}, {"blocked": True}, {"blocked": False}):
            assert (await auth.change(person, **changes)).status_code == 200
        said = [(f["name"], f["data"]) for f in await auth.service.said() if f["key"] == person.id][2:]
        assert [name for name, _ in said] == ["AccountRoleChanged", "AccountBlocked", "AccountBlocked"]
        assert [data.get("blocked") for _, data in said] == [None, True, False]

    async def test_concurrent_edits(self, auth: Auth) -> None:
        """An edit of an outdated version is refused."""
        person = await auth.person()
        assert (await auth.change(person, name="First", version=1)).status_code == 200
        late = await auth.change(person, name="Second", version=1)
        assert (late.status_code, late.json()["code"]) == (409, "edited_meanwhile")

    async def test_not_oneself(self, auth: Auth) -> None:
        """An administrator neither blocks nor demotes the own account."""
        async with await auth.api() as api:
            me = (await api.get("/api/v1/accounts", params={"search": "admin"})).json()["items"][0]
            for changes in ({"blocked": True}, {"role": "worker"}):
                response = await api.patch(f"/api/v1/accounts/{me['id']}", json=changes)
                assert (response.status_code, response.json()["code"]) == (403, "own_account")

    @pytest.mark.parametrize(
        ("account", "code"),
        [
            ({"login": "a b"}, "malformed_account"),
            ({"name": ""}, "invalid"),
            ({"role": "king"}, "invalid"),
            ({"email": "no-address"}, "malformed_account"),
            ({"locale": "xx"}, "malformed_account"),
            ({"time_zone": "Mars/Base"}, "malformed_account"),
            ({"password": "short"}, "weak_password"),
            ({"login": "ADMIN"}, "login_taken"),
            ({"more": 1}, "invalid"),
            ({"name": "x" * 10_001}, "invalid"),
        ],
    )
    async def test_bad_input(self, auth: Auth, account: dict[str, object], code: str) -> None:
        """A clear problem, and nothing is created."""
        before = await auth.value("select count(*) from accounts")
        usual = {"login": "somebody-new", "name": "x", "role": "worker"}
        async with await auth.api() as api:
            response = await api.post("/api/v1/accounts", json=usual | account)
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == code
        assert await auth.value("select count(*) from accounts") == before

    @pytest.mark.parametrize("role", ["worker", "manager", "accountant", "client"])
    async def test_others_may_not(self, auth: Auth, role: str) -> None:
        """Only administrators see and change accounts."""
        async with await auth.api(await auth.person(role=role)) as api:
            for response in (
                await api.get("/api/v1/accounts"),
                await api.post("/api/v1/accounts", json={"login": "x", "name": "x", "role": "admin"}),
            ):
                assert response.status_code == 403

    async def test_nobody_may_not(self, auth: Auth) -> None:
        """Without a token there is a challenge."""
        async with auth.client() as client:
            response = await client.get("/api/v1/accounts")
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"

    async def test_cookie_needs_the_header(self, auth: Auth) -> None:
        """With the cookie of the pages, a call has to carry the header no foreign form can send."""
        browser = await auth.signed_in()
        assert (await browser.http.get("/api/v1/accounts")).status_code == 403
        headers = {"X-Requested-With": "fetch"}
        assert (await browser.http.get("/api/v1/accounts", headers=headers)).status_code == 200

    async def test_pages_of_a_list(self, auth: Auth) -> None:
        """The cursor leads through all accounts without gap or repetition."""
        for _ in range(3):
            await auth.person()
        seen: list[str] = []
        cursor: str | None = ""
        async with await auth.api() as api:
            while cursor is not None:
                page = (await api.get("/api/v1/accounts", params={"limit": 2, "cursor": cursor})).json()
                seen += [item["login"] for item in page["items"]]
                cursor = page["next"]
        assert seen == sorted(set(seen))
        assert len(seen) == await auth.value("select count(*) from accounts")


class TestPages:
    async def test_create_change_block(self, auth: Auth) -> None:
        """What the API does, the pages do, without scripts."""
        browser = await auth.signed_in()
        form = {"login": "made-by-page", "name": "Мария", "role": "worker", "locale": "ru"}
        created = await browser.http.post("/accounts/new", data=form)
        page = created.headers["Location"].removeprefix("/auth")
        assert "Мария" in (await browser.http.get(page)).text
        changed = await browser.http.post(f"{page}/role", data={"role": "manager", "version": 1})
        assert changed.status_code == 303
        outdated = await browser.http.post(f"{page}/block", data={"blocked": "true", "version": 1})
        assert (outdated.status_code, "Somebody else changed this account" in outdated.text) == (409, True)
        assert '<option value="manager" selected>' in outdated.text, "the page shows how it is now"
        blocked = await browser.http.post(f"{page}/block", data={"blocked": "true", "version": 2})
        assert blocked.status_code == 303
        assert await auth.value("select blocked from accounts where login = 'made-by-page'")

    async def test_a_mistyped_address(self, auth: Auth) -> None:
        """It is mended where the account is looked at; one that another has comes back with the reason."""
        person, another = await auth.person(), await auth.person(email="taken@example.org")
        browser = await auth.signed_in()
        page = f"/accounts/{person.id}"
        form = {"name": "A new name", "email": "Right@example.org", "version": "1"}
        assert (await browser.http.post(f"{page}/about", data=form)).status_code == 303
        shown = (await browser.http.get(page)).text
        assert 'value="A new name"' in shown
        assert 'value="right@example.org"' in shown
        taken = {"name": "Newer", "email": "taken@example.org", "version": "2"}
        for refused, status in ((taken, 409), (taken | {"email": "x"}, 422), (form, 409)):
            answer = await browser.http.post(f"{page}/about", data=refused)
            assert answer.status_code == status
            assert f'value="{refused["email"]}"' in answer.text
        stranger = await auth.signed_in(another)
        assert (await stranger.http.post(f"{page}/about", data=form)).status_code == 403

    async def test_mistakes_keep_what_was_typed(self, auth: Auth) -> None:
        """A refused form comes back filled in, with the reason."""
        browser = await auth.signed_in()
        response = await browser.http.post("/accounts/new", data={"login": "admin", "name": "Тот же"})
        assert response.status_code == 409
        assert "Тот же" in response.text

    async def test_roles(self, auth: Auth) -> None:
        """The start page shows each role its own places, and a sign-in leads straight to the first."""
        for role, sees, begins in (
            ("worker", "/billing/", "/tracker/"),
            ("manager", "/tracker/all", "/tracker/all"),
            ("accountant", "/billing/today", "/billing/today"),
        ):
            browser = await auth.signed_in(await auth.person(role=role))
            home = await browser.http.get("/")
            assert f'href="https://exchange.test{sees}"' in home.text
            assert 'class="door" href="https://exchange.test/auth/accounts"' not in home.text
            assert (await browser.http.get("/accounts")).status_code == 403
            assert (await browser.http.get("/begin")).headers["Location"] == f"https://exchange.test{begins}"
        assert "/auth/sign-in" in (await auth.browser().http.get("/")).text
        for browser in (auth.browser(), await auth.signed_in(await auth.person(role="client"))):
            assert (await browser.http.get("/begin")).headers["Location"] == "https://exchange.test/auth/"

    async def test_the_first_administrator_is_led_to_the_first_worker(self, own_auth: Auth) -> None:
        """Without anybody who could get a task nothing else in the exchange goes on."""
        browser = await own_auth.signed_in()
        await own_auth.change(await own_auth.person(role="worker"), blocked=True)
        assert "Nobody can get a task yet" in (await browser.http.get("/")).text
        await own_auth.person(role="accountant")
        assert "Nobody can get a task yet" not in (await browser.http.get("/")).text


class TestPeople:
    async def test_names(self, auth: Auth) -> None:
        """An employee's browser learns the names behind ids; unknown ids are left out."""
        person = await auth.person(name="Анна Ли")
        browser = await auth.signed_in(person)
        nobody = "019a0000-0000-7000-8000-0000000000a1"
        response = await browser.http.get("/people", params={"ids": f"{person.id},{nobody}"})
        assert response.json() == {person.id: "Анна Ли"}

    async def test_not_for_clients_and_strangers(self, auth: Auth) -> None:
        """Names are for employees; other sites' scripts cannot read them."""
        client = await auth.signed_in(await auth.person(role="client"))
        assert (await client.http.get("/people", params={"ids": ""})).status_code == 403
        async with auth.client() as stranger:
            assert (await stranger.get("/people", params={"ids": ""})).status_code == 401
        browser = await auth.signed_in()
        foreign = await browser.http.get("/people", headers={"Origin": "https://evil.test"})
        assert "Access-Control-Allow-Origin" not in foreign.headers

    async def test_bad_ids(self, auth: Auth) -> None:
        """Ids are ids."""
        browser = await auth.signed_in()
        assert (await browser.http.get("/people", params={"ids": "1,2"})).status_code == 400
        assert (await browser.http.get("/people", params={"ids": "x" * 10_000})).status_code == 422
