"""Finished letters are handed over: written into the folder, or given to the mail server."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, or_, select

from auth_service.commands.letters.finishing import finished_letter
from auth_service.models import Letter
from auth_service.settings import AuthSettings
from service_kit.context import settings
from service_kit.database import Session
from service_kit.letters import Post, retry_delay_s


async def hand_over_letters(session: Session, post: Post) -> int:
    """Hand over as many letters as may be in one transaction; answers how many were due, 0 when none is.

    A letter that is not taken is tried again after a while that grows. Raises `PostUnavailable` when the post
    takes nothing now. Letters that another worker has in hand are left to it.
    """
    own = settings(session, AuthSettings)
    now = datetime.now(UTC)
    due = await session.scalars(
        select(Letter)
        .where(Letter.finished_at.is_not(None), or_(Letter.due_at.is_(None), Letter.due_at <= now))
        .order_by(Letter.id)
        .limit(post.at_once)
        .with_for_update(skip_locked=True)
    )
    letters = {letter.id: (letter, finished_letter(own, letter)) for letter in due}
    if not letters:
        return 0
    refused = await post.hand_over([finished for _letter, finished in letters.values()])
    for letter, finished in letters.values():
        if finished.name in refused:
            letter.attempts += 1
            letter.due_at = datetime.now(UTC) + timedelta(seconds=retry_delay_s(letter.attempts))
    gone = [letter.id for letter, finished in letters.values() if finished.name not in refused]
    await session.execute(delete(Letter).where(Letter.id.in_(gone)))
    return len(letters)
