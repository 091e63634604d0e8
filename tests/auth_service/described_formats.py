"""For schemathesis: what the formats mean that our descriptions name and a regular expression cannot say."""

from zoneinfo import available_timezones

import schemathesis
from hypothesis import strategies as st

from service_kit.paging import encode_cursor

LETTERS = "abcdefghijklmnopqrstuvwxyz"
words = st.text(LETTERS, min_size=1, max_size=20)

schemathesis.openapi.format("login", words)
schemathesis.openapi.format("person-name", words)
schemathesis.openapi.format("cursor", words.map(encode_cursor))
schemathesis.openapi.format(
    "email", st.tuples(words, words).map("@".join).map(lambda name: f"{name}.example")
)
schemathesis.openapi.format("time-zone", st.sampled_from(sorted(available_timezones())))
# None of these stands in a login, which a password may not contain.
schemathesis.openapi.format("password", st.text("!#$%&*=?", max_size=9).map(lambda text: f"!#$%&*=?~^{text}"))
