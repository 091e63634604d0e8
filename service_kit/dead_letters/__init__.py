"""Events that can never be handled: kept with their bytes, read, repaired, sent again or given up by people.

`keeping` is what the consumer calls, `reading` and `acting` are what pages, API and commands call, `sending`
is the worker's part of a redrive. A letter that is sent again goes to the consumer alone, on a topic of its
own, so that other consumers of the fact see nothing; the inbox counts its event id once (see decision 0015).
"""

from service_kit.dead_letters.keeping import Undeliverable, put_aside
from service_kit.dead_letters.places import Place, dead_letter_topic, original_place, redrive_topic
from service_kit.dead_letters.tables import dead_letters

__all__ = [
    "Place",
    "Undeliverable",
    "dead_letter_topic",
    "dead_letters",
    "original_place",
    "put_aside",
    "redrive_topic",
]
