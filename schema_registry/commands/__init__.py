"""Every change of the registry: registering, deleting, configuring, and taking over the contract files."""

from schema_registry.commands.auditing import note_change, tell_change
from schema_registry.commands.configuring import configure, forget_configuration, forget_mode, set_mode
from schema_registry.commands.contracts import register_contracts
from schema_registry.commands.deleting import delete_context, delete_subject, delete_version
from schema_registry.commands.moving import bring_in
from schema_registry.commands.registering import register
from schema_registry.commands.tagging import TagChange, tag

__all__ = [
    "TagChange",
    "bring_in",
    "configure",
    "delete_context",
    "delete_subject",
    "delete_version",
    "forget_configuration",
    "forget_mode",
    "note_change",
    "register",
    "register_contracts",
    "set_mode",
    "tag",
    "tell_change",
]
