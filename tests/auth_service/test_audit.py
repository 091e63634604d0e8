"""The audit log as administrators read it, and what they do about an account."""

import csv

from tests.auth_service.exchange import Auth, Login


class TestLog:
    async def test_who_did_what(self, auth: Auth) -> None:
        """Sign-ins, failures and an admin's acts stand there, found by login and by act."""
        person = await auth.person()
        await auth.signed_in(person)
        await auth.browser().sign_in(Login(person.login, "wrong"))
        await auth.change(person, role="manager")
        admin = await auth.signed_in()
        page = (await admin.http.get("/audit", params={"login": person.login})).text
        for words in ("Account created", "Signed in", "Sign-in failed", "Role changed"):
            assert f">{words}</td>" in page
        admin.http.headers["Accept-Language"] = "ru"
        page = (await admin.http.get("/audit", params={"login": person.login})).text
        for words in ("чем: пароль", "почему: неверный пароль", "было: Исполнитель; стало: Менеджер"):
            assert f">{words}</td>" in page
        admin.http.headers["Accept-Language"] = "en"
        only = (await admin.http.get("/audit", params={"login": person.login, "act": "role_changed"})).text
        assert ">Role changed</td>" in only
        assert ">Signed in</td>" not in only

    async def test_it_goes_on(self, auth: Auth) -> None:
        """A long log comes in parts, each entry once, the latest first."""
        admin = await auth.signed_in()
        for _ in range(4):
            await auth.browser().sign_in(Login("nobody-there", "wrong"))
        first = (await admin.http.get("/audit", params={"limit": 2})).text
        assert first.count("<tr>") - 1 == 2
        assert "cursor=" in first

    async def test_export(self, auth: Auth) -> None:
        """The same as CSV, for whoever keeps logs elsewhere."""
        person = await auth.person()
        admin = await auth.signed_in()
        response = await admin.http.get("/audit.csv", params={"login": person.login})
        assert response.headers["Content-Type"].startswith("text/csv")
        (entry,) = csv.DictReader(response.text.splitlines())
        assert (entry["act"], entry["account"]) == ("account_created", person.id)

    async def test_from_where(self, auth: Auth) -> None:
        """Of every act that somebody asked for, an administrator's too, the log says from which address."""
        person = await auth.person()
        await (await auth.signed_in(person)).http.post("/logout")
        await auth.change(person, role="manager")
        await auth.change(person, blocked=True)
        admin = await auth.signed_in()
        exported = await admin.http.get("/audit.csv", params={"login": person.login})
        told = {entry["act"]: entry["address"] for entry in csv.DictReader(exported.text.splitlines())}
        assert told == dict.fromkeys(
            ("account_created", "signed_in", "session_ended", "role_changed", "account_blocked"), "127.0.0.1"
        )

    async def test_days(self, auth: Auth) -> None:
        """Found by days of the business zone, both included; an unreadable day is told."""
        person = await auth.person()
        # Half an hour after midnight in Moscow, which is the day before elsewhere.
        entry = (
            "insert into audit_log (id, at, act, account_id, details)"
            " values (gen_random_uuid(), '2026-05-04 21:30+00', 'account_updated', :id, '{}')"
        )
        await auth.execute(entry, id=person.id)
        admin = await auth.signed_in()

        async def found(**days: str) -> bool:
            asked = {"login": person.login, "act": "account_updated"} | days
            page = await admin.http.get("/audit", params=asked)
            exported = await admin.http.get("/audit.csv", params=asked)
            assert (page.status_code, exported.status_code) == (200, 200)
            assert (person.id in exported.text) is (">Account changed</td>" in page.text)
            return person.id in exported.text

        assert await found(since="2026-05-05", until="2026-05-05")
        assert not await found(until="2026-05-04")
        assert not await found(since="2026-05-06")
        for day in ("yesterday", "9999-12-31", "2026-13-01"):
            page = await admin.http.get("/audit", params={"until": day, "login": person.login})
            assert page.status_code == 200
            assert 'id="field-until-error">Write the day like' in page.text
            assert f'value="{day}"' in page.text
            assert (await admin.http.get("/audit.csv", params={"until": day})).status_code == 422

    async def test_for_admins_alone(self, auth: Auth) -> None:
        """Nobody else reads it, and odd questions find nothing."""
        browser = await auth.signed_in(await auth.person("manager"))
        for path in ("/audit", "/audit.csv"):
            assert (await browser.http.get(path)).status_code == 403
        admin = await auth.signed_in()
        odd = await admin.http.get("/audit", params={"login": "x\x00y", "act": "no such act"})
        assert odd.status_code == 200
        assert (await admin.http.get("/audit", params={"cursor": "nonsense"})).status_code == 422


class TestHelp:
    async def test_ending_sessions(self, auth: Auth) -> None:
        """An administrator ends all sessions of somebody, and the log says who did."""
        person = await auth.person()
        theirs = await auth.signed_in(person)
        admin = await auth.signed_in()
        assert "/sessions/end" in (await admin.http.get(f"/accounts/{person.id}")).text
        assert (await admin.http.post(f"/accounts/{person.id}/sessions/end")).status_code == 303
        assert (await theirs.http.get("/profile")).status_code == 303
        told = await auth.value(
            "select count(*) from audit_log where act = 'session_ended' and account_id = :id"
            " and actor_id is not null",
            id=person.id,
        )
        assert told == 1

    async def test_a_lost_phone(self, auth: Auth) -> None:
        """An administrator removes the app of somebody who lost it; a worker cannot."""
        person = await auth.person()
        await auth.execute(
            "insert into totp_factors values (:id, 'x', now(), now(), 0)",
            id=person.id,
        )
        path = f"/accounts/{person.id}/factors/remove"
        assert (await (await auth.signed_in(await auth.person())).http.post(path)).status_code == 403
        admin = await auth.signed_in()
        assert path in (await admin.http.get(f"/accounts/{person.id}")).text
        assert (await admin.http.post(path)).status_code == 303
        assert (await auth.browser().sign_in(person)).headers["Location"] == "/auth/begin"
