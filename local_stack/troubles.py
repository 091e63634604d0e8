"""Troubles a person can do something about: one clear sentence each, which names the way out."""


class Trouble(Exception):  # noqa: N818 - it is shown to people, not handled by name
    """Printed as it is, without a stack trace; the command ends with exit code 1."""
