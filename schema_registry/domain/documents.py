"""The text of a schema: parsed, checked, brought to one form, and walked through with its references.

Nothing is ever fetched from an address: a schema may point into itself and into the schemas it names as
references, nowhere else.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import isinf
from typing import Any, NoReturn, cast
from uuid import UUID

import jsonschema_rs
from referencing import Registry, Resource, Specification
from referencing._core import Resolver
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012

from schema_registry.domain.errors import invalid_schema

Contents = bool | dict[str, Any]

TEXT_LENGTH_MAX = 1_000_000
"""Characters of one schema; longer ones are refused before they are parsed."""

REFERENCE_HOPS_MAX = 50
"""Length of a chain of `$ref` to `$ref`; a longer one is taken for a circle."""


class Dialect(Enum):
    """A draft of JSON Schema, named by `$schema`."""

    DRAFT_4 = ("http://json-schema.org/draft-04/schema", DRAFT4, jsonschema_rs.Draft4Validator)
    DRAFT_6 = ("http://json-schema.org/draft-06/schema", DRAFT6, jsonschema_rs.Draft6Validator)
    DRAFT_7 = ("http://json-schema.org/draft-07/schema", DRAFT7, jsonschema_rs.Draft7Validator)
    DRAFT_2019_09 = (
        "https://json-schema.org/draft/2019-09/schema",
        DRAFT201909,
        jsonschema_rs.Draft201909Validator,
    )
    DRAFT_2020_12 = (
        "https://json-schema.org/draft/2020-12/schema",
        DRAFT202012,
        jsonschema_rs.Draft202012Validator,
    )

    def __init__(self, uri: str, specification: "Specification[Any]", validator: Any) -> None:
        self.address = uri
        self.specification = specification
        self.validator = validator

    @property
    def keeps_siblings_of_ref(self) -> bool:
        """Since 2019-09 a `$ref` is one keyword among others; before, it silenced its neighbours."""
        return self in {Dialect.DRAFT_2019_09, Dialect.DRAFT_2020_12}

    @classmethod
    def of(cls, contents: Contents) -> "Dialect":
        """The draft a schema declares; draft 7 when it declares none, as Confluent's registry reads it."""
        uri = contents.get("$schema") if isinstance(contents, dict) else None
        if uri is None:
            return cls.DRAFT_7
        for dialect in cls:
            if isinstance(uri, str) and uri.rstrip("#") == dialect.address:
                return dialect
        raise invalid_schema(f"$schema {uri!r} is not a draft this registry knows")


@dataclass(frozen=True, slots=True)
class Reference:
    """Another registered schema that this one names and may `$ref` by that name."""

    name: str
    subject: str
    version: int

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "subject": self.subject, "version": self.version}


@dataclass(frozen=True, slots=True)
class Node:
    """A schema or a part of one, with what is needed to resolve its references."""

    contents: Contents
    dialect: Dialect
    resolver: "Resolver[Any]" = field(repr=False)

    def child(self, contents: Contents) -> "Node":
        """A subschema; it may have a base address of its own."""
        resource = self.dialect.specification.create_resource(contents)
        return Node(contents, self.dialect, self.resolver.in_subresource(resource))

    def referred(self, reference: str) -> "Node":
        """What `$ref` points at. Raises `referencing.exceptions.Unresolvable`."""
        found = self.resolver.lookup(reference)
        if not isinstance(found.contents, bool | dict):
            raise Unresolvable(reference)
        own = isinstance(found.contents, dict) and "$schema" in found.contents
        return Node(found.contents, Dialect.of(found.contents) if own else self.dialect, found.resolver)


@dataclass(frozen=True, slots=True)
class Document:
    """A whole schema in its one form, with the texts of the schemas it references, by their names."""

    text: str
    contents: Contents
    dialect: Dialect
    references: Mapping[str, str]

    def root(self) -> Node:
        registry: Registry[Any] = Registry()
        for name, text in self.references.items():
            contents = parsed(text)
            registry = registry.with_resource(name, _resource(contents, Dialect.of(contents)))
        root = _resource(self.contents, self.dialect)
        base = root.id() or ""
        return Node(self.contents, self.dialect, registry.with_resource(base, root).resolver(base))


def parsed(text: str) -> Contents:
    """The JSON of a schema. Raises `RegistryError` when it is none."""
    if not text.strip():
        raise invalid_schema("it is empty")
    if len(text) > TEXT_LENGTH_MAX:
        raise invalid_schema(f"it is longer than {TEXT_LENGTH_MAX} characters")
    try:
        contents = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        json.dumps(contents, ensure_ascii=False).encode()
    except RecursionError:
        raise invalid_schema("it is nested too deeply") from None
    except ValueError as error:
        raise invalid_schema(f"it is not JSON: {error}") from None
    if not isinstance(contents, bool | dict):
        raise invalid_schema("a JSON Schema is an object or a boolean")
    return cast("Contents", contents)


def one_form(contents: Contents, *, normalize: bool) -> str:
    """The text by which equal schemas are known as equal: no white space, and sorted keys when normalised."""
    return json.dumps(contents, ensure_ascii=False, separators=(",", ":"), sort_keys=normalize)


def read_document(
    text: str, *, normalize: bool = False, references: Mapping[str, str] | None = None
) -> Document:
    """Parse and check a schema: valid against its draft, every `$ref` at home. Raises `RegistryError`."""
    contents = parsed(text)
    dialect = Dialect.of(contents)
    document = Document(one_form(contents, normalize=normalize), contents, dialect, dict(references or {}))
    _refuse_invalid(document)
    return document


def known_document(text: str, references: Mapping[str, str] | None = None) -> Document:
    """A document that was checked when it was registered."""
    contents = parsed(text)
    return Document(text, contents, Dialect.of(contents), dict(references or {}))


def guid(text: str, references: Sequence[Reference], metadata: Any = None, rule_set: Any = None) -> UUID:
    """The identity of a schema across registries: a digest of everything that makes it what it is."""
    digest = hashlib.md5(text.encode(), usedforsecurity=False)
    for reference in references:
        digest.update(reference.name.encode())
        digest.update(reference.subject.encode())
        digest.update(reference.version.to_bytes(4, "big", signed=True))
    for part in (metadata, rule_set):
        if part is not None:
            digest.update(b"\x01" + json.dumps(part, sort_keys=True, separators=(",", ":")).encode())
    return UUID(bytes=digest.digest())


def _resource(contents: Contents, dialect: Dialect) -> "Resource[Any]":
    return dialect.specification.create_resource(contents)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise ValueError(f"{text} is too large a number")
    return value


def _refuse_address(uri: str) -> NoReturn:
    raise ValueError(f"{uri} is not among the references")


def _refuse_invalid(document: Document) -> None:
    registry = None
    try:
        if document.references:
            resources = [(name, parsed(text)) for name, text in document.references.items()]
            registry = jsonschema_rs.Registry(resources, retriever=_refuse_address)
            document.dialect.validator(document.contents, registry=registry)
        else:
            document.dialect.validator(document.contents, retriever=_refuse_address)
    except jsonschema_rs.ValidationError as error:
        path = "/".join(str(part) for part in error.instance_path)
        raise invalid_schema(f"#/{path}: {error.message}") from None
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        raise invalid_schema(str(error)) from None
