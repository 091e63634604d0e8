"""What people and their tools read beside the protocol: the catalogue, and the contracts as documents."""

from fastapi import Depends

from schema_registry.pages.catalogue import front
from schema_registry.pages.catalogue import router as catalogue
from schema_registry.pages.documents import router as documents
from schema_registry.pages.topics import router as topics
from service_kit.identity import visitor
from service_kit.web import ServiceRouter

# Everybody may read. Whoever is signed in finds the way to the other services on top.
router = ServiceRouter(include_in_schema=False, dependencies=[Depends(visitor)])
router.include_router(documents)
router.include_router(topics)
router.include_router(catalogue)

start = ServiceRouter(dependencies=[Depends(visitor)])
"""The one page whose address is the protocol's as well."""
start.include_router(front)
