"""Letters to people: asked for by a page, finished and handed over by the worker.

A page only notes that somebody asked. Whether there is such an account, and the link, come about when the
letter is finished: the answer of the page takes as long for strangers as for people we know, and no link lies
readable in the database. A letter is finished and committed first and handed over then: what is handed over
twice, because the process ended in between, is the same letter with the same link.
"""

from auth_service.commands.letters.finishing import finish_letters
from auth_service.commands.letters.handing_over import hand_over_letters
from auth_service.commands.letters.queueing import LETTERS_CHANNEL, Kind, queue_letter

__all__ = ["LETTERS_CHANNEL", "Kind", "finish_letters", "hand_over_letters", "queue_letter"]
