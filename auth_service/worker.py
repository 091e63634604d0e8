"""Composition of the worker process: the relay of the facts, sign-out notices, letters, upkeep."""

from functools import partial

import httpx2
import structlog

from auth_service.commands import applications, guesses, keys, letters, links, logout, mail_codes, sessions
from auth_service.events import SAYS
from auth_service.queries.keys import Keys
from auth_service.settings import AuthSettings
from service_kit.letters import hand_over_all, post_of
from service_kit.settings import ServiceSettings
from service_kit.streaming import Every, WorkerContext, run_worker
from service_kit.text import add_catalogues

log = structlog.get_logger(__name__)

CALL_TIMEOUT_S = 5
HOUR_S = 3600
LETTER_MODE = 0o640
"""A letter holds a link: for us and the group of the mail system."""


async def post_logout_token(http: httpx2.AsyncClient, address: str, token: str) -> bool:
    """Tell one client; anything but a clear yes is tried again later."""
    try:
        answer = await http.post(address, data={"logout_token": token})
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        log.warning("logout_notice_undelivered", address=address, error=type(error).__name__)
        return False
    # 400 means that the client will never accept this token; repeating it would not help.
    if answer.status_code == httpx2.codes.BAD_REQUEST:
        log.warning("logout_notice_refused", address=address)
        return True
    return answer.is_success


def work(settings: ServiceSettings, *, metrics_port: int, host: str) -> None:
    """Run until told to stop."""
    if not isinstance(settings, AuthSettings):
        raise TypeError(f"{type(settings).__name__} are not the settings of auth_service")
    own = settings
    secret_key = own.secret_key.get_secret_value()

    key_ring = Keys(secret_key)

    async def tell_some(context: WorkerContext) -> int:
        async with context.database.transaction() as session:
            # Most ticks find nothing to do, and keys cost far more to read than a look.
            if not await logout.any_notice(session):
                return 0
            ring = await key_ring.ring(session)
            async with httpx2.AsyncClient(timeout=CALL_TIMEOUT_S) as http:
                tell = partial(post_logout_token, http)
                return await logout.deliver_notices(session, ring, own.issuer, tell)

    async def tell_clients(context: WorkerContext) -> None:
        while await tell_some(context):
            pass

    async def upkeep(context: WorkerContext) -> None:
        async with context.database.transaction() as session:
            await keys.rotate_keys(session, secret_key, key_life_days=own.key_life_days)
        async with context.database.transaction() as session:
            await sessions.forget_ended(session)
            await guesses.forget_old_guesses(session)
            await links.forget_old_links(session)
            await mail_codes.forget_old_mail_codes(session)
            await applications.forget_old_applications(session)

    post = post_of(own.smtp_url, own.letters_folder, mode=LETTER_MODE)

    async def send_letters(context: WorkerContext) -> None:
        async with context.database.transaction() as session:
            await letters.finish_letters(session)

        async def a_few() -> int:
            async with context.database.transaction() as session:
                return await letters.hand_over_letters(session, post)

        if handled := await hand_over_all(post, a_few):
            log.info("letters_handed_over", count=handled)

    # Letters speak the languages of the pages.
    add_catalogues("auth_service")
    timetable = [
        Every(5, tell_clients, sessions.NOTICES_CHANNEL),
        Every(5, send_letters, letters.LETTERS_CHANNEL),
        Every(HOUR_S, upkeep),
    ]
    run_worker(settings, metrics_port=metrics_port, host=host, says=SAYS, timetable=timetable)
