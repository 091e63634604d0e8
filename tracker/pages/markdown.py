"""Descriptions as people read them: Markdown without anything that could harm or follow the reader.

No HTML of the author's, no pictures (a picture tells its host who looks at it), links that hand nothing on.
Headings begin below those of the page.
"""

from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

HEADINGS_BELOW = 2
HEADING_MAX = 6


def description_html(text: str) -> Markup:
    """Render a description; what is not Markdown of ours is shown as it was typed."""
    return Markup(_READER.render(text))  # noqa: S704  the reader escapes whatever it does not make itself


def _reader() -> MarkdownIt:
    reader = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    reader.disable("image")
    reader.core.ruler.push("below_the_page", _fit_in)
    return reader


def _fit_in(state: Any) -> None:
    tokens: list[Token] = state.tokens
    for token in tokens:
        if token.type in {"heading_open", "heading_close"}:
            token.tag = f"h{min(int(token.tag[1]) + HEADINGS_BELOW, HEADING_MAX)}"
        for inner in token.children or ():
            if inner.type == "link_open":
                inner.attrSet("rel", "nofollow noopener noreferrer")


_READER = _reader()
