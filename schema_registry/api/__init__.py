"""The protocol of Confluent's schema registry, route by route. Reading is open, changing needs rights."""

from schema_registry.api.associations import router as associations
from schema_registry.api.compatibility import router as compatibility
from schema_registry.api.other import router as other
from schema_registry.api.schemas import router as schemas
from schema_registry.api.settings import router as settings
from schema_registry.api.subjects import router as subjects

routers = [other, schemas, subjects, compatibility, settings, associations]
"""In the order in which their paths are tried."""
