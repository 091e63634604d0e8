"""Letters with links: a forgotten password, an invitation, and the queue of those who ask for an account."""

import asyncio
import re
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from auth_service.commands.letters import finish_letters, hand_over_letters
from auth_service.worker import LETTER_MODE
from service_kit.letters import post_of
from tests.auth_service.conftest import MakeAuth
from tests.auth_service.exchange import ADMIN, PASSWORD, Auth, Browser, Login

NEW = "a-password-chosen-anew"
APPLICATION = {"name": "Анна Ли", "login": "anna.lee", "email": "Anna.Lee@example.org", "about": "From Jira"}

pytestmark = pytest.mark.usefixtures("patient_auth")


def folder(auth: Auth) -> Path:
    assert auth.settings.letters_folder is not None
    return auth.settings.letters_folder


async def finish(auth: Auth) -> None:
    async with auth.service.transaction() as session:
        await finish_letters(session)


async def hand_over(auth: Auth) -> None:
    async with auth.service.transaction() as session:
        await hand_over_letters(session, post_of(None, folder(auth), mode=LETTER_MODE))


async def letters(auth: Auth) -> list[EmailMessage]:
    """Do as the worker does with what is queued; answers all letters there are, in order."""
    await finish(auth)
    await hand_over(auth)
    files = sorted(folder(auth).glob("*/*.eml"), key=lambda file: file.name)
    return [message_from_bytes(file.read_bytes(), policy=default) for file in files]


async def letters_to(auth: Auth, address: str) -> list[str]:
    return [letter.get_content() for letter in await letters(auth) if letter["To"] == address]


def link_in(letter: str) -> str:
    """The way behind the issuer of the one link in a letter."""
    (found,) = re.findall(r"https://exchange\.test/auth(/new-password\?link=\S+)", letter)
    return str(found)


async def with_mail(auth: Auth, **further: str) -> tuple[Login, str]:
    person = await auth.person(**further)
    address = f"{person.login}@example.org"
    await auth.change(person, email=address)
    return person, address


async def forgot(auth: Auth, name: str) -> httpx2.Response:
    return await auth.browser().http.post("/forgotten", data={"name": name})


async def followed(auth: Auth, letter: str) -> Browser:
    """A browser that has opened the link of a letter."""
    browser = auth.browser()
    opened = await browser.http.get(link_in(letter))
    assert urlsplit(opened.headers["Location"]).query == "", "the secret has left the address"
    return browser


async def choose(browser: Browser, password: str = NEW) -> httpx2.Response:
    return await browser.http.post("/new-password", data={"new": password})


async def verified(auth: Auth, person: Login) -> bool:
    """What an application is told of the address."""
    browser = await auth.signed_in(person)
    tokens = (await auth.redeem(await browser.authorize(scope="openid email"))).json()
    told: bool = (await auth.claims(tokens["id_token"]))["email_verified"]
    return told


