"""Tables of the registry, and the look-ups that commands and queries share."""

from schema_registry.models.tables import Base, Change, Schema, Setting, SubjectVersion

__all__ = ["Base", "Change", "Schema", "Setting", "SubjectVersion"]
