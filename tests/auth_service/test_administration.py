"""What administrators see and do beside accounts: applications, signing keys, how people sign in."""

import base64
import json
import re

import httpx2
import pytest

from tests.auth_service.exchange import CALLBACK, Asked, Auth, Browser, Login, challenge_of
from tests.auth_service.test_console import console

FORM = {
    "client_id": "wiki",
    "name": "The wiki",
    "redirect_uris": "https://wiki.example.org/back\nhttps://wiki.example.org/back2",
    "grant_types": ["authorization_code", "refresh_token", "client_credentials"],
    "scopes": ["openid", "profile"],
    "confidential": "true",
}
BACK = "https://wiki.example.org/back"


def mistaken(page: httpx2.Response) -> set[str]:
    """The fields at which a form says that something is wrong."""
    return set(re.findall(r'<p class="error" id="field-(\w+)-error">', page.text))


async def added(auth: Auth, client_id: str, **changed: object) -> tuple[Browser, str]:
    """An administrator has added an application; answers its secret."""
    browser = await auth.signed_in()
    page = await browser.http.post("/clients/new", data=FORM | {"client_id": client_id} | changed)
    assert page.status_code == 200, page.text
    found = re.search(r'id="secret">([\w-]{43})<', page.text)
    assert found is not None
    return browser, found[1]


