"""Who is there and what the role may do: bearer tokens for the API, signed-in sessions for pages."""

from service_kit.identity.people import Actor, Visitor, WrongRole, current_user, require, visitor
from service_kit.roles import CurrentUser, Role

__all__ = ["Actor", "CurrentUser", "Role", "Visitor", "WrongRole", "current_user", "require", "visitor"]
