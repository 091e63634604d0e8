"""What a difference between two versions means for those who read, in words for people."""

from schema_registry.domain.differences import COMPATIBLE, Kind
from service_kit.text import Message
from service_kit.text import message as _

_FURTHER = tuple(
    f"ADDITIONAL_{what}_{how}" for what in ("PROPERTIES", "ITEMS") for how in ("ADDED", "REMOVED")
)

_ENDINGS: tuple[tuple[tuple[str, ...], Message], ...] = (
    (
        ("RESERVED_PROPERTY_REMOVED", "RESERVED_PROPERTY_CONFLICTS_WITH_PROPERTY"),
        _("a name that is reserved for later"),
    ),
    (
        ("REMOVED_FROM_OPEN_CONTENT_MODEL",),
        _("not known to the reader, who lets unknown fields pass"),
    ),
    (("REMOVED_FROM_CLOSED_CONTENT_MODEL",), _("not known to the reader, who refuses unknown fields")),
    (
        ("REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",),
        _("not known to the reader, but as its rule for unknown fields allows"),
    ),
    (
        ("REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", "PATTERN_PROPERTY_NOT_COVERED"),
        _("not known to the reader, and not as its rule for unknown fields allows"),
    ),
    (
        ("REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", "REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL"),
        _("required by the reader, and not always there"),
    ),
    (("REQUIRED_ATTRIBUTE_ADDED",), _("required by the reader, and not always there")),
    (
        ("ADDED_TO_UNOPEN_CONTENT_MODEL", "ADDED_TO_CLOSED_CONTENT_MODEL", "WITH_DEFAULT_ADDED"),
        _("known to the reader alone, who does without it"),
    ),
    (
        ("WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL", "ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"),
        _("known to the reader, who takes whatever may stand there"),
    ),
    (
        (
            "ADDED_TO_OPEN_CONTENT_MODEL",
            "ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL",
            "PATTERN_PROPERTY_ADDED",
        ),
        _("known to the reader, who does not take whatever may stand there"),
    ),
    (("KEYWORD_NOT_COMPARED",), _("different, and no rule can call that safe")),
    (("ONE_OF_MAY_OVERLAP",), _("alternatives of which several may hold at once for the reader")),
    (("COMPARISON_TOO_COMPLEX",), _("too large or too entangled to be compared")),
    (("_INCREASED",), _("a higher limit for the reader")),
    (("_DECREASED",), _("a lower limit for the reader")),
    (("_ADDED",), _("demanded by the reader alone")),
    (("_REMOVED",), _("not demanded by the reader")),
    (("_CHANGED",), _("different for the reader")),
)
"""The first that fits. Kinds are named after the way from the schema of the data to that of the reader."""

_RANGES = ("_EXTENDED", "_EXPANDED", "_NARROWED", "_REDUCED", *_FURTHER)


def meaning_of(kind: Kind) -> Message:
    if kind.endswith(_RANGES):
        # More parts of `allOf` are less to take: whether it is more says the verdict, not the name.
        return _("the reader takes more") if kind in COMPATIBLE else _("the reader takes less")
    return next(words for endings, words in _ENDINGS if kind.endswith(endings))


def place_of(path: str) -> str:
    """`title/maxLength` for `#/properties/title/maxLength`; the whole is `#`."""
    return path.removeprefix("#/").removeprefix("properties/") or "#"