def header_of(token: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(base64.urlsafe_b64decode(token.split(".", maxsplit=1)[0] + "=="))
    return found


async def works(auth: Auth, client_id: str, secret: str) -> bool:
    answer = await auth.token({"grant_type": "client_credentials"}, httpx2.BasicAuth(client_id, secret))
    assert answer.status_code in {200, 400, 401}
    return answer.status_code == 200


class TestApplications:
    async def test_it_works(self, auth: Auth) -> None:
        """An application that was added on the page signs people in; its secret is shown once."""
        browser, secret = await added(auth, "wiki")
        page = await browser.http.get("/clients/wiki")
        assert page.status_code == 200
        assert secret not in page.text
        assert "The wiki" in (await browser.http.get("/clients")).text
        asked = await browser.authorize(client_id="wiki", redirect_uri=BACK)
        tokens = await auth.redeem(asked, httpx2.BasicAuth("wiki", secret), redirect_uri=BACK)
        assert tokens.status_code == 200, tokens.text
        assert (await auth.claims(tokens.json()["id_token"]))["aud"] == "wiki"
        stored = await auth.value("select string_agg(t::text, ' ') from oauth_clients t")
        assert secret not in stored

    async def test_a_new_secret(self, auth: Auth) -> None:
        """Old and new are taken for an hour, then only the new one."""
        browser, old = await added(auth, "rotated")
        page = await browser.http.post("/clients/rotated/secret")
        found = re.search(r'id="secret">([\w-]{43})<', page.text)
        assert found is not None
        assert await works(auth, "rotated", old)
        assert await works(auth, "rotated", found[1])
        await auth.execute("update oauth_clients set former_secret_until = now() where client_id = 'rotated'")
        auth.app.state.clients.forget()
        assert not await works(auth, "rotated", old)
        assert await works(auth, "rotated", found[1])

    async def test_off_and_on(self, auth: Auth) -> None:
        """Switched off it gets nothing, and what it held is withdrawn."""
        browser, secret = await added(auth, "switched")
        proof = httpx2.BasicAuth("switched", secret)
        asked = await browser.authorize(client_id="switched", redirect_uri=BACK)
        tokens = (await auth.redeem(asked, proof, redirect_uri=BACK)).json()
        assert (
            await browser.http.post("/clients/switched/switch", data={"disabled": "true"})
        ).status_code == 303
        assert not await works(auth, "switched", secret)
        page = await browser.ask(client_id="switched", redirect_uri=BACK)
        assert (page.status_code, "Location" in page.headers) == (400, False)
        await browser.http.post("/clients/switched/switch", data={"disabled": "false"})
        assert await works(auth, "switched", secret)
        assert (await auth.refresh(tokens["refresh_token"], proof)).json()["error"] == "invalid_grant"

    async def test_change(self, auth: Auth) -> None:
        """Addresses, grants and scopes change; id and secret stay."""
        browser, secret = await added(auth, "changed")
        changed = {"name": "Another", "redirect_uris": f"{BACK}3", "grant_types": ["authorization_code"]}
        assert (await browser.http.post("/clients/changed", data=changed)).status_code == 303
        assert not await works(auth, "changed", secret)
        page = (await browser.http.get("/clients/changed")).text
        assert f"{BACK}3" in page
        refused = await browser.http.post("/clients/changed", data=changed | {"name": " "})
        assert (refused.status_code, mistaken(refused)) == (422, {"name"})
        fields = await auth.value(
            "select details->>'fields' from audit_log where act = 'client_changed' and client_id = 'changed'"
        )
        assert "redirect_uris" in fields

    async def test_trial(self, auth: Auth) -> None:
        """The test button says what the application would get, and leaves nothing behind."""
        browser, _secret = await added(auth, "tried")
        codes = await auth.value("select count(*) from authorization_codes")
        page = (await browser.http.post("/clients/tried/test")).text
        assert page.count("works") == 2
        assert "guid" in page
        assert "eyJ" not in page, "no token is shown"
        assert await auth.value("select count(*) from authorization_codes") == codes
        settings_made = (await browser.http.post("/clients/robot/test")).text
        assert "client:robot" in settings_made
        await browser.http.post("/clients/tried/switch", data={"disabled": "true"})
        off = (await browser.http.post("/clients/tried/test")).text
        assert off.count("refused") == off.count("— The application is switched off.") == 2

    async def test_trial_of_an_application_of_others(self, auth: Auth) -> None:
        """That people are asked for their consent is said, and is no mistake; the trial gives none."""
        browser, _secret = await added(auth, "guest-tried", third_party="true")
        page = (await browser.http.post("/clients/guest-tried/test")).text
        assert (page.count("works"), "People are asked first" in page, "refused" in page) == (2, True, False)
        assert await auth.value("select count(*) from consents where client_id = 'guest-tried'") == 0

    async def test_those_of_the_settings(self, auth: Auth) -> None:
        """What AUTH_CLIENTS describes is shown and not changed."""
        browser = await auth.signed_in()
        assert "AUTH_CLIENTS" in (await browser.http.get("/clients/tracker")).text
        for path, form in (("", FORM), ("/secret", {}), ("/switch", {"disabled": "true"})):
            refused = await browser.http.post(f"/clients/tracker{path}", data=form)
            assert refused.status_code == 403, path

    @pytest.mark.parametrize(
        "changed",
        [
            {"client_id": "a b"},
            {"client_id": "tracker"},
            {"name": ""},
            {"redirect_uris": "http://wiki.example.org/back"},
            {"redirect_uris": "javascript:alert(1)"},
            {"redirect_uris": "https://wiki.example.org/#back"},
            {"redirect_uris": ""},
            {"redirect_uris": "\n".join(f"https://a.example/{n}" for n in range(21))},
            {"grant_types": []},
            {"grant_types": ["password"]},
            {"scopes": ["everything"]},
            {"confidential": ""},
            {
                "client_id": "all at once",
                "name": "",
                "redirect_uris": "not an address",
                "scopes": ["everything"],
            },
            {"without_pkce": "true", "confidential": "", "grant_types": ["authorization_code"]},
        ],
        ids=lambda changed: f"{next(iter(changed))} {str(next(iter(changed.values())))[:20]!r}",
    )
    async def test_mistakes(self, auth: Auth, changed: dict[str, object]) -> None:
        """A refused form comes back filled in, with every mistake at its field; nothing is added."""
        browser = await auth.signed_in()
        before = await auth.value("select count(*) from oauth_clients")
        refused = await browser.http.post("/clients/new", data=FORM | {"client_id": "mistaken"} | changed)
        assert refused.status_code in {409, 422}
        fields = {"confidential": {"grant_types"}, "without_pkce": {"without_pkce"}}
        assert mistaken(refused) == fields.get(next(iter(changed)), set(changed))
        assert await auth.value("select count(*) from oauth_clients") == before

    async def test_a_recent_sign_in_is_asked_for(self, auth: Auth) -> None:
        """An open browser that somebody finds shows no new secret and rotates no keys."""
        admin = await auth.person(role="admin")
        browser = await auth.signed_in(admin)
        await auth.execute(
            "update sign_on_sessions set authenticated_at = now() - interval '11 min' where account_id = :id",
            id=admin.id,
        )
        for path in ("/clients/tracker/secret", "/keys/rotate"):
            assert "/auth/sign-in?" in (await browser.http.post(path)).headers["Location"]

    async def test_others_may_not(self, auth: Auth) -> None:
        """Only administrators see and do any of this."""
        browser = await auth.signed_in(await auth.person(role="manager"))
        for path in ("/clients", "/clients/new", "/clients/tracker", "/keys", "/sign-ins"):
            assert (await browser.http.get(path)).status_code == 403, path
        for path in ("/clients/new", "/clients/tracker/secret", "/clients/tracker/test", "/keys/rotate"):
            assert (await browser.http.post(path)).status_code == 403, path

    async def test_nobody(self, auth: Auth) -> None:
        """An application that is not there is not found."""
        browser = await auth.signed_in()
        for path in ("/clients/nobody", "/clients/%00", f"/clients/{'x' * 900}"):
            assert (await browser.http.get(path)).status_code == 404


class TestWithoutPkce:
    async def allowed(self, auth: Auth, client_id: str) -> tuple[Browser, httpx2.BasicAuth]:
        browser, secret = await added(auth, client_id, without_pkce="true")
        return browser, httpx2.BasicAuth(client_id, secret)

    async def test_it_works(self, auth: Auth) -> None:
        """An application that an administrator allows it signs people in with a nonce instead."""
        browser, client = await self.allowed(auth, "old-library")
        asked = await browser.ask(
            client_id="old-library", redirect_uri=BACK, code_challenge=None, code_challenge_method=None
        )
        answer = Asked(asked.headers["Location"], "")
        tokens = await auth.redeem(answer, client, redirect_uri=BACK)
        assert tokens.status_code == 200, tokens.text
        assert (await auth.claims(tokens.json()["id_token"]))["nonce"] == "a-nonce"
        assert "does without PKCE" in (await browser.http.get("/clients/old-library")).text
        entries = await browser.http.get("/audit?act=client_created")
        assert "without_pkce" in entries.text

    @pytest.mark.parametrize(
        "changed",
        [
            pytest.param({"nonce": None}, id="no nonce"),
            pytest.param({"scope": "profile"}, id="no ID token"),
            pytest.param({"code_challenge_method": "S256"}, id="half of it"),
            pytest.param({"client_id": "tracker", "redirect_uri": CALLBACK}, id="another client"),
        ],
    )
    async def test_refused(self, auth: Auth, changed: dict[str, str | None]) -> None:
        """Without a nonce that the client can compare, and for anybody else, there is no code."""
        if not await auth.value("select count(*) from oauth_clients where client_id = 'strict-library'"):
            await self.allowed(auth, "strict-library")
        browser = await auth.signed_in()
        usual = {"client_id": "strict-library", "redirect_uri": BACK, "code_challenge_method": None}
        asked = await browser.ask(**{"code_challenge": None} | usual | changed)
        assert Asked(asked.headers["Location"], "").answer["error"] == "invalid_request"

    async def test_nothing_is_left_out(self, auth: Auth) -> None:
        """The address has to be repeated; a verifier that nobody announced is refused; a challenge counts."""
        browser, client = await self.allowed(auth, "careful-library")

        async def asked(**further: str | None) -> Asked:
            usual: dict[str, str | None] = {"code_challenge": None, "code_challenge_method": None}
            answer = await browser.ask(
                **{"client_id": "careful-library", "redirect_uri": BACK} | usual | further
            )
            return Asked(answer.headers["Location"], "")

        assert (await auth.redeem(await asked(), client, redirect_uri="")).status_code == 400
        verified = await auth.redeem(await asked(), client, redirect_uri=BACK, code_verifier="v" * 43)
        assert verified.status_code == 400
        challenged = await asked(code_challenge=challenge_of("v" * 43), code_challenge_method="S256")
        assert (await auth.redeem(challenged, client, redirect_uri=BACK)).status_code == 400

    async def test_not_without_a_secret(self, auth: Auth) -> None:
        """Whoever catches the code of a public client could redeem it."""
        browser = await auth.signed_in()
        form = FORM | {"client_id": "open", "confidential": "", "without_pkce": "true"}
        page = await browser.http.post("/clients/new", data=form | {"grant_types": ["authorization_code"]})
        assert page.status_code == 422
        assert "keeps a secret" in page.text


class TestAlgorithms:
    async def test_chosen(self, auth: Auth) -> None:
        """ID tokens of a client are signed by the algorithm an administrator chose; hints in it are read."""
        browser, secret = await added(auth, "es256", id_token_alg="ES256")
        asked = await browser.authorize(client_id="es256", redirect_uri=BACK)
        answer = await auth.redeem(asked, httpx2.BasicAuth("es256", secret), redirect_uri=BACK)
        token = answer.json()["id_token"]
        assert header_of(token)["alg"] == "ES256"
        again = await browser.authorize(client_id="es256", redirect_uri=BACK, id_token_hint=token)
        assert "code" in again.answer
        # An access token has the same algorithm and is still no hint.
        access = answer.json()["access_token"]
        refused = await browser.authorize(client_id="es256", redirect_uri=BACK, id_token_hint=access)
        assert refused.answer["error"] == "invalid_request"

    async def test_unknown(self, auth: Auth) -> None:
        browser = await auth.signed_in()
        form = FORM | {"client_id": "es999", "id_token_alg": "none"}
        assert (await browser.http.post("/clients/new", data=form)).status_code == 422


class TestKeys:
    async def test_rotation(self, own_auth: Auth) -> None:
        """The page shows which keys sign and lets the next ones take over; tokens go on to hold."""
        browser = await own_auth.signed_in()
        page = (await browser.http.get("/keys")).text
        assert page.count("waits for its turn") == 2
        before = (await own_auth.tokens())["access_token"]
        assert (await browser.http.post("/keys/rotate")).status_code == 303
        assert (await browser.http.get("/keys")).text.count("takes over soon") == 2
        assert (await own_auth.introspected(before))["active"]
        actor = await own_auth.value("select count(actor_id) from audit_log where act = 'keys_rotated'")
        assert actor == 2


class TestStatistics:
    async def test_counts(self, own_auth: Auth) -> None:
        """Good and failed sign-ins of today, with the reasons; a table stands behind the picture."""
        browser = await own_auth.signed_in()
        for _ in range(3):
            await own_auth.browser().sign_in(Login("nobody-here"))
        page = (await browser.http.get("/sign-ins")).text
        assert "<svg" in page
        assert "unknown login" in page
        assert re.search(r'<td class="figure" data-label="Tries">3</td>', page)

    async def test_days_of_the_business_zone(self, own_auth: Auth) -> None:
        """What happened before the thirty days is not counted."""
        browser = await own_auth.signed_in()
        await own_auth.execute(
            "insert into audit_log (id, at, act, details)"
            " select gen_random_uuid(), now() - interval '31 days', 'signed_in', '{}'"
            " from generate_series(1, 77)"
        )
        assert ">77<" not in (await browser.http.get("/sign-ins")).text


class TestCommandLine:
    async def test_create_client(self, auth: Auth) -> None:
        """The command prints the secret, once; a mistake is one sentence and exit code 1."""
        made = await console(auth, "create-client", "by-hand", "--redirect-uri", BACK)
        assert made.exit_code == 0, made.stderr
        assert re.fullmatch(r"[\w-]{43}\n", made.stdout)
        again = await console(auth, "create-client", "by-hand", "--redirect-uri", BACK)
        assert (again.exit_code, again.stderr.strip()) == (1, "Another application has this id.")
        wrong = await console(auth, "create-client", "By Hand", "--redirect-uri", "nowhere")
        assert (wrong.exit_code, wrong.stderr.count("\n")) == (1, 2)
        assert "redirect_uris: nowhere is no address that fits" in wrong.stderr

    async def test_change_client(self, auth: Auth) -> None:
        """PKCE is lifted and asked for again at the command line, and the audit log tells of both."""
        await added(auth, "by-command")
        nothing = await console(auth, "change-client", "by-command")
        assert (nothing.exit_code, "Say what to change" in nothing.stderr) == (2, True)
        for option, expected in (("--without-pkce", True), ("--with-pkce", False)):
            changed = await console(auth, "change-client", "by-command", option, "--id-token-alg", "ES256")
            assert changed.exit_code == 0, changed.stderr
            row = "select without_pkce from oauth_clients where client_id = 'by-command'"
            assert await auth.value(row) is expected
        told = "select count(*) from audit_log where act = 'client_changed' and client_id = 'by-command'"
        assert await auth.value(told) == 2
        kept = await console(auth, "change-client", "tracker", "--without-pkce")
        assert kept.exit_code != 0
        assert "AUTH_CLIENTS" in kept.stderr

    async def test_audit(self, auth: Auth) -> None:
        """Each line is an object, the latest first."""
        person = await auth.person()
        await auth.browser().sign_in(Login(person.login, "wrong"))
        printed = await console(auth, "audit", "--login", person.login, "--limit", "2")
        lines = printed.stdout.splitlines()
        assert len(lines) == 2
        assert '"act": "sign_in_failed"' in lines[0]
        assert "wrong password" in lines[0]
