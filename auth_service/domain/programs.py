"""Browsers and systems by the names people use, so that they know their sessions apart."""

BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("YaBrowser", "Yandex"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
"""In this order: most of them name others beside themselves."""

SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def program_name(user_agent: str) -> str | None:
    """`Firefox, Linux`; None when nothing is known. The whole text is a fingerprint and not kept."""
    found = [
        next((name for mark, name in names if mark in user_agent), None) for names in (BROWSERS, SYSTEMS)
    ]
    return ", ".join(name for name in found if name) or None