class TestForgottenPassword:
    @pytest.mark.parametrize("by", ["login", "address"])
    async def test_it_works(self, auth: Auth, by: str) -> None:
        """A letter, its link, a new password: the old one is worth nothing and every session has ended."""
        person, address = await with_mail(auth)
        elsewhere = await auth.signed_in(person)
        tokens = (await auth.redeem(await elsewhere.authorize())).json()
        assert (await forgot(auth, person.login if by == "login" else address.upper())).status_code == 200
        (letter,) = await letters_to(auth, address)
        browser = await followed(auth, letter)
        assert person.login in (await browser.http.get("/new-password")).text
        done = await choose(browser)
        assert (done.status_code, urlsplit(done.headers["Location"]).path) == (303, "/auth/sign-in")
        assert (await browser.http.get("/profile")).status_code == 303, "a link signs nobody in"
        assert (await elsewhere.http.get("/profile")).status_code == 303
        assert (await auth.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
        assert (await auth.browser().sign_in(person)).status_code == 401
        assert (await auth.browser().sign_in(Login(person.login, NEW))).status_code == 303
        assert "was just changed" in (await letters_to(auth, address))[-1]

    async def test_good_once(self, auth: Auth) -> None:
        """Two uses at the same time set one password; afterwards the link and its siblings are dead."""
        person, address = await with_mail(auth)
        for _ in range(2):
            await forgot(auth, person.login)
        first, second = await letters_to(auth, address)
        browsers = [await followed(auth, first), await followed(auth, first), await followed(auth, second)]
        answers = await asyncio.gather(*(choose(browser) for browser in browsers[:2]))
        assert sorted(answer.status_code for answer in answers) == [303, 422]
        for browser in (await followed(auth, first), browsers[2]):
            assert (await browser.http.get("/new-password")).status_code == 422
            assert (await choose(browser)).status_code == 422

    async def test_half_an_hour(self, auth: Auth) -> None:
        """A letter that lay about leads nowhere."""
        person, address = await with_mail(auth)
        await forgot(auth, person.login)
        browser = await followed(auth, (await letters_to(auth, address))[0])
        left = "select extract(epoch from expires_at - now()) from password_links where account_id = :id"
        assert 1700 < await auth.value(left, id=person.id) <= 1800
        await auth.execute(
            "update password_links set expires_at = now() where account_id = :id", id=person.id
        )
        assert "too old" in (await choose(browser)).text
        assert (await auth.browser().sign_in(person)).status_code == 303

    async def test_weak_password_keeps_the_link(self, auth: Auth) -> None:
        """A refused password may be chosen again."""
        person, address = await with_mail(auth)
        await forgot(auth, person.login)
        browser = await followed(auth, (await letters_to(auth, address))[0])
        assert (await choose(browser, "short")).status_code == 422
        assert (await choose(browser)).status_code == 303

    async def test_strangers_learn_nothing(self, auth: Auth) -> None:
        """Known, unknown, blocked, without an address: the same answer and the same row for all of them."""
        person, address = await with_mail(auth)
        blocked, blocked_address = await with_mail(auth)
        await auth.change(blocked, blocked=True)
        queued = "select count(*) from letters"
        before = await auth.value(queued)
        names = [person.login, "nobody-is-called-so", blocked.login, "admin", "x" * 900, "a\x00b"]
        answers = [await forgot(auth, name) for name in names]
        assert {answer.status_code for answer in answers} == {200}
        assert len({re.sub(r'nonce="[^"]+"|Nonce":"[^"]+"', "", answer.text) for answer in answers}) == 1
        assert await auth.value(queued) == before + len(names)
        assert len(await letters_to(auth, address)) == 1
        assert await letters_to(auth, blocked_address) == []
        assert await auth.value(queued) == 0

    async def test_a_letter_box_is_not_flooded(self, own_auth: Auth) -> None:
        """However often strangers ask, three letters come; then it takes a wait."""
        person, address = await with_mail(own_auth)
        for _ in range(6):
            assert (await forgot(own_auth, person.login)).status_code == 200
        assert len(await letters_to(own_auth, address)) == 3

    async def test_a_block_and_a_change_end_it(self, auth: Auth) -> None:
        """A link of before a block, or of before a change of the password, is dead."""
        person, address = await with_mail(auth)
        await forgot(auth, person.login)
        browser = await followed(auth, (await letters_to(auth, address))[0])
        own = await auth.signed_in(person)
        changed = {"present": PASSWORD, "new": "another-good-password"}
        assert (await own.http.post("/profile/password", data=changed)).status_code == 303
        assert (await choose(browser)).status_code == 422
        await forgot(auth, person.login)
        browser = await followed(auth, (await letters_to(auth, address))[-1])
        await auth.change(person, blocked=True)
        assert (await choose(browser)).status_code == 422

    async def test_another_address_ends_it(self, auth: Auth) -> None:
        """A letter that went to a former address, or to a mistyped one, opens nothing."""
        person, address = await with_mail(auth)
        await forgot(auth, person.login)
        browser = await followed(auth, (await letters_to(auth, address))[0])
        await auth.change(person, email=f"right.{address}")
        assert (await choose(browser)).status_code == 422
        assert (await auth.browser().sign_in(person)).status_code == 303

    async def test_it_proves_the_address(self, auth: Auth) -> None:
        """OpenID Connect Core, 5.1: an e-mail address is verified when a letter to it was answered."""
        person, address = await with_mail(auth)
        assert not await verified(auth, person)
        await forgot(auth, person.login)
        await choose(await followed(auth, (await letters_to(auth, address))[0]))
        person = Login(person.login, NEW, person.id)
        assert await verified(auth, person)
        await auth.change(person, email=f"another.{address}")
        assert not await verified(auth, person)

    async def test_it_opens_a_lock(self, own_auth: Auth) -> None:
        """Whoever was locked out by somebody's guesses gets in with the new password."""
        person, address = await with_mail(own_auth)
        for _ in range(11):
            await own_auth.browser().sign_in(Login(person.login, "wrong"))
        assert (await own_auth.browser().sign_in(person)).status_code == 401
        await forgot(own_auth, person.login)
        assert (
            await choose(await followed(own_auth, (await letters_to(own_auth, address))[0]))
        ).status_code == 303
        assert (await own_auth.browser().sign_in(Login(person.login, NEW))).status_code == 303

    async def test_nothing_readable_is_stored(self, auth: Auth) -> None:
        """Neither the link nor the address stands in the database outside of the account."""
        person, address = await with_mail(auth)
        await forgot(auth, person.login)
        for table in ("letters", "password_links", "audit_log"):
            stored = await auth.value(f"select coalesce(string_agg(t::text, ' '), '') from {table} t")  # noqa: S608
            assert address not in stored
        (letter,) = await letters_to(auth, address)
        secret = link_in(letter).partition("=")[2]
        for table in ("letters", "password_links", "audit_log"):
            stored = await auth.value(f"select coalesce(string_agg(t::text, ' '), '') from {table} t")  # noqa: S608
            assert secret not in stored
            assert secret.encode().hex() not in stored

    async def test_forged_links(self, auth: Auth) -> None:
        """What we did not write leads nowhere."""
        for link in ("x", "x" * 43, "x" * 999, "%00", "ключ"):
            browser = auth.browser()
            await browser.http.get(f"/new-password?link={link}")
            assert (await choose(browser)).status_code == 422
        assert (await auth.browser().http.get("/new-password")).status_code == 422


class TestLetters:
    async def test_language_and_form(self, auth: Auth) -> None:
        """A letter speaks the language its reader chose; the link stands on a line of its own, whole."""
        _person, address = await with_mail(auth, locale="ru", name="Мария")
        await forgot(auth, address)
        (letter,) = [one for one in await letters(auth) if one["To"] == address]
        assert letter["Subject"] == "Новый пароль для биржи задач"
        assert letter["From"] == auth.settings.letters_from
        assert letter["Auto-Submitted"] == "auto-generated"
        lines = letter.get_content().splitlines()
        assert lines[0] == "Здравствуйте, Мария!"
        assert [line for line in lines if "link=" in line] == [
            line for line in lines if re.fullmatch(r"https://\S+link=[\w-]{43}", line)
        ]

    async def test_only_the_mail_system_reads_them(self, auth: Auth) -> None:
        """Whoever else is on the machine reads no letter."""
        person, _address = await with_mail(auth)
        await forgot(auth, person.login)
        await letters(auth)
        modes = {file.stat().st_mode & 0o777 for file in folder(auth).glob("*/*.eml")}
        assert modes == {0o640}

    async def test_written_twice_is_one_letter(self, own_auth: Auth) -> None:
        """A worker that ended between file and commit writes the same letter again, with the same link."""
        person, address = await with_mail(own_auth)
        await forgot(own_auth, person.login)

        class Ended(Exception):
            """The process ends here."""

        await finish(own_auth)
        with pytest.raises(Ended):
            async with own_auth.service.transaction() as session:
                await hand_over_letters(session, post_of(None, folder(own_auth)))
                raise Ended
        (first,) = [file.read_bytes() for file in folder(own_auth).glob("*/*.eml")]
        (letter,) = await letters_to(own_auth, address)
        assert [file.read_bytes() for file in folder(own_auth).glob("*/*.eml")] == [first]
        assert (await choose(await followed(own_auth, letter))).status_code == 303


class TestInvitations:
    async def test_with_the_account(self, auth: Auth) -> None:
        """An admin makes an account and its person chooses the password."""
        browser = await auth.signed_in()
        form = {
            "login": "invited",
            "name": "Maria",
            "role": "manager",
            "email": "m@example.org",
            "invite": "true",
        }
        created = await browser.http.post("/accounts/new", data=form)
        assert created.status_code == 303
        (letter,) = await letters_to(auth, "m@example.org")
        assert "invited" in letter
        assert (await choose(await followed(auth, letter))).status_code == 303
        assert (await auth.browser().sign_in(Login("invited", NEW))).status_code == 303

    async def test_without_an_address(self, auth: Auth) -> None:
        """Nobody is invited nowhere, and no account is left behind."""
        browser = await auth.signed_in()
        form = {"login": "uninvited", "name": "Maria", "role": "manager", "invite": "true"}
        refused = await browser.http.post("/accounts/new", data=form)
        assert (refused.status_code, "Maria" in refused.text) == (422, True)
        several = await browser.http.post("/accounts/new", data=form | {"login": "a b", "password": "short"})
        assert re.findall(r'id="field-(\w+)-error"', several.text) == ["login", "email", "password"]
        assert await auth.value("select count(*) from accounts where login = 'uninvited'") == 0

    async def test_afterwards(self, auth: Auth) -> None:
        """The page of an account offers to send the link; without an address it says why not."""
        person, address = await with_mail(auth)
        browser = await auth.signed_in()
        assert (
            f"/accounts/{person.id}/password-link" in (await browser.http.get(f"/accounts/{person.id}")).text
        )
        assert (await browser.http.post(f"/accounts/{person.id}/password-link")).status_code == 303
        (letter,) = await letters_to(auth, address)
        assert "holds until" in (await browser.http.get(f"/accounts/{person.id}")).text
        mute = await auth.person()
        assert (await browser.http.post(f"/accounts/{mute.id}/password-link")).status_code == 409
        worker = await auth.signed_in(person)
        assert (await worker.http.post(f"/accounts/{mute.id}/password-link")).status_code == 403
        assert (await choose(await followed(auth, letter))).status_code == 303
        assert "holds until" not in (await browser.http.get(f"/accounts/{person.id}")).text


async def apply(auth: Auth, **changed: str) -> httpx2.Response:
    return await auth.browser().http.post("/join", data=APPLICATION | changed)


async def waiting(auth: Auth) -> str:
    found = await auth.value("select id from applications where decided_at is null order by id desc limit 1")
    return str(found)


class TestApplications:
    async def test_approve(self, make_auth: MakeAuth) -> None:
        """Ask, wait, be approved in a role, choose a password, sign in."""
        auth = await make_auth(registration=True)
        assert "/auth/join" in (await auth.browser().http.get("/sign-in")).text
        sent = await apply(auth)
        assert (sent.status_code, "Anna.Lee@example.org" in sent.text) == (200, True)
        assert "looks at your request" in (await letters_to(auth, "anna.lee@example.org"))[0]
        admin = await auth.signed_in()
        assert 'class="count">1<' in (await admin.http.get("/accounts")).text
        assert await waiting(auth) in (await admin.http.get("/audit?act=application_made")).text
        assert "Анна Ли" in (await admin.http.get("/applications")).text
        page = f"/applications/{await waiting(auth)}"
        assert "From Jira" in (await admin.http.get(page)).text
        taken = await admin.http.post(f"{page}/approve", data={"login": "admin", "role": "worker"})
        assert (taken.status_code, "This login is taken." in taken.text) == (409, True)
        done = await admin.http.post(f"{page}/approve", data={"login": "anna", "role": "accountant"})
        assert done.status_code == 303
        letter = (await letters_to(auth, "anna.lee@example.org"))[-1]
        assert (await choose(await followed(auth, letter))).status_code == 303
        browser = auth.browser()
        assert (await browser.sign_in(Login("anna", NEW))).status_code == 303
        created = next(fact for fact in await auth.service.said() if fact["data"].get("role") == "accountant")
        assert created["name"] == "AccountCreated"
        assert "Анна" not in str(await auth.service.said())
        again = await admin.http.post(f"{page}/approve", data={"login": "anna2", "role": "worker"})
        assert again.status_code == 409
        assert "approved" in (await admin.http.get(page)).text

    async def test_decline(self, make_auth: MakeAuth) -> None:
        """The reason stands in the letter, in the applicant's language; nobody gets an account."""
        auth = await make_auth(registration=True)
        browser = auth.browser()
        browser.http.headers["Accept-Language"] = "ru"
        await browser.http.post("/join", data=APPLICATION)
        admin = await auth.signed_in()
        page = f"/applications/{await waiting(auth)}"
        refused = await admin.http.post(f"{page}/decline", data={"reason": "x" * 501})
        assert (refused.status_code, "x" * 501 in refused.text, "500 characters" in refused.text) == (
            422,
            True,
            True,
        )
        assert (
            await admin.http.post(f"{page}/decline", data={"reason": "Мы вас не знаем"})
        ).status_code == 303
        letter = (await letters_to(auth, "anna.lee@example.org"))[-1]
        assert "отклонена" in letter
        assert "Мы вас не знаем" in letter
        assert await auth.value("select count(*) from accounts") == 1
        assert "Мы вас не знаем" in (await admin.http.get("/applications")).text
        decided = (await admin.http.get(page)).text
        assert ("declined" in decided, "Мы вас не знаем" in decided) == (True, True)
        assert (await apply(auth)).status_code == 200, "one may ask again"

    async def test_who_has_an_account(self, make_auth: MakeAuth) -> None:
        """Strangers learn nothing about addresses; the owner of one is told of the account."""
        auth = await make_auth(registration=True)
        _person, address = await with_mail(auth)
        known = await apply(auth, email=address, login="somebody-else")
        unknown = await apply(auth)
        assert known.status_code == unknown.status_code == 200
        (letter,) = await letters_to(auth, address)
        assert "You have one" in letter
        ended = await auth.value("select id from applications where decided_at is not null")
        admin = await auth.signed_in()
        page = (await admin.http.get(f"/applications/{ended}")).text
        assert ("has an account" in page, "declined" in page) == (True, False)
        waits = "select count(*) from applications where decided_at is null"
        assert await auth.value(waits) == 1

    async def test_once_per_address(self, make_auth: MakeAuth) -> None:
        """A second request of one address changes nothing, also at the same time."""
        auth = await make_auth(registration=True)
        answers = await asyncio.gather(*(apply(auth, name=f"Name {number}") for number in range(5)))
        assert {answer.status_code for answer in answers} == {200}
        assert await auth.value("select count(*) from applications") == 1

    @pytest.mark.parametrize(
        "changed",
        [
            {"email": "no-address"},
            {"email": "a,b@example.org"},
            {"email": "a\u202eb@example.org"},
            {"login": "a b"},
            {"name": ""},
            {"name": "x\x00y"},
            {"about": "x" * 1001},
        ],
        ids=["no address", "two addresses", "turned round", "login", "no name", "null byte", "long"],
    )
    async def test_mistakes(self, make_auth: MakeAuth, changed: dict[str, str]) -> None:
        """A refused form comes back filled in, with the reason at the field, where one goes on typing."""
        auth = await make_auth(registration=True)
        refused = await apply(auth, **changed)
        assert refused.status_code == 422
        (field,) = changed
        wrong = re.findall(
            r'<(?:input|textarea)[^>]* name="(\w+)"[^>]* aria-invalid="true"[^>]* autofocus', refused.text
        )
        assert wrong == [field]
        assert await auth.value("select count(*) from applications") == 0

    async def test_all_mistakes_at_once(self, make_auth: MakeAuth) -> None:
        """Whoever fills in a form hears of everything that is wrong in it, not of one thing at a time."""
        auth = await make_auth(registration=True)
        refused = await apply(auth, name=" ", login="a b", email="", about="x" * 1001)
        wrong = re.findall(r'name="(\w+)"[^>]* aria-invalid="true"', refused.text)
        assert wrong == ["name", "email", "login", "about"]

    async def test_strangers_wait(self, make_auth: MakeAuth) -> None:
        """One address fills in twenty forms, then it waits."""
        auth = await make_auth(registration=True)
        codes = [(await apply(auth, email=f"a{number}@example.org")).status_code for number in range(22)]
        assert codes == [200] * 20 + [429] * 2

    async def test_closed(self, auth: Auth) -> None:
        """Without the setting nobody can ask, and no page offers it."""
        assert (await auth.browser().http.get("/join")).status_code == 404
        assert (await apply(auth)).status_code == 404
        assert "/auth/join" not in (await auth.browser().http.get("/sign-in")).text

    async def test_only_admins_decide(self, make_auth: MakeAuth) -> None:
        """Names and addresses of applicants are for administrators."""
        auth = await make_auth(registration=True)
        await apply(auth)
        page = f"/applications/{await waiting(auth)}"
        browser = await auth.signed_in(await auth.person(role="manager"))
        for path in ("/applications", page):
            assert (await browser.http.get(path)).status_code == 403
        for act in ("approve", "decline"):
            form = {"login": "x", "role": "admin"}
            assert (await browser.http.post(f"{page}/{act}", data=form)).status_code == 403
        gone = "/applications/019a0000-0000-7000-8000-000000000000"
        assert (await (await auth.signed_in(ADMIN)).http.get(gone)).status_code == 404
