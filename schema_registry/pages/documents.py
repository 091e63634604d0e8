"""The contracts as AsyncAPI documents, to read by tools: one for all, one for each service."""

from enum import StrEnum

import orjson
from fastapi import Request, Response

from schema_registry.domain.asyncapi import document, services_of
from schema_registry.pages.known import contracts_of, surroundings_of
from service_kit.errors import NotFound
from service_kit.text import message as _
from service_kit.web import ServiceRouter

router = ServiceRouter()


class Form(StrEnum):
    JSON = "json"
    YAML = "yaml"


@router.get("/catalogue/asyncapi.{form}")
async def everything(request: Request, form: Form) -> Response:
    return _written(request, form, None)


@router.get("/catalogue/asyncapi/{service}.{form}")
async def of_service(request: Request, service: str, form: Form) -> Response:
    if service not in services_of(contracts_of(request)):
        raise NotFound(_("No such service says or hears anything."))
    return _written(request, form, service)


def _written(request: Request, form: Form, service: str | None) -> Response:
    found = document(contracts_of(request), surroundings_of(request), service)
    name = f"asyncapi-{service}.{form}" if service else f"asyncapi.{form}"
    headers = {"Content-Disposition": f'inline; filename="{name}"'}
    if form is Form.JSON:
        content = orjson.dumps(found, option=orjson.OPT_INDENT_2)
        return Response(content, media_type="application/json", headers=headers)
    return Response(_as_yaml(found), media_type="application/yaml", headers=headers)


def _as_yaml(found: object) -> str:
    """Plain data without anchors: equal parts of the document are written out each time."""
    # Here, as a registry that nobody asks for YAML starts without it.
    import yaml  # noqa: PLC0415

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            del data
            return True

    plain = orjson.loads(orjson.dumps(found))
    return str(yaml.dump(plain, Dumper=Plain, sort_keys=False, allow_unicode=True))
