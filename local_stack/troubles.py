"""Troubles a person can do something about: one clear sentence each, which names the way out."""


class Trouble(Exception):
    """Printed as it is, without a stack trace; the command ends with exit code 1."""
